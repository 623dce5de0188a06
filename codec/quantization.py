"""Latents to tokens: rate-aware rounding, then the tail drop."""

import numpy as np

from odpiece.codec.coders import FIRST_ROW, LARGEST, length_classes, octave
from odpiece.codec.range_coder import bits
from odpiece.codec.tokens import MAX_LATENT, trim
from odpiece.models.interface import BANDS, step_size

PASSES = 2
LAMBDA = 0.15  # squared quantization steps a bit: what the tokenizer was trained with


def quantize(latents, q, table):
    """Tokens of float latents (as Transform.analyze gives them) at quality `q`.

    `table` is the static coder's, uint32 (11, 4, 264, 64): each latent is rounded, then moved one step
    towards zero where that lowers squared error + LAMBDA * bits under the table. A second pass takes the
    bits of the length classes that the first one led to.
    """
    cost = LAMBDA * bits(table[octave(q)].astype(np.float64))
    scaled = [z.astype(np.float32) / np.float32(step_size(q)) for z in latents]
    lengths = np.full(scaled[0].shape[1:], q)
    for _ in range(PASSES):
        rounded = []
        for band, first, z in zip(BANDS, FIRST_ROW, scaled):
            classes = length_classes(lengths, q, band.side)
            rounded.append(_round(z, cost[:, first : first + band.latents], classes))
        tokens = trim(rounded, q)
        lengths = tokens.lengths
    return tokens


def _round(scaled, cost, classes):
    """int32 like `scaled` (latents, h, w); `cost` is (classes, latents, 64), `classes` (h, w)."""
    nearest = np.clip(np.rint(scaled), -MAX_LATENT, MAX_LATENT).astype(np.int32)
    at = np.nonzero((nearest != 0) & (np.abs(nearest) <= LARGEST))
    value, high = scaled[at], nearest[at]
    low = high - np.sign(high)
    gain = (value - low) ** 2 - (value - high) ** 2
    row = classes[at[1:]], at[0]
    gain += cost[*row, low + LARGEST] - cost[*row, high + LARGEST]
    nearest[at] = np.where(gain < 0, low, high)
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
