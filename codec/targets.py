"""Encoding to a target instead of a quality: the largest file of a size, the smallest file of a PSNR.

Bytes and PSNR grow with q, but for a few steps, so a bisection over q = 1..1024 finds the target with ten
encodings of the same latents.
"""

import numpy as np

from odpiece.codec.picture import Analyzed
from odpiece.formats.errors import OptionError
from odpiece.models.interface import TOKENS


def encode_to_size(pixels, size, **options):
    """The bytes of the best .odp file of at most `size` bytes; `pixels` and `options` as of `encode`.

    Raises OptionError where no quality makes a file so small.
    """
    picture = Analyzed(pixels, **options)
    q, data = _last(lambda data: len(data) <= size, picture)
    if q == 0:
        raise OptionError(f"the smallest file of this picture has {len(picture.encode(1))} bytes, give at least that")
    return data


def encode_to_psnr(pixels, decibels, **options):
    """The bytes of the smallest .odp file of at least this PSNR in dB; `pixels` and `options` as of `encode`.

    Raises OptionError where no quality reaches it.
    """
    picture = Analyzed(pixels, **options)

    def falls_short(data):
        return psnr(picture.pixels, picture.decoded(data)) < decibels

    q, data = _last(falls_short, picture)
    if q == TOKENS:
        best = psnr(picture.pixels, picture.decoded(data))
        raise OptionError(f"this picture reaches {best:.2f} dB at most, give less")
    return picture.encode(q + 1)


def psnr(a, b):
    """Peak signal-to-noise ratio in dB of two uint8 arrays of one shape, over all channels."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _last(holds, picture):
    """(q, data) of the largest q for which `holds(data)`, found by bisection; (0, b"") where it never does."""
    low, high, found = 0, TOKENS + 1, b""
    while high - low > 1:
        middle = (low + high) // 2
        data = picture.encode(middle)
        if holds(data):
            low, found = middle, data
        else:
            high = middle
    return low, found
