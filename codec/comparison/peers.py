"""The codecs to compare: pixels to the bytes of a whole file without metadata, and back.

A picture may be downscaled first and scaled back up after decoding: at few bits a pixel that is what a
sensible user does. The size of the original is taken to be known when decoding.
"""

import hashlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata

import numpy as np
from PIL import Image, features

from odpiece.codec.arguments import PSNR
from odpiece.codec.comparison import thumbhash
from odpiece.codec.comparison.extra import extra
from odpiece.codec.files import decode, encode
from odpiece.formats.errors import MissingExtraError, OptionError
from odpiece.models.interface import LOOKS
from odpiece.models.library import load_model

SCALES = (1, 2, 3, 4, 6, 8, 12, 16)
ANY_SIZE, LEAST = 8, 96  # scales beyond ANY_SIZE are for pictures whose longer side keeps so many pixels
BLURHASH_SIDE = 100  # pixels: it gains nothing from more


@dataclass(frozen=True)
class Codec:
    """A way to encode pictures, uint8 (H, W, 3) sRGB, with `qualities` from few to many bytes.

    `pack(pixels, quality)` gives the bytes of a file, `unpack(data, (H, W, 3))` its pixels, which may be fewer
    than the original's. A `ladder` spans far more bytes than are of interest: only some of its files are scored.
    `version()` names what the results depend on. All raise MissingExtraError where a package is missing.
    """

    name: str
    title: str
    qualities: tuple
    pack: Callable
    unpack: Callable
    version: Callable
    scales: tuple = (1,)
    ladder: bool = False
    longest: int = 1 << 30  # pixels of a side that a file can have
    least: int = LEAST  # pixels of the longer side at scales beyond ANY_SIZE

    def require(self):
        """Raise MissingExtraError if a package is missing."""
        self.version()

    def scales_of(self, pixels):
        """Those of `scales` that suit the size of `pixels`, (H, W, 3)."""
        sides = ((scale, max(pixels.shape[:2]) / scale) for scale in self.scales)
        return [scale for scale, side in sides if side <= self.longest and (scale <= ANY_SIZE or side >= self.least)]

    def encode(self, pixels, quality, scale=1):
        """The bytes of a file of `pixels`, downscaled by `scale`."""
        height, width, _ = pixels.shape
        if scale > 1:
            size = max(1, round(width / scale)), max(1, round(height / scale))
            pixels = _resized(pixels, size, Image.Resampling.LANCZOS)
        return self.pack(pixels, quality)

    def decode(self, data, shape):
        """The pixels of a file's bytes, uint8 of `shape` (H, W, 3), scaled up by the bicubic filter if need be."""
        pixels = self.unpack(data, shape)
        return pixels if pixels.shape == shape else _resized(pixels, shape[1::-1], Image.Resampling.BICUBIC)


def _resized(pixels, size, filter):
    return np.asarray(Image.fromarray(pixels).resize(size, filter))


def _plain(pixels):
    """Grey (H, W) where all channels are equal, as whoever has a grey picture would encode it."""
    grey = (pixels[..., :1] == pixels).all()
    return np.ascontiguousarray(pixels[..., 0]) if grey else pixels


def _pack_pillow(format, options, pixels, quality):
    out = io.BytesIO()
    Image.fromarray(_plain(pixels)).save(out, format, quality=quality, **options)
    return out.getvalue()


def _unpack_pillow(format, data, shape):
    with Image.open(io.BytesIO(data), formats=[format]) as im:
        return np.asarray(im.convert("RGB"))


def _pillow(name, title, qualities, library, longest, **options):
    """A format that Pillow writes itself."""
    pack, unpack = partial(_pack_pillow, title, options), partial(_unpack_pillow, title)
    version = partial(_version_in_pillow, library, title, options)
    return Codec(name, title, qualities, pack, unpack, version, SCALES, ladder=True, longest=longest)


def _version_in_pillow(library, title, options):
    with extra(title):
        if not features.check(library):
            raise ImportError(title)
    return f"{features.version(library)} {options}"


JXL_OPTIONS = {"effort": 9, "num_threads": 1}


def _pack_jxl(pixels, quality):
    with extra("JPEG XL"):
        import pillow_jxl  # noqa: F401  registers the format
    return _pack_pillow("JXL", JXL_OPTIONS, pixels, quality)


