"""Latents to tokens: rate-aware rounding, then the tail drop."""

import numpy as np

from odpiece.codec.coders import FIRST_ROW, LARGEST, octave
from odpiece.codec.range_coder import bits
from odpiece.codec.tokens import MAX_LATENT, trim
from odpiece.models.interface import BANDS, step_size

LAMBDA = 0.15  # squared quantization steps a bit: what the tokenizer was trained with


def quantize(latents, q, table):
    """Tokens of float latents (as Transform.analyze gives them) at quality `q`.

    `table` is the static coder's, uint32 (11, 264, 64): each latent is rounded, then moved one step
    towards zero where that lowers squared error + LAMBDA * bits under the table.
    """
    cost = LAMBDA * bits(table[octave(q)].astype(np.float64))
    rounded = []
    for i, z in enumerate(latents):
        scaled = z.astype(np.float32) / np.float32(step_size(q))
        rounded.append(_round(scaled, cost[FIRST_ROW[i] : FIRST_ROW[i + 1]]))
    return trim(rounded, q)


def _round(scaled, cost):
    """int32 like `scaled` (latents, h, w), with `cost` (latents, 64) of each symbol."""
    nearest = np.clip(np.rint(scaled), -MAX_LATENT, MAX_LATENT).astype(np.int32)
    at = np.flatnonzero((nearest != 0) & (np.abs(nearest) <= LARGEST))
    latent = at // scaled[0].size
    value, high = scaled.ravel()[at], nearest.ravel()[at]
    low = high - np.sign(high)
    gain = (value - low) ** 2 - (value - high) ** 2
    gain += cost[latent, low + LARGEST] - cost[latent, high + LARGEST]
    nearest.ravel()[at] = np.where(gain < 0, low, high)
    return nearest


def dequantize(tokens, q):
    """float32 latents from Tokens at quality `q`, a tuple like Transform.analyze gives."""
    step = np.float32(step_size(q))
    return tuple(z.astype(np.float32) * step for z in tokens.bands)


def whole_pieces(pixels):
    """uint8 (H, W, 3) extended by its edge pixels to multiples of 64, contiguous."""
    piece = BANDS[0].block
    bottom, right = (-n % piece for n in pixels.shape[:2])
    return np.ascontiguousarray(np.pad(pixels, ((0, bottom), (0, right), (0, 0)), mode="edge"))
