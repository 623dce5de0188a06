"""What the encoder sees in the picture that its file shows: the errors of pieces, and what mean colours lack.

Where the mean colour of blocks is off a mesh of squares is seen, however small the error of single pixels is.
"""

import numpy as np

from odpiece.models.interface import LATENTS_PER_TOKEN, PIECE, latent_steps

OFF = 6.0  # levels by which the mean colour of 64x64 pixels of the true picture may be off
LEVEL = 1 / 127.5  # of the pixels that are transformed
GREY = 128


def piece_errors(shown, wanted, importance):
    """float32 (H / 64, W / 64): squared errors, as Transform.error gives them, of uint8 `shown` (H, W, 3)."""
    squares = importance * np.square(shown.astype(np.float32) - wanted).sum(axis=2) / 127.5**2
    return _sums(squares[..., None], PIECE)[0]


def missing_means(shown, wanted, importance, block):
    """float32 (3, H / block, W / block): levels that the mean colours of `shown` lack to be those of `wanted`.

    Both are uint8 (H, W, 3). Pixels count by their `importance` (H, W); blocks where none does lack nothing.
    """
    lacking = importance[..., None] * (wanted.astype(np.float32) - shown)
    return _sums(lacking, block) / np.maximum(_sums(importance[..., None], block), 1)


def _sums(values, block):
    """float32 (channels, H / block, W / block) of (H, W, channels)."""
    rows, columns = (side // block for side in values.shape[:2])
    return values.reshape(rows, block, columns, block, -1).sum((1, 3)).transpose(2, 0, 1)


def worth_mending(missing, q):
    """`missing`, of `missing_means`, without what is allowed: OFF levels, or a step of the mean colour at `q`."""
    allowed = max(OFF, latent_steps(q)[0][:LATENTS_PER_TOKEN].max() / (PIECE * LEVEL))
    return np.where(np.abs(missing).max(axis=0) > allowed, missing, np.float32(0))


def as_picture(levels, block):
    """uint8 (H, W, 3): GREY, and in each block that of `levels` (3, H / block, W / block) more."""
    colours = np.clip(np.rint(GREY + levels), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(colours.repeat(block, 0).repeat(block, 1))
