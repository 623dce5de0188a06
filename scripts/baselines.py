"""JPEG and WebP as peers: whole-file bytes without metadata, at full size and downscaled."""

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from odpiece.codec.targets import psnr
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image

FORMATS = {"JPEG": {"optimize": True, "progressive": True}, "WebP": {"method": 6}}
QUALITIES = (0, 1, 2, 3, 5, 7, 10, 13, 16, 20, 25, 30, 40, 50, 60, 70, 80, 90)


@dataclass(frozen=True)
class Trial:
    """One encoding: its size in bytes, PSNR in dB, and the decoded pixels at full size."""

    codec: str
    shrink: int
    quality: int
    size: int
    psnr: float
    pixels: np.ndarray


def encode_peer(pixels, codec, quality, shrink):
    """A Trial of uint8 (H, W, 3) `pixels`; downscaled by Lanczos, scaled back up by the bicubic filter."""
    height, width, _ = pixels.shape
    small = Image.fromarray(pixels)
    if shrink > 1:
        size = max(1, round(width / shrink)), max(1, round(height / shrink))
        small = small.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, codec, quality=quality, **FORMATS[codec])
    with Image.open(file) as decoded:
        decoded = decoded.convert("RGB")
    if shrink > 1:
        decoded = decoded.resize((width, height), Image.Resampling.BICUBIC)
    decoded = np.asarray(decoded)
    return Trial(codec, shrink, quality, len(file.getvalue()), psnr(pixels, decoded), decoded)


@lru_cache(maxsize=256)
def _trials(data, shape, codec, shrinks):
    pixels = np.frombuffer(data, np.uint8).reshape(shape)
    return [encode_peer(pixels, codec, q, s) for s in shrinks for q in QUALITIES]


def trials(pixels, codec, shrinks):
    """Trials of all QUALITIES at each of `shrinks`, a tuple."""
    return _trials(pixels.tobytes(), pixels.shape, codec, tuple(shrinks))


def nearest_size(pixels, codec, shrinks, size):
    """The Trial whose size in bytes is nearest to `size`, as a ratio."""
    return min(trials(pixels, codec, shrinks), key=lambda t: abs(np.log(t.size / size)))


def best_psnr_at(pixels, codec, shrinks, size):
    """PSNR of the upper envelope of all trials at `size` bytes, between trials linear in log bytes.

    None where every trial is larger than `size`.
    """
    envelope = []
    for trial in sorted(trials(pixels, codec, shrinks), key=lambda t: t.size):
        if not envelope or trial.psnr > envelope[-1][1]:
            envelope.append((np.log(trial.size), trial.psnr))
    sizes, values = np.array(envelope).T
    return float(np.interp(np.log(size), sizes, values)) if np.log(size) >= sizes[0] else None


def read_folder(folder, count=None):
    """uint8 (H, W, 3) pixels of the pictures in `folder`: all, or about `count`, evenly spaced by name."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    step = max(1, len(files) // count) if count else 1
    pictures = [read_image(read_bytes(path), path.name).pixels for path in files[::step]]
    return [np.asarray(Image.fromarray(pixels).convert("RGB")) for pixels in pictures]
