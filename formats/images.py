"""Picture files to 8-bit pixels, sRGB unless their profile is kept, and back, by Pillow."""

import io
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin

from odpiece.formats.container import MAX_PIXELS, MAX_SIDE
from odpiece.formats.errors import ImageError, OptionError
from odpiece.formats.png import PIXEL_CHUNKS, pack_chunk, pack_png, unpack_chunks

WRITERS = {
    ".png": {"format": "PNG"},
    ".jpg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".jpeg": {"format": "JPEG", "quality": 95, "subsampling": 0},
    ".webp": {"format": "WEBP", "lossless": True},
}
# What is taken for a picture in a folder; a file that is named is read whatever its suffix is
SUFFIXES = frozenset(
    ".avif .bmp .dib .gif .icns .ico .j2k .jfif .jp2 .jpe .jpeg .jpf .jpg .jpx .pbm .pcx .pgm .png .pnm .ppm .psd .qoi "
    ".sgi .tga .tif .tiff .webp .xbm .xpm".split()
)
OPAQUE = (".jpg", ".jpeg")  # formats without alpha
NAMES = {"exif": "exif", "icc": "icc_profile", "xmp": "xmp"}  # in Pillow
LONGEST = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}
DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
GREY_MODES = ("1", "L", "LA", "La", *DEEP_MODES)
STRIP = 256  # rows that are treated at once, so that large pictures take little memory beside themselves
PNG_DEPTH_AT = 24  # offset of the bit depth in a PNG file


@dataclass(frozen=True)
class Picture:
    """`pixels` uint8 sRGB: (H, W, 3), with alpha (H, W, 4), grey (H, W), or grey with alpha (H, W, 2).

    `notes` says in one line each what of the file was not kept, `metadata` holds what was asked for of "exif",
    "icc" and "xmp", as bytes; with "icc" the pixels are of that profile instead of sRGB.
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()
    metadata: dict[str, bytes] = field(default_factory=dict)


def read_image(data, name="the input", *, keep=(), max_pixels=MAX_PIXELS):
    """The Picture in the bytes of a PNG, JPEG, WebP or any other file that Pillow reads.

    EXIF orientation is applied, an ICC profile is converted to sRGB, 16 bits become 8, CMYK becomes sRGB, and of
    an animation the first frame is taken; where all channels are equal the picture is grey. `keep` names the
    metadata to keep, of "exif", "icc" and "xmp"; a kept profile leaves the colours as they are. Raises
    ImageError, also for more pixels than `max_pixels`.
    """
    try:
        with warnings.catch_warnings(), _bomb_limit(max_pixels):
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as im:
                if im.width * im.height > max_pixels:
                    raise ImageError(_too_large(name, max_pixels, f"{im.width}x{im.height}"))
                im.load()
                deep = im.mode in DEEP_MODES or (im.format == "PNG" and data[PNG_DEPTH_AT] == 16)
                return _to_picture(im, deep, keep)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(_too_large(name, max_pixels, "too many")) from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{name} is not a picture, give a PNG, JPEG, WebP, TIFF or the like") from None
    except Exception as error:  # Pillow's plugins raise errors of many kinds for damaged files
        raise ImageError(f"{name} cannot be read: {error}".splitlines()[0]) from None


def image_pixels(image):
    """uint8 pixels, shaped as in Picture, of a Pillow image, treated as `read_image` treats files' images.

    Raises ImageError: its file may be read only now, and be damaged or closed.
    """
    try:
        return _to_picture(image, image.mode in DEEP_MODES, ()).pixels
    except MemoryError:
        raise
    except Exception as error:  # of many kinds, as in read_image
        reason = f"{error}".partition("\n")[0] or "it is closed or damaged"
        raise ImageError(f"the image cannot be read: {reason}") from None


@contextmanager
def _bomb_limit(max_pixels):
    """Lets Pillow open up to `max_pixels`; its own limit is never lowered."""
    before = Image.MAX_IMAGE_PIXELS
    if before is not None and max_pixels > before:
        Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _too_large(name, max_pixels, size):
    return f"{name} has {size} pixels, at most {max_pixels} are read: give more with --max-pixels"


def _to_picture(im, deep, keep):
    notes = ["more than 8 bits a channel are reduced to 8"] if deep else []
    if getattr(im, "n_frames", 1) > 1:
        notes.append(f"only the first of {im.n_frames} frames is kept")
    if im.mode == "CMYK":
        notes.append("CMYK colours are converted to sRGB")
    if "exif" in keep and not im.info.get("exif") and len(im.getexif()):
        notes.append("the tags of this kind of file are not kept as EXIF")
    profile, im = im.info.get("icc_profile"), _upright(im)
    metadata = _metadata(im, keep)
    if profile and "icc" in keep and im.mode != "CMYK":
        metadata["icc"], profile = profile, None
    elif profile and "icc" in keep:
        notes.append("the CMYK profile is not kept")
    alpha, im = _split_alpha(_to_eight_bits(im, deep))
    pixels = _to_array(_convert_colours(im, profile, notes))
    if im.mode in GREY_MODES if "icc" in metadata else _is_grey(pixels):
        pixels = np.ascontiguousarray(pixels[..., 0])
    return Picture(pixels if alpha is None else np.dstack([pixels, alpha]), tuple(notes), metadata)


def _to_array(im):
    """uint8 (H, W, 3) of a picture of mode RGB. Made in strips: Pillow makes copies on the way.

    Not by `crop`, to which Image.MAX_IMAGE_PIXELS applies as to files.
    """
    pixels = np.empty((im.height, im.width, 3), dtype=np.uint8)
    for top in range(0, im.height, STRIP):
        bottom = min(top + STRIP, im.height)
        rows = 0, top, im.width, bottom
        pixels[top:bottom] = im.resize((im.width, bottom - top), Image.Resampling.NEAREST, rows)
    return pixels


def _is_grey(pixels):
    strips = (pixels[top : top + STRIP] for top in range(0, len(pixels), STRIP))
    return all((s[..., 0] == s[..., 1]).all() and (s[..., 1] == s[..., 2]).all() for s in strips)


def _upright(im):
    try:
        turned = im.getexif().get(ExifTags.Base.Orientation, 1) != 1
        return ImageOps.exif_transpose(im) if turned else im  # a copy
    except Exception:  # broken EXIF data says nothing about the orientation
        return im


def _metadata(im, keep):
    """EXIF and XMP of an upright picture, whose orientation tag is gone, where asked for."""
    found = {}
    if "exif" in keep and (exif := im.info.get("exif")):
        found["exif"] = exif
    if "xmp" in keep and (xmp := im.info.get("xmp") or im.info.get("XML:com.adobe.xmp")):
        found["xmp"] = xmp.encode() if isinstance(xmp, str) else xmp
    return found


def _to_eight_bits(im, deep):
    key = im.info.get("transparency") if deep else None
    if im.mode in DEEP_MODES:
        im = _scale_to_eight_bits(im)
    if key is not None:
        im.info["transparency"] = tuple(v >> 8 for v in key) if isinstance(key, tuple) else round(key / 257)
    return im


def _scale_to_eight_bits(im):
    """Grey of mode L; the values' range is taken to be the smallest of 1 (floats), 2^16 and 2^32 that holds them."""
    values = np.nan_to_num(np.asarray(im).astype(np.float64))
    ranges = (1.0, 255.0, 65535.0) if im.mode == "F" else (65535.0, 4294967295.0)
    top = next((r for r in ranges if values.max(initial=0.0) <= r), ranges[-1])
    return Image.fromarray(np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8))


