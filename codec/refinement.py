"""The encoder's search: latents corrected in a closed loop through the synthesis.

The analysis only estimates which latents reproduce a picture best. Each round codes the picture, takes the
gradient of the decoded picture's squared error in the latents, moves the latents against it, and rounds them
again by what they cost: proximal gradient descent on D + lambda * R, as in iterative shrinkage (Daubechies,
Defrise and De Mol 2004). The file with the least D + lambda * R of all rounds is kept.
"""

import numpy as np

from odpiece.codec.quantization import dequantize
from odpiece.models.interface import BANDS, LAMBDA, PIECE, step_size

ROUNDS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)  # by effort, 0..9
TILE, MARGIN = 12, 2  # pieces: larger pictures go through the synthesis in overlapping squares, to bound memory
PACE = 0.5  # part of the way to what the gradient asks for, were the synthesis orthonormal


def refine(latents, q, slope, code, error, rounds):
    """The best (segments, tokens) that `code` makes of float `latents` and of `rounds` corrections of them.

    `code(latents)` gives such a pair; `error(latents, gradients)` the squared error of the decoded picture and,
    if asked for, its gradients, see Transform.error.
    """
    best = coded = code(latents)
    least = np.inf
    for number in range(rounds + 1 if rounds else 0):
        decoded = dequantize(coded[1], q)
        distance, gradients = error(decoded, number < rounds)
        cost = distance / step_size(q) ** 2 + slope * LAMBDA * 8 * sum(len(part.payload) for part in coded[0])
        if cost < least:
            best, least = coded, cost
        if number < rounds:
            latents = tuple(z + PACE * (d - g / 2 - z) for z, d, g in zip(latents, decoded, gradients))
            coded = code(latents)
    return best


def tiled_error(transform, latents, q, pixels, importance, gradients):
    """(sum of squared errors, gradients) by Transform.error, tile after tile; arguments as there.

    Near the borders of tiles the synthesis sees MARGIN pieces of what lies beyond.
    """
    rows, columns = latents[0].shape[1:]
    total, found = 0.0, tuple(np.zeros_like(z) for z in latents if gradients)
    for top in range(0, rows, TILE):
        for left in range(0, columns, TILE):
            inner = slice(top, min(top + TILE, rows)), slice(left, min(left + TILE, columns))
            outer = tuple(slice(max(0, s.start - MARGIN), s.stop + MARGIN) for s in inner)
            area = tuple(slice(s.start * PIECE, s.stop * PIECE) for s in outer)
            part = tuple(_crop(z, b, outer) for z, b in zip(latents, BANDS))
            errors, parts = transform.error(part, q, np.ascontiguousarray(pixels[area]), importance[area], gradients)
            inside = tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(inner, outer))
            total += float(errors[inside].sum(dtype=np.float64))
            for whole, gradient, band in zip(found, parts, BANDS):
                _crop(whole, band, inner)[:] = _crop(gradient, band, inside)
    return total, found


def _crop(grid, band, pieces):
    """The part of a band's grid (latents, h, w) in a rectangle of pieces, a pair of slices."""
    return grid[:, *(slice(s.start * band.side, s.stop * band.side) for s in pieces)]
