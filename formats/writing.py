"""Picture files of 8-bit pixels: PNG by png.py, all else that Pillow writes by Pillow."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, PngImagePlugin

from odpiece.formats.colours import fits
from odpiece.formats.container import MAX_PIXELS, MAX_SIDE
from odpiece.formats.errors import OptionError
from odpiece.formats.metadata import NAMES
from odpiece.formats.opening import pillow_settings, register_plugins, said
from odpiece.formats.png import PIXEL_CHUNKS, pack_chunk, pack_png, unpack_chunks

WRITERS = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
# Of other formats that Pillow writes: the best that they can
OPTIONS = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
    "JXL": {"lossless": True},
}
OTHERS = ("ODP", "BUFR", "GRIB", "HDF5", "WMF")  # are no pictures, or not written by Pillow itself
# Modes in which a picture is tried to be written, by its own
MODES = {"L": ("L", "RGB", "P", "1"), "RGB": ("RGB", "P", "1"), "LA": ("LA", "RGBA"), "RGBA": ("RGBA",)}
LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}
EXIF_PREFIX = b"Exif\0\0"


def suffix_of(path):
    """The lower-case suffix of an output picture's name. Raises OptionError where it cannot be written."""
    suffix = path.suffix.lower()
    if suffix not in WRITERS and not _format_of(suffix):
        usual = ", ".join(sorted(WRITERS))
        raise OptionError(
            f"cannot write {path.name}: name the output {usual} or another that Pillow writes, .tif, .avif or .ppm"
        )
    return suffix


def write_image(pixels, suffix=".png", metadata=None):
    """The bytes of a picture file of uint8 pixels, shaped as in Picture, lossless where the kind of file can be.

    JPEG is of quality 95. Kinds without alpha get the picture laid on white. `metadata` as in Picture; see
    `fitting_metadata`. Raises OptionError.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > LONGEST.get(suffix, MAX_SIDE):
        raise OptionError(f"{width}x{height} pixels do not fit a {suffix} file: write .png")
    metadata = _prefixed(metadata or {})
    if suffix == ".png":
        return pack_png(pixels, _metadata_chunks(metadata))
    im = Image.fromarray(pixels)
    if im.mode in ("LA", "RGBA") and not keeps_alpha(suffix):
        im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im.convert("RGBA")).convert(im.mode.rstrip("A"))
    try:
        with pillow_settings(MAX_PIXELS):
            return _save(im, suffix, metadata)
    except Exception as error:  # Pillow's plugins raise errors of many kinds
        raise OptionError(
            f"{width}x{height} pixels or their metadata do not fit a {suffix} file: {said(error)}"
        ) from None


def fitting_metadata(metadata, suffix, grey):
    """(what of `metadata` a file of the kind `suffix` of pixels that are `grey` or not can hold, a line on each other).

    Raises OptionError where there is no such kind.
    """
    lines, mode = [], "L" if grey else "RGB"
    for name, value in metadata.items():
        if name == "icc" and not fits(value, mode):
            lines.append("the icc profile is of other colours than the picture and is left out")
        elif suffix != ".png" and not _is_held(mode, suffix, _prefixed({name: value})):
            lines.append(f"the {name} does not fit a {suffix} file and is left out")
    left_out = {line.split()[1] for line in lines}
    return {name: value for name, value in metadata.items() if name not in left_out}, lines


@lru_cache
def keeps_alpha(suffix):
    """Whether a kind of file holds transparency."""
    if suffix in WRITERS:
        return WRITERS[suffix]["format"] != "JPEG"
    return any(_written_mode(mode, suffix).endswith("A") for mode in ("LA", "RGBA"))


def few_colours(suffix):
    """A line on the colours that a kind of file has not, None for most."""
    mode = "RGB" if suffix in WRITERS else _written_mode("RGB", suffix)
    most = {"P": "256 colours", "1": "black and white", "L": "levels of grey"}.get(mode)
    return most and f"{suffix} files have only {most}"


def resized(pixels, height, width):
    """uint8 (height, width, channels) of uint8 pixels, by Lanczos' filter: a smaller one has means, not samples."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _format_of(suffix):
    """Pillow's name of the format that a suffix stands for, None where Pillow does not write it."""
    Image.init()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        register_plugins()
    found = Image.registered_extensions().get(suffix)
    return found if found in Image.SAVE and found not in OTHERS else None


def _save(im, suffix, metadata):
    """The bytes of a file of a Pillow image, in the first of MODES that its format takes."""
    found = _format_of(suffix) if suffix not in WRITERS else None
    writer = WRITERS.get(suffix) or {"format": found, **OPTIONS.get(found, {})}
    options = {NAMES[name]: value for name, value in metadata.items()}
    options |= {"sizes": [im.size]} if found == "ICO" else {}
    for mode in MODES[im.mode]:
        out, last = io.BytesIO(), mode == MODES[im.mode][-1]
        try:
            (im if mode == im.mode else im.convert(mode)).save(out, **writer, **options)
        except Exception:
            if last or suffix in WRITERS:
                raise
            continue
        break
    if suffix not in WRITERS and found in Image.OPEN and (size := _opened(out).size) != im.size:
        raise ValueError(f"the file would have {size[0]}x{size[1]}")
    return out.getvalue()


def _opened(out):
    with Image.open(io.BytesIO(out.getvalue())) as im:
        return im


def _written_mode(mode, suffix):
    """The mode, with A where there is transparency, in which a picture of `mode` is read back; "" where it is not."""
    try:
        values = {"LA": (9, 99), "RGB": (9, 99, 199), "RGBA": (9, 99, 199, 99)}[mode]
        with pillow_settings(MAX_PIXELS):
            im = _opened(io.BytesIO(_save(Image.new(mode, (16, 16), values), suffix, {})))
    except Exception:
        return ""
    return im.mode if im.mode.endswith("A") or not im.has_transparency_data else "RGBA"


def _is_held(mode, suffix, metadata):
    """Whether metadata, of one name, is read back from a small file."""
    ((name, _),) = metadata.items()
    try:
        with pillow_settings(MAX_PIXELS):
            im = _opened(io.BytesIO(_save(Image.new(mode, (16, 16)), suffix, metadata)))
        return bool(im.info.get(NAMES[name])) or (name == "exif" and len(im.getexif()) > 0)
    except Exception:  # Pillow's plugins raise errors of many kinds
        return False


def _prefixed(metadata):
    """`metadata` with EXIF as JPEG wants it."""
    exif = metadata.get("exif")
    return metadata | {"exif": EXIF_PREFIX + exif.removeprefix(EXIF_PREFIX)} if exif else metadata


def _metadata_chunks(metadata):
    """The bytes of the PNG chunks that hold metadata: those of a picture of one pixel that Pillow writes."""
    if not metadata:
        return b""
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    if xmp := metadata.get("xmp"):
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    options = {NAMES[name]: value for name, value in metadata.items() if name != "xmp"}
    Image.new("L", (1, 1)).save(out, "PNG", pnginfo=info, **options)
    return b"".join(pack_chunk(*chunk) for chunk in unpack_chunks(out.getvalue()) if chunk[0] not in PIXEL_CHUNKS)
