"""The encoder's search: latents corrected in a closed loop through the synthesis.

The analysis only estimates which latents reproduce a picture best. Each round codes the picture, takes the
gradient of the decoded picture's squared error in the latents, moves the latents against it, and rounds them
again by what they cost: proximal gradient descent on D + lambda * R, as in iterative shrinkage (Daubechies,
Defrise and De Mol 2004). The file with the least D + lambda * R of all rounds is kept.
"""

import numpy as np

from odpiece.codec.bands.quantization import dequantize
from odpiece.codec.bands.windows import area, crop, crop_tokens, padded_pixels, windows
from odpiece.models.interface import BANDS, LAMBDA, PIECE, step_size

ROUNDS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)  # by effort, 0..9
TILE, MARGIN = 12, 2  # pieces: larger pictures go through the synthesis in overlapping squares, to bound memory
PACE = 0.5  # part of the way to what the gradient asks for, were the synthesis orthonormal


def refine(latents, q, slope, code, measure, rounds):
    """The cheapest of the files that `code` makes of float `latents` and of `rounds` corrections, in place, of them.

    `code(latents)` gives (the bytes of a file, its Tokens). `measure(tokens, latents)` gives the squared error of the
    decoded picture, and moves the latents, unless they are None, against its gradient.
    """
    data, tokens = code(latents)
    best, least = data, np.inf
    for number in range(rounds + 1 if rounds else 0):
        distance = measure(tokens, latents if number < rounds else None)
        cost = distance / step_size(q) ** 2 + slope * LAMBDA * 8 * len(data)
        if cost < least:
            best, least = data, cost
        if number < rounds:
            del tokens  # before others take as much memory
            data, tokens = code(latents)
    return best


def tiled_error(transform, tokens, q, pixels, alpha=None, latents=None):
    """The sum of squared errors, by Transform.error, of the picture of Tokens, tile after tile.

    `pixels` are uint8 (H, W, 3) or grey (H, W); those whose `alpha` (H, W) is 0 do not count. Moves `latents`, if
    given, in place to where the gradients ask for. Near the borders of tiles the synthesis sees MARGIN pieces of what
    lies beyond.
    """
    total, used = 0.0, [band for band in BANDS if band.first_token < q]
    for window in windows(*tokens.lengths.shape, TILE, MARGIN):
        decoded = dequantize(crop_tokens(tokens, window.outer), q)
        seen = padded_pixels(pixels, window.outer), _importance(pixels, alpha, window.outer)
        errors, gradients = transform.error(decoded, q, *seen, latents is not None)
        total += float(errors[window.inside].sum(dtype=np.float64))
        for band, z, d, g in zip(used, latents or (), decoded, gradients):
            here = crop(z, band, window.inner)
            here += PACE * crop(d - g / 2, band, window.inside) - PACE * here
    return total


def _importance(pixels, alpha, pieces):
    """float32 (H, W) of a rectangle of pieces: 0 where nothing is seen, beyond the edges or behind alpha 0, else 1."""
    height, width = pixels[area(pieces)].shape[:2]
    importance = np.zeros([(s.stop - s.start) * PIECE for s in pieces], dtype=np.float32)
    importance[:height, :width] = 1 if alpha is None else alpha[area(pieces)] > 0
    return importance