def _split_alpha(im):
    """(uint8 (H, W), or None where all is opaque, and the picture without it)."""
    if not im.has_transparency_data:
        return None, im
    rgba = im.convert("RGBA")
    colours = rgba.convert("L") if im.mode in GREY_MODES else rgba.convert("RGB")
    alpha = np.asarray(rgba.getchannel("A"))
    return None if alpha.min() == 255 else alpha, colours


def _convert_colours(im, profile, notes):
    if profile:
        try:
            return _by_profile(im, profile)
        except (ImageCms.PyCMSError, OSError, ValueError):
            notes.append("the colour profile cannot be used and is ignored")
    return im if im.mode == "RGB" else im.convert("RGB")


def _by_profile(im, profile):
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if im.mode == "P":
        im = im.convert("RGB")
    return ImageCms.profileToProfile(im, source, ImageCms.createProfile("sRGB"), outputMode="RGB")


def suffix_of(path):
    """The lower-case suffix of an output picture's name. Raises OptionError where it cannot be written."""
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise OptionError(f"cannot write {path.name}: name the output {', '.join(sorted(WRITERS))}")
    return suffix


def write_image(pixels, suffix=".png", metadata=None):
    """The bytes of a picture file of uint8 pixels, shaped as in Picture: lossless but for .jpg, of quality 95.

    JPEG has no alpha: there the picture is laid on white. `metadata` as in Picture. Raises OptionError.
    """
    out, (height, width) = io.BytesIO(), pixels.shape[:2]
    if max(height, width) > LONGEST.get(suffix, MAX_SIDE):
        raise OptionError(f"{width}x{height} pixels do not fit a {suffix} file: write .png")
    if suffix == ".png":
        return pack_png(pixels, _metadata_chunks(metadata or {}))
    im = Image.fromarray(pixels)
    if suffix in OPAQUE and im.mode in ("LA", "RGBA"):
        im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im.convert("RGBA")).convert(im.mode.rstrip("A"))
    options = {NAMES[name]: value for name, value in (metadata or {}).items()}
    try:
        im.save(out, **WRITERS[suffix], **options)
    except (OSError, ValueError) as error:
        raise OptionError(f"{width}x{height} pixels or their metadata do not fit a {suffix} file: {error}") from None
    return out.getvalue()


def resized(pixels, height, width):
    """uint8 (height, width, 3) of uint8 pixels (H, W, 3), by Lanczos' filter: a smaller one has means, not samples."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


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
