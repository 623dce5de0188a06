"""Pictures that are coded smaller than they are: down to 1/2 or 1/4 by the encoder, up again by every reader.

The way up is part of the format, see docs/format.md. The way down is the encoder's own choice. Both go in strips, so
that a large picture is never there twice.
"""

import numpy as np

from odpiece.formats.scales import small_side

STRIP = 256  # lines of the small picture that are scaled at once
REACH = {1: 0, 2: 8, 4: 16}  # lines and columns beyond a strip that the filters see, on either side


def reduced(pixels, scale):
    """uint8 (ceil(H / scale), ceil(W / scale), ..) of pixels (H, W, 3) or grey (H, W), by Lanczos' filter.

    The right and bottom edges go on to whole pixels of the small picture.
    """
    if scale == 1:
        return pixels
    height, width = (small_side(side, scale) for side in pixels.shape[:2])
    small = np.empty((height, width, *pixels.shape[2:]), np.uint8)
    for top in range(0, height, STRIP):
        bottom = min(height, top + STRIP)
        box = (0, top * scale, width * scale, bottom * scale)
        small[top:bottom] = _resized(pixels, box, (width, bottom - top), REACH[scale], "LANCZOS")
    return small


def enlarged(small, scale, height, width):
    """uint8 (height, width, ..) of a small picture (h, w, 3) or grey (h, w), by Catmull and Rom's cubic."""
    if scale == 1:
        return small
    pixels = np.empty((height, width, *small.shape[2:]), np.uint8)
    for top in range(0, small.shape[0], STRIP):
        bottom = min(small.shape[0], top + STRIP)
        box = (0, top, small.shape[1], bottom)
        size = small.shape[1] * scale, (bottom - top) * scale
        strip = _resized(small, box, size, 2, "BICUBIC")
        pixels[top * scale : bottom * scale] = strip[: height - top * scale, :width]
    return pixels


def _resized(pixels, box, size, reach, filter):
    """uint8 of `size` (w, h): the part `box` (left, top, right, bottom) of `pixels`, whose edges go on for ever."""
    from PIL import Image  # not loaded for pictures of their own size

    left, top, right, bottom = box[0] - reach, box[1] - reach, box[2] + reach, box[3] + reach
    height, width = pixels.shape[:2]
    part = pixels[max(0, top) : bottom, max(0, left) : right]
    beyond = [(max(0, -top), max(0, bottom - height)), (max(0, -left), max(0, right - width))]
    part = np.pad(part, beyond + [(0, 0)] * (pixels.ndim - 2), mode="edge")
    inside = reach, reach, reach + box[2] - box[0], reach + box[3] - box[1]
    return np.asarray(Image.fromarray(part).resize(size, Image.Resampling[filter], inside))


def largest(plane, scale):
    """uint8 (ceil(H / scale), ceil(W / scale)) of a plane (H, W): the largest value that each small pixel covers."""
    for axis, side in enumerate(plane.shape):
        plane = np.maximum.reduceat(plane, range(0, side, scale), axis=axis) if scale > 1 else plane
    return plane
