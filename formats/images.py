"""Picture files to 8-bit sRGB pixels and back, by Pillow."""

import io
import warnings
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageCms, ImageOps

from odpiece.formats.container import MAX_PIXELS
from odpiece.formats.errors import ImageError, OptionError

WRITERS = {
    ".png": {"format": "PNG", "compress_level": 4},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}
DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
PNG_DEPTH_AT = 24  # offset of the bit depth in a PNG file


@dataclass(frozen=True)
class Picture:
    """`pixels` uint8 (H, W, 3) sRGB; `notes` says in one line each what of the file was not kept."""

    pixels: np.ndarray
    notes: tuple[str, ...] = field(default=())


def read_image(data, name="the input"):
    """The Picture in the bytes of a PNG, JPEG, WebP or any other file that Pillow reads.

    EXIF orientation is applied, an ICC profile is converted to sRGB, transparency is laid on white, 16 bits
    become 8, and of an animation the first frame is taken. Raises ImageError.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as im:
                if im.width * im.height > MAX_PIXELS:
                    raise ImageError(f"{name} has {im.width}x{im.height} pixels, at most {MAX_PIXELS} are supported")
                im.load()
                deep = im.mode in DEEP_MODES or (im.format == "PNG" and data[PNG_DEPTH_AT] == 16)
                return _to_srgb(im, deep)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(f"{name} has too many pixels, at most {MAX_PIXELS} are supported") from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name} is not a picture, give a PNG, JPEG, WebP, TIFF or the like") from None
    except Exception as error:  # Pillow's plugins raise errors of many kinds for damaged files
        raise ImageError(f"{name} cannot be read: {error}".splitlines()[0]) from None


def _to_srgb(im, deep):
    notes = ["more than 8 bits a channel are reduced to 8"] if deep else []
    if getattr(im, "n_frames", 1) > 1:
        notes.append(f"only the first of {im.n_frames} frames is kept")
    profile = im.info.get("icc_profile")
    im = _upright(im)
    key = im.info.get("transparency") if deep else None
    if im.mode in DEEP_MODES:
        im = _to_eight_bits(im)
    if key is not None:
        im.info["transparency"] = tuple(v >> 8 for v in key) if isinstance(key, tuple) else round(key / 257)
    if im.has_transparency_data and (im := im.convert("RGBA")).getextrema()[3][0] < 255:
        notes.append("transparency is not kept: the picture is laid on white")
        im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im)
    return Picture(np.asarray(_convert_colours(im, profile, notes)), tuple(notes))


def _upright(im):
    try:
        return ImageOps.exif_transpose(im)
    except Exception:  # broken EXIF data says nothing about the orientation
        return im


def _to_eight_bits(im):
    """Grey of mode L; the values' range is taken to be the smallest of 1 (floats), 2^16 and 2^32 that holds them."""
    values = np.nan_to_num(np.asarray(im).astype(np.float64))
    ranges = (1.0, 255.0, 65535.0) if im.mode == "F" else (65535.0, 4294967295.0)
    top = next((r for r in ranges if values.max(initial=0.0) <= r), ranges[-1])
    return Image.fromarray(np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8))


def _convert_colours(im, profile, notes):
    if profile:
        try:
            return _by_profile(im, profile)
        except (ImageCms.PyCMSError, OSError, ValueError):
            notes.append("the colour profile cannot be used and is ignored")
    return im.convert("RGB")


def _by_profile(im, profile):
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if im.mode in ("RGBA", "P", "LA"):
        im = im.convert("RGB")
    return ImageCms.profileToProfile(im, source, ImageCms.createProfile("sRGB"), outputMode="RGB")


def suffix_of(path):
    """The lower-case suffix of an output picture's name. Raises OptionError where it cannot be written."""
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise OptionError(f"cannot write {path.name}: name the output {', '.join(sorted(WRITERS))}")
    return suffix


def write_image(pixels, suffix=".png"):
    """The bytes of a picture file of uint8 (H, W, 3) pixels: lossless for .png and .webp, quality 95 for .jpg."""
    out = io.BytesIO()
    if max(pixels.shape[:2]) > LONGEST.get(suffix, MAX_PIXELS):
        raise OptionError(f"{pixels.shape[1]}x{pixels.shape[0]} pixels do not fit a {suffix} file: write .png")
    try:
        Image.fromarray(pixels).save(out, **WRITERS[suffix])
    except (OSError, ValueError) as error:
        raise OptionError(f"{pixels.shape[1]}x{pixels.shape[0]} pixels do not fit a {suffix} file: {error}") from None
    return out.getvalue()
