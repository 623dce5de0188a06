"""The encoder's search: latents corrected in a closed loop through the synthesis.

The analysis only estimates which latents reproduce a picture best. Each round codes the picture, takes the
gradient of the decoded picture's squared error in the latents, moves the latents against it, and rounds them
again by what they cost: proximal gradient descent on D + lambda * R, as in iterative shrinkage (Daubechies,
Defrise and De Mol 2004). The file with the least D + lambda * R of all rounds is kept.
"""

import numpy as np

from odpiece.codec.quantization import dequantize
from odpiece.models.interface import LAMBDA, step_size

ROUNDS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)  # by effort, 0..9
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
