"""Picture files of every kind opened by Pillow, also those whose pixels are whole while something else is not."""

import io
import os
import struct
import threading
import warnings
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from PIL import Image, ImageFile

from odpiece.formats.errors import ImageError
from odpiece.formats.jpeg import has_all_scans
from odpiece.formats.png import SIGNATURE
from odpiece.formats.png_reader import END_NOTE, mend

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
# What libjpeg may take for the rest of a cut file instead of the zeros that it would put there; restart markers, which
# it would wait for, in two orders, of which one is taken
JPEG_FILLERS = [
    b"".join(b"\xa5\x5a\xc3\x3c" * 99 + bytes([0xFF, 0xD0 + (i + first) % 8]) for i in range(9)) for first in (0, 4)
]
# Packages that teach Pillow further kinds of files when they are told to, and the suffixes of these
PLUGINS = {
    "pillow_heif": (".heic", ".heif", ".hif"),
    "pi_heif": (".heic", ".heif", ".hif"),
    "pillow_jxl": (".jxl",),
    "pillow_avif": (".avif", ".avifs"),
    "pillow_jpls": (".jls",),
}
# First bytes of files that need a plugin, from which position on, and what it is called
NEEDS = (
    (4, b"ftyphei", "HEIC", "pillow-heif"),
    (4, b"ftyphev", "HEIC", "pillow-heif"),
    (4, b"ftypmif1", "HEIF", "pillow-heif"),
    (4, b"JXL ", "JPEG XL", "pillow-jxl-plugin"),
    (0, b"\xff\x0a", "JPEG XL", "pillow-jxl-plugin"),
)
BITS_PER_SAMPLE = 258  # a TIFF tag


def open_picture(data, name, max_pixels, allow_truncated=False):
    """(the loaded Pillow image of the first picture in a file's bytes, bits of a sample, notes on the file's faults).

    A file that ends early is opened where all its pixels are there, or with `allow_truncated`. Raises ImageError.
    """
    info, notes, frames = {}, [], None
    if data.startswith(SIGNATURE):
        mended = mend(data, name)
        data, info, notes, frames = mended.data, mended.info, mended.notes, mended.frames
    try:
        with pillow_settings(max_pixels):
            im, bits = _open(data, name, max_pixels)
            im.load()
            im = _with_deep_key(im, bits, data)
    except ImageError:
        raise
    except Exception as error:  # Pillow's plugins raise errors of many kinds for damaged files
        im, bits, note = _open_cut(data, name, max_pixels, error, allow_truncated)
        notes = [*(line for line in notes if line != END_NOTE), note]
    im.info |= info
    return im, bits, [*notes, *_frame_notes(im, data, max_pixels, frames)]


def sample_bits(im):
    """Bits of a sample in the file of a Pillow image, which are known best before it is loaded."""
    if tags := getattr(im, "tag_v2", None):
        return max(tags.get(BITS_PER_SAMPLE, (8,)))
    args = im.tile[0][3] if getattr(im, "tile", None) else im.mode
    raw_mode = args[0] if isinstance(args, tuple) and args else args
    _, _, bits = raw_mode.partition(";") if isinstance(raw_mode, str) else ("", "", "")
    digits = "".join(c for c in bits if c.isdigit())
    return int(digits) if digits else {"1": 1, "I": 32, "F": 32}.get(im.mode, 8)


class _PillowSettings:
    """What of Pillow is set for the whole process: those who need the same may be inside together, others wait."""

    def __init__(self):
        self._changed, self._inside, self._now, self._undo = threading.Condition(), 0, None, None

    @contextmanager
    def __call__(self, max_pixels, lenient=False):
        """No warnings, pictures up to `max_pixels` (Pillow's limit is never lowered), if `lenient` also cut files."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside or self._now == (max_pixels, lenient))
            if not self._inside:
                self._now, self._undo = (max_pixels, lenient), _set(max_pixels, lenient)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if not self._inside:
                    self._undo.close()
                    self._changed.notify_all()


pillow_settings = _PillowSettings()
if hasattr(os, "register_at_fork"):  # those inside are threads of the parent
    os.register_at_fork(after_in_child=pillow_settings.__init__)


def _set(max_pixels, lenient):
    """The ExitStack that undoes what is set here."""
    undo = ExitStack()
    undo.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    undo.callback(setattr, Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    undo.callback(setattr, ImageFile, "LOAD_TRUNCATED_IMAGES", ImageFile.LOAD_TRUNCATED_IMAGES)
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(max_pixels, Image.MAX_IMAGE_PIXELS)
    ImageFile.LOAD_TRUNCATED_IMAGES = lenient
    return undo


def _open(data, name, max_pixels):
    """(a Pillow image that is not loaded, bits of a sample). Raises ImageError."""
    try:
        try:
            im = Image.open(io.BytesIO(data))
        except Image.UnidentifiedImageError:
            register_plugins()
            im = Image.open(io.BytesIO(data))
    except Image.UnidentifiedImageError:
        raise ImageError(_why_not(data, name)) from None
    except Image.DecompressionBombError:
        raise ImageError(_too_large(name, max_pixels, "too many")) from None
    if im.width * im.height > max_pixels:
        raise ImageError(_too_large(name, max_pixels, f"{im.width}x{im.height}"))
    return im, sample_bits(im)


def register_plugins():
    """Make Pillow know all kinds of files that the installed PLUGINS read and write."""
    for package in filter(find_spec, PLUGINS):
        try:
            module = import_module(package)
            for name in ("register_heif_opener", "register_avif_opener"):
                getattr(module, name, bool)()
        except Exception:  # a plugin that does not fit this Pillow reads nothing
            continue


def _too_large(name, max_pixels, size):
    return f"{name} has {size} pixels, at most {max_pixels} are read: give more with --max-pixels"


def _why_not(data, name):
    """A line on bytes that Pillow takes for no picture: what the plugin that knows their beginning finds wrong."""
    if data[1:4] == b"PNG":
        return f"{name} is a damaged PNG: its first bytes are changed, as when it was sent as text"
    for at, start, title, package in NEEDS:
        if data.startswith(start, at):
            return f"{name} is a {title} file that cannot be read: pip install {package}, if it is not installed"
    for kind in filter(partial(_begins_as, data[:16]), Image.ID):
        try:
            Image.OPEN[kind][0](io.BytesIO(data), None)
        except Exception as error:
            why = "it ends early" if isinstance(error, struct.error) else said(error)
            return f"{name} is a damaged {kind} file, or of a rare kind: {why}"
    return f"{name} is not a picture, give a PNG, JPEG, WebP, TIFF or the like"


def _begins_as(start, kind):
    """Whether a file's first bytes are those of a kind that Pillow opens."""
    try:
        return Image.OPEN[kind][1](start) is True
    except Exception:  # there is no such test, or too few bytes for it
        return False