def _unpack_jxl(data, shape):
    with extra("JPEG XL"):
        import pillow_jxl  # noqa: F401
    return _unpack_pillow("JXL", data, shape)


def _version_of(distribution, title):
    """Of a codec in a package of the extra; PackageNotFoundError is an ImportError."""
    with extra(title):
        return metadata.version(distribution)


def _within(pixels, side):
    im = Image.fromarray(pixels)
    im.thumbnail((side, side))
    return im


def _pack_thumbhash(pixels, quality):
    return thumbhash.pack(np.asarray(_within(pixels, thumbhash.SIDE)))


def _version_of_thumbhash():
    return "1"


def _blurhash():
    """The module of the distribution blurhash-python. Raises MissingExtraError."""
    with extra("BlurHash"):
        import blurhash
    if not hasattr(blurhash, "BlurhashDecodeError"):
        raise MissingExtraError(
            "another package is imported as blurhash: pip uninstall blurhash, "
            "then pip install --force-reinstall blurhash-python"
        )
    return blurhash


def _pack_blurhash(pixels, quality):
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # Pillow's, of getdata
        return _blurhash().encode(_within(pixels, BLURHASH_SIDE), *map(int, quality.split("x"))).encode()


def _unpack_blurhash(data, shape):
    return np.asarray(_blurhash().decode(data.decode(), *shape[1::-1]).convert("RGB"))


def _pack_odpiece(tune, pixels, quality):
    return encode(_plain(pixels), quality, tune=tune)


def _unpack_odpiece(look, data, shape):
    pixels = decode(data, look=look)
    return pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2)


@cache
def _version_of_odpiece(look, tune):
    """The model, and what the code of this state makes of it: a file and its picture."""
    probe = 128 + np.random.default_rng(0).normal(0, 8, (64, 64, 1)).cumsum(axis=1).repeat(3, axis=2)
    data = encode(probe.clip(0, 255).astype(np.uint8), 64, tune=tune)
    return f"{load_model().sha256} {hashlib.sha256(data + decode(data, look=look).tobytes()).hexdigest()[:16]}"


def odpiece(look, tune=PSNR):
    """Ourselves, encoded for one of TUNES and decoded with one of LOOKS."""
    qualities = tuple(2**i for i in range(13))
    pack, unpack = partial(_pack_odpiece, tune), partial(_unpack_odpiece, look)
    return Codec("odpiece", "odpiece", qualities, pack, unpack, partial(_version_of_odpiece, look, tune))


ODPIECE = odpiece(LOOKS[0])
LOSSY = (0, 3, 6, 10, 14, 18, 23, 28, 34, 40, 48, 56, 64, 72, 80, 88, 94, 98)
PEERS = (
    _pillow("jpeg", "JPEG", (1, *LOSSY[1:]), "libjpeg_turbo", 65500, optimize=True, progressive=True),
    _pillow("webp", "WebP", LOSSY, "webp", 16383, method=6),
    _pillow("avif", "AVIF", LOSSY, "avif", 65536, speed=4, max_threads=1),
    Codec(
        "jxl",
        "JPEG XL",
        LOSSY,
        _pack_jxl,
        _unpack_jxl,
        partial(_version_of, "pillow-jxl-plugin", "JPEG XL"),
        SCALES,
        True,
    ),
    Codec(
        "thumbhash",
        "ThumbHash",
        ("-",),
        _pack_thumbhash,
        thumbhash.unpack,
        _version_of_thumbhash,
    ),
    Codec(
        "blurhash",
        "BlurHash",
        ("3x3", "4x3", "4x4", "5x4", "5x5", "6x5", "7x6"),
        _pack_blurhash,
        _unpack_blurhash,
        partial(_version_of, "blurhash-python", "BlurHash"),
    ),
)
CODECS = {codec.name: codec for codec in (ODPIECE, *PEERS)}


def find_peer(name):
    """The Codec of this name. Raises OptionError."""
    found = [codec for codec in PEERS if codec.name == name]
    if not found:
        raise OptionError(f"no codec {name}, give {','.join(codec.name for codec in PEERS)}")
    return found[0]
