"""Alpha planes to the few bytes of a chunk and back.

    byte 0 = 0   constant: one byte, the value of all pixels
    byte 0 = 1   mask: CCITT group 4 (ITU-T T.6), white is 255, black is 0
    byte 0 = 2   smoothed mask: the same, for alpha that is a mask but for its outlines; after decoding it
                 is filtered by (1 2 1) / 4 along rows and columns, but for its outermost pixels
    byte 0 = 3   soft: one byte, the factor n = 2..255; then a WebP image (lossy) of ceil(width / n) x
                 ceil(height / n) pixels, whose green channel, scaled up by the bicubic filter, is the plane;
                 values up to 4 become 0, from 251 on 255

Masks are exact. The group 4 data is one strip, most significant bit first, without a TIFF file around it.

Image.MAX_IMAGE_PIXELS is about files that a program opens. It says nothing about these planes, whose size the caller
has checked, so they pass by `Image.open`.
"""

import io
import struct
from threading import Lock

import numpy as np
from PIL import Image, ImageFilter, TiffImagePlugin, WebPImagePlugin

from odpiece.formats.errors import DamagedError

CONSTANT, MASK, SMOOTHED, SOFT = range(4)
SMOOTHED_ERROR = (
    10  # rms error, in levels, up to which a smoothed mask is good enough; beyond, if no worse than the soft plane
)
SOFT_QUALITY = 40  # of WebP, 0..100
WEBP_SIDE = 16383  # pixels, the longest that WebP takes
SNAP = 4  # levels from 0 and 255 that soft planes are drawn to them
PIXEL_LIMIT = Lock()  # held while Pillow's is another
SMOOTHING = ImageFilter.Kernel((3, 3), (1, 2, 1, 2, 4, 2, 1, 2, 1))
GROUP4 = 4  # TIFF's number of the compression
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, OFFSET, ROWS, COUNT = 256, 257, 258, 259, 262, 273, 278, 279


def pack_alpha(plane):
    """The data of an alpha chunk from uint8 (H, W), 0 transparent to 255 opaque."""
    if plane.min() == plane.max():
        return bytes([CONSTANT, plane[0, 0]])
    mask = Image.fromarray(np.where(plane > 127, 255, 0).astype(np.uint8))
    if ((plane == 0) | (plane == 255)).all():
        return bytes([MASK]) + _pack_group4(mask)
    soft = bytes([SOFT]) + _pack_soft(plane)
    allowed = max(SMOOTHED_ERROR, _rms(unpack_alpha(soft, *plane.shape), plane))
    return bytes([SMOOTHED]) + _pack_group4(mask) if _rms(_smoothed(mask), plane) <= allowed else soft


def unpack_alpha(data, height, width):
    """uint8 (H, W) from the data of an alpha chunk. Raises DamagedError."""
    try:
        return _unpack(data[0], data[1:], height, width)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise errors of many kinds for damaged data
        raise DamagedError(f"the alpha chunk is damaged: {error}".splitlines()[0]) from None


def fill_transparent(colours, alpha):
    """`colours`, uint8 (H, W, channels), where `alpha` (H, W) is 0 filled with smooth colours from around."""
    known = alpha > 0
    if known.all() or not known.any():
        return colours if known.any() else np.full_like(colours, 128)
    filled = _pull_push(colours.astype(np.float32), known.astype(np.float32)[..., None])
    return np.where(known[..., None], colours, np.clip(np.rint(filled), 0, 255).astype(np.uint8))


def _unpack(kind, body, height, width):
    if kind == CONSTANT and len(body) == 1:
        return np.full((height, width), body[0], dtype=np.uint8)
    if kind in (MASK, SMOOTHED):
        mask = _unpack_group4(body, height, width)
        return _smoothed(mask) if kind == SMOOTHED else np.array(mask)
    if kind == SOFT and body[0] >= 2:
        return _unpack_soft(body[1:], body[0], height, width)
    raise ValueError(f"its kind is {kind}")


def _smoothed(mask):
    """uint8 (H, W): the mask filtered, its outermost pixels left as they are."""
    return np.array(mask.filter(SMOOTHING))


def _rms(a, b):
    return np.sqrt(np.mean((a.astype(np.float32) - b) ** 2))


def _pack_group4(mask):
    out = io.BytesIO()
    mask.convert("1").save(out, "TIFF", compression="group4", tiffinfo={ROWS: mask.height, PHOTOMETRIC: 0})
    out.seek(0)
    tags = TiffImagePlugin.ImageFileDirectory_v2(out.read(8))
    out.seek(tags.next)
    tags.load(out)
    (offset,), (count,) = tags[OFFSET], tags[COUNT]
    return out.getvalue()[offset : offset + count]


def _unpack_group4(strip, height, width):
    """A Pillow image of mode L, values 0 and 255, by a TIFF file put around the strip."""
    tags = {WIDTH: width, HEIGHT: height, BITS: 1, COMPRESSION: GROUP4, PHOTOMETRIC: 0}
    tags |= {OFFSET: 10 + 12 * 8 + 4, ROWS: height, COUNT: len(strip)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    tiff = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + strip
    with TiffImagePlugin.TiffImageFile(io.BytesIO(tiff)) as im:
        decoder, _, _, arguments = im.tile[0]
    return Image.frombytes("1", (width, height), tiff, decoder, arguments).convert("L")


def _pack_soft(plane):
    factor = max(2, -(-max(plane.shape) // WEBP_SIDE))
    out = io.BytesIO()
    small = Image.fromarray(plane).reduce(factor)
    small.convert("RGB").save(out, "WEBP", quality=SOFT_QUALITY, method=6)
    return bytes([factor]) + out.getvalue()


def _unpack_soft(webp, factor, height, width):
    size = -(-width // factor), -(-height // factor)
    with _open_webp(webp, size[0] * size[1]) as im:
        if im.size != size:
            raise ValueError("its size is not that of the picture")
        small = im.convert("RGB").getchannel("G")
    large = np.asarray(small.resize((small.width * factor, small.height * factor), Image.Resampling.BICUBIC))
    plane = large[:height, :width].copy()
    plane[plane <= SNAP], plane[plane >= 255 - SNAP] = 0, 255
    return plane


def _open_webp(webp, pixels):
    """The Pillow image of WebP data; more than `pixels`, and more than Pillow's limit, are refused by the plugin."""
    with PIXEL_LIMIT:
        before = Image.MAX_IMAGE_PIXELS
        if before is not None and before < pixels:
            Image.MAX_IMAGE_PIXELS = pixels
        try:
            return WebPImagePlugin.WebPImageFile(io.BytesIO(webp))
        finally:
            if Image.MAX_IMAGE_PIXELS != before:
                Image.MAX_IMAGE_PIXELS = before


def _pull_push(colours, weight):
    """Float colours (H, W, C) everywhere from those of `weight` (H, W, 1) above 0: means of ever larger squares."""
    if weight.all() or max(weight.shape[:2]) == 1:
        return colours
    total, count = _halve(colours * weight), _halve(weight)
    coarse = _pull_push(total / np.maximum(count, 1e-9), np.minimum(count, 1.0))
    fine = coarse.repeat(2, axis=0).repeat(2, axis=1)[: weight.shape[0], : weight.shape[1]]
    return np.where(weight > 0, colours, fine)


def _halve(grid):
    """Sums of squares of 2x2, edges padded with zeros."""
    grid = np.pad(grid, ((0, grid.shape[0] % 2), (0, grid.shape[1] % 2), (0, 0)))
    return grid[::2, ::2] + grid[1::2, ::2] + grid[::2, 1::2] + grid[1::2, 1::2]
