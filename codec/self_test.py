"""Whether this installation codes as it should: a drawn picture and the file that it once became.

The file's tokens must come out exactly: its checksum says so. What is computed in floats may differ a little from one
machine or backend to another, so the picture's own tokens and pixels are compared within bounds.
"""

from dataclasses import dataclass
from importlib import resources

import numpy as np

from odpiece.codec.files import encode, read
from odpiece.codec.targets import psnr
from odpiece.formats.errors import OdpieceError
from odpiece.models.interface import LOOKS

QUALITY = 256  # tokens of every band
CHANGED = 0.05  # part of the non-zero latents that may differ
DECIBELS = 20.0  # PSNR that the picture's faithful look has at least
LEVELS = 1  # grey levels by which pixels of two backends may differ


@dataclass(frozen=True)
class Outcome:
    """`changed`: how many of the `latents` that are not zero in the stored file or in a new one differ between them;
    `pictures`: uint8 (looks, H, W, 3), what the stored file decodes to.
    """

    latents: int
    changed: int
    pictures: np.ndarray


def drawn_picture():
    """uint8 (128, 192, 3): a sky that fades, a disc, stripes and noise, by whole numbers alone."""
    y, x = np.mgrid[0:128, 0:192]
    sky = np.stack([80 + y // 2, 120 + y // 3, 220 - x // 4], axis=-1)
    sky[(x - 60) ** 2 + (y - 45) ** 2 < 25**2] = (240, 200, 90)
    ground = 60 + 30 * (x // 6 % 2) + (x * 7919 + y * 104729) % 4093 % 32
    picture = np.where((y > 80 + x // 8)[..., None], ground[..., None] + np.array([10, 25, 0]), sky)
    return picture.astype(np.uint8)


def stored_file():
    """The bytes of the .odp file that `encode` once made of the picture, see scripts/make_golden.py."""
    return resources.files("odpiece.codec").joinpath("self_test.odp").read_bytes()


def self_test(model):
    """The Outcome of the picture and the file by `model`, a Model that has all LOOKS.

    Raises DamagedError where the file's tokens come out wrong, OdpieceError where too many of the picture's do or its
    pixels, and UnknownModelError where the file's model is not installed.
    """
    stored = read(stored_file(), model=model)
    fresh = read(encode(drawn_picture(), QUALITY, model=model), model=model)
    pairs = list(zip(stored.tokens.bands, fresh.tokens.bands))
    latents, changed = (sum(int(np.count_nonzero(f(a, b))) for a, b in pairs) for f in (np.bitwise_or, np.subtract))
    if changed > CHANGED * latents:
        raise OdpieceError(f"encoding gives wrong tokens: {changed} of {latents} latents differ from the stored ones")
    pictures = np.stack([stored.colours(look=look) for look in LOOKS])
    if psnr(pictures[0], drawn_picture()) < DECIBELS:
        raise OdpieceError("decoding gives wrong pixels: they are not those of the stored file's picture")
    return Outcome(latents, changed, pictures)


def check_pixels(outcome, reference):
    """The largest difference of the pixels of two Outcomes, in grey levels.

    Raises OdpieceError if it is above LEVELS.
    """
    most = int(np.abs(outcome.pictures.astype(np.int16) - reference.pictures).max())
    if most > LEVELS:
        raise OdpieceError(f"decoding gives wrong pixels: up to {most} grey levels from those of onnx on the CPU")
    return most
