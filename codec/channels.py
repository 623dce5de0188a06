"""What pictures of every family share: grey, alpha, and what may be given as pixels."""

import numpy as np

from odpiece.codec.arguments import to_array
from odpiece.formats.chunks import Chunk, ChunkType
from odpiece.formats.errors import OptionError


def split_channels(pixels):
    """(colours (H, W, 1 or 3), filled in where alpha is 0, alpha (H, W) or None) of pixels as `encode` takes them.

    Raises OptionError.
    """
    pixels = _checked(pixels)
    if pixels.ndim == 2:
        return pixels[..., None], None
    if pixels.shape[2] == 3:
        return pixels, None
    from odpiece.formats.alpha import fill_transparent  # loads Pillow

    return fill_transparent(pixels[..., :-1], pixels[..., -1]), pixels[..., -1]


def alpha_chunks(alpha):
    """The chunks that keep an alpha plane, uint8 (H, W) or None: none where all is opaque."""
    if alpha is None or alpha.min() == 255:
        return ()
    from odpiece.formats.alpha import pack_alpha

    return (Chunk(ChunkType.ALPHA, pack_alpha(alpha), critical=True),)


def to_colours(pixels, grey):
    """Decoded uint8 (H, W, 3) as the picture is: grey (H, W), the mean of the channels, where `grey` is true."""
    if grey:
        return ((pixels.sum(axis=2, dtype=np.uint16) + 1) // 3).astype(np.uint8)
    return np.ascontiguousarray(pixels)


def _checked(pixels):
    if hasattr(pixels, "getbands"):  # of Pillow, which whoever made it has imported
        from odpiece.formats.images import image_pixels

        pixels = image_pixels(pixels)
    pixels = to_array(pixels, "pixels")
    fits = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (2, 3, 4))
    if pixels.dtype != np.uint8 or not fits or 0 in pixels.shape:
        raise OptionError(f"pixels are {pixels.dtype} {pixels.shape}, give uint8 (height, width, 3), (.., 4) or 2-D")
    return pixels
