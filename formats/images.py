"""Picture files to 8-bit pixels, sRGB unless their profile is kept, and back: the door to the modules beside this.

opening.py opens files, depth.py and colours.py make 8-bit sRGB of what is in them, metadata.py cares for what goes
along, writing.py writes.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from PIL import ExifTags, Image, ImageCms

from odpiece.formats.colours import fits, to_srgb
from odpiece.formats.container import MAX_PIXELS
from odpiece.formats.depth import DEEP_MODES, to_eight_bits
from odpiece.formats.errors import ImageError
from odpiece.formats.metadata import exif_of_tags, is_short, kept_metadata, orientation_of
from odpiece.formats.opening import PLUGINS, open_picture, pillow_settings, said, sample_bits
from odpiece.formats.writing import WRITERS, few_colours, fitting_metadata, keeps_alpha, resized, suffix_of, write_image

__all__ = [
    "SUFFIXES",
    "WRITERS",
    "Picture",
    "few_colours",
    "fitting_metadata",
    "image_pixels",
    "keeps_alpha",
    "read_image",
    "resized",
    "suffix_of",
    "write_image",
]

# What is taken for a picture in a folder; a file that is named is read whatever its suffix is
SUFFIXES = frozenset(
    ".apng .avif .avifs .bmp .bw .cur .dcx .dds .dib .fits .gif .icb .icns .ico .j2c .j2k .jfif .jp2 .jpc .jpe .jpeg "
    ".jpf .jpg .jps .jpx .mpo .pbm .pcx .pfm .pgm .png .pnm .ppm .psd .qoi .ras .rgb .rgba .sgi .tga .tif .tiff .vda "
    ".vst .webp .xbm .xpm".split()
).union(*(suffixes for package, suffixes in PLUGINS.items() if find_spec(package)))
GREY_MODES = ("1", "L", "LA", "La", *DEEP_MODES)
STRIP = 256  # rows that are treated at once, so that large pictures take little memory beside themselves
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation


@dataclass(frozen=True)
class Picture:
    """`pixels` uint8 sRGB: (H, W, 3), with alpha (H, W, 4), grey (H, W), or grey with alpha (H, W, 2).

    `notes` says in one line each what of the file was not kept, `metadata` holds what was asked for of "exif",
    "icc" and "xmp", as bytes; with "icc" the pixels are of that profile instead of sRGB.
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()
    metadata: dict[str, bytes] = field(default_factory=dict)


def read_image(data, name="the input", *, keep=(), max_pixels=MAX_PIXELS, allow_truncated=False):
    """The Picture in the bytes of a PNG, JPEG, WebP or any other file that Pillow reads.

    EXIF orientation is applied, an ICC profile, or the gamma and the primaries of a PNG, are converted to sRGB, 16
    bits become 8, CMYK becomes sRGB, and of an animation the first frame is taken; where all channels are equal the
    picture is grey. `keep` names the metadata to keep, of "exif", "icc" and "xmp"; a kept profile leaves the colours
    as they are. With `allow_truncated` a file may end early. Raises ImageError, also for more pixels than `max_pixels`.
    """
    im, bits, notes = open_picture(data, name, max_pixels, allow_truncated)
    try:
        with pillow_settings(max_pixels):
            return _to_picture(im, bits, keep, notes)
    except Exception as error:  # Pillow raises errors of many kinds for damaged files
        raise ImageError(f"{name} cannot be read: {said(error)}") from None


def image_pixels(image):
    """uint8 pixels, shaped as in Picture, of a Pillow image, treated as `read_image` treats files' images.

    Raises ImageError: its file may be read only now, and be damaged or closed.
    """
    try:
        with pillow_settings(image.width * image.height):
            bits = sample_bits(image)
            image.load()
            return _to_picture(image, bits, (), []).pixels
    except MemoryError:
        raise
    except Exception as error:  # of many kinds, as in read_image
        raise ImageError(f"the image cannot be read: {said(error)}") from None


def _to_picture(im, bits, keep, notes):
    """The Picture of a loaded image with `bits` a sample; `notes` are those on its file."""
    notes, info = [*notes], im.info
    if bits > 8:
        notes.insert(0, "more than 8 bits a channel are reduced to 8")
    if im.mode == "CMYK":
        notes.append("CMYK colours are converted to sRGB")
    tags = {} if info.get("exif") or "exif" not in keep else {"exif": exif_of_tags(_tags(im), notes)}
    metadata = kept_metadata(info | tags, keep, notes)
    im, profile = to_eight_bits(_upright(im), bits), _profile(im, notes)
    if "icc" in keep and im.mode in ("CMYK", "LAB") and info.get("icc_profile"):
        notes.append(f"the {im.mode} profile is not kept")
    elif profile and "icc" in keep and is_short("icc", profile, notes):
        metadata["icc"], profile, info = profile, None, {}
    grey = im.mode in GREY_MODES
    alpha, im = _split_alpha(im)
    pixels = _to_array(_convert_colours(im, profile, info, notes))
    if grey if "icc" in metadata else _is_grey(pixels):
        pixels = np.ascontiguousarray(pixels[..., 0])
    for name in metadata.keys() - fitting_metadata(metadata, ".jpg", grey)[0].keys():
        notes.append(f"the {name} is kept, but does not fit .jpg files")
    return Picture(pixels if alpha is None else np.dstack([pixels, alpha]), tuple(notes), metadata)


def _profile(im, notes):
    """The ICC profile of an image, None where there is none of such pixels."""
    profile = im.info.get("icc_profile")
    if profile and not fits(profile, "L" if im.mode in GREY_MODES else im.mode):
        notes.append("the colour profile cannot be used and is ignored")
        return None
    return profile or None


def _tags(im):
    try:
        return im.getexif()
    except Exception:  # broken EXIF data says nothing
        return Image.Exif()


def _upright(im):
    orientation = orientation_of(im.info.get("exif") or b"") or _tags(im).get(ExifTags.Base.Orientation)
    turn = TURNS.get(orientation)
    return im.transpose(turn) if turn is not None else im


def _split_alpha(im):
    """(uint8 (H, W), or None where all is opaque, and the picture without it)."""
    if im.mode == "P" and im.palette is None:  # as Pillow reads some icons
        return None, im.convert("RGB")
    if not im.has_transparency_data:
        return None, im
    rgba = im.convert("RGBA")
    colours = rgba.convert("L") if im.mode in GREY_MODES else rgba.convert("RGB")
    alpha = np.asarray(rgba.getchannel("A"))
    return None if alpha.min() == 255 else alpha, colours


def _convert_colours(im, profile, info, notes):
    try:
        return to_srgb(im, profile, info)
    except (ImageCms.PyCMSError, OSError):
        notes.append("the colour profile cannot be used and is ignored")
        return to_srgb(im, None, {})


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