def said(error):
    """The first line of an error's message, or its kind."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _open_cut(data, name, max_pixels, error, allow_truncated):
    """(a loaded image, bits of a sample, a note) of a file that ended in `error` when it was loaded."""
    with pillow_settings(max_pixels, lenient=True):
        try:
            (im, bits), *others = _filled_in_several_ways(data, name, max_pixels)
        except Exception:
            raise ImageError(f"{name} cannot be read: {said(error)}") from None
        coarse = data.startswith(JPEG_START) and not has_all_scans(data)
        missing = im.height if coarse else _rows_that_differ(im, [other for other, _ in others])
        empty = missing == im.height and len(im.getcolors(1) or ()) == 1
    if not missing:
        return im, bits, "its end is missing or damaged, but its pixels are all there"
    cut = f"ends early or is damaged: {missing} of {im.height} rows are missing or wrong"
    if empty or not allow_truncated:
        raise ImageError(f"{name} {cut}{'' if empty else ', give --allow-truncated to take what is there'}")
    return im, bits, f"it {cut}"


def _filled_in_several_ways(data, name, max_pixels):
    """Pairs of a loaded image and bits of a sample: the images differ where the file has no pixels."""
    if data.startswith(JPEG_START):
        data = data.rstrip(b"\xff")  # half a marker
        opened = [_open(data + filler + JPEG_END, name, max_pixels) for filler in (b"", *JPEG_FILLERS)]
    else:
        opened = [_open(data, name, max_pixels) for _ in range(2)]
        white = opened[1][0]
        bands = len(white.getbands())
        white.im = Image.new(white.mode, white.size, 255 if bands == 1 else (255,) * bands).im
    for im, _ in opened:
        try:
            im.load()
        except Exception:
            if im.tile or im._im is None:  # libtiff reports what it could not read only after all the rest
                raise
    return opened


def _rows_that_differ(im, others):
    """How many rows of an image are not the same in all of the others, which are of its size and mode."""
    step, rows = 256, 0  # rows at once, so that a large picture is not copied
    for top in range(0, im.height, step):
        box = (0, top, im.width, min(top + step, im.height))
        strips = [np.asarray(one.crop(box)).reshape(box[3] - top, -1) for one in (im, *others)]
        rows += int(np.any([(strips[0] != strip).any(axis=1) for strip in strips[1:]], axis=0).sum())
    return rows


def _with_deep_key(im, bits, data):
    """A PNG of 16-bit colours of which one is transparent: with alpha, since Pillow keeps only the upper bytes."""
    key = im.info.get("transparency")
    if not (im.format == "PNG" and im.mode == "RGB" and bits == 16 and isinstance(key, tuple)):
        return im
    low = Image.open(io.BytesIO(data))
    low.tile = [(*low.tile[0][:3], "RGB;16L")]  # as if the bytes were in the other order
    low.load()
    same = (np.asarray(im) == [v >> 8 for v in key]) & (np.asarray(low) == [v & 255 for v in key])
    del im.info["transparency"]
    im.putalpha(Image.fromarray(np.where(same.all(axis=2), 0, 255).astype(np.uint8)))
    return im


def _frame_notes(im, data, max_pixels, frames):
    """A line where a file has more than one picture; `frames` is None where they were not counted yet."""
    try:
        if frames is None and isinstance(getattr(type(im), "n_frames", None), property):
            with pillow_settings(max_pixels), Image.open(io.BytesIO(data)) as again:  # counting may spoil an image
                frames = again.n_frames
    except Exception:
        return ["what follows the first picture cannot be read"]
    frames = frames or getattr(im, "n_frames", 1)
    return [f"only the first of {frames} frames is kept"] if frames > 1 else []
