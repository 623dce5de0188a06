"""Latents to tokens: a draft that settles the lengths of pieces, then rate-aware rounding as they are coded."""

import numpy as np

from odpiece.codec.bands.coders import LARGEST, STATIC_ROWS, SYMBOLS, buckets, length_classes, octave, to_symbols
from odpiece.codec.bands.tokens import MAX_LATENT, trim
from odpiece.codec.range_coder import bits
from odpiece.models.interface import BANDS, bands_of, latent_steps, step_size

LAMBDA = 0.11  # -dD/dR in squared steps a bit; networks are trained with 0.15, see docs/decisions/speed.md
PASSES = 2
TOLERANCE = 1e-6  # far above what rounding changes of costs


def source(latents, q, coder, table, slope=1.0, fixed=False, counts=None):
    """The RateAware source of float latents for `coder`; `table` is the static coder's, for the draft.

    `slope` multiplies LAMBDA: above 1 for fewer bits than usual at this q, below for more; `counts` are as of
    RateAware. Pieces keep all q tokens if `fixed`, or where shorter lengths never pay: under the learned coder.
    """
    trims = coder.trims and not fixed
    lengths = draft(latents, q, table).lengths if trims else np.full(latents[0].shape[1:], q)
    return RateAware(latents, q, lengths, coder, slope, counts)


class RateAware:
    """A source (see codec/bands/walk.py) that rounds float latents as they are coded, with the coder's own bits.

    Each latent becomes the integer, of the nearest and its two neighbours, with the least squared error +
    slope * LAMBDA * bits. `latents` are as Transform.analyze gives them, `lengths` int (rows, columns). Squared errors
    count as often as `counts` say, one float array (1, h, w) a band (default: once).
    """

    def __init__(self, latents, q, lengths, coder, slope=1.0, counts=None):
        self.lengths = lengths
        self._scaled, self._weights, self._counts = _scale(latents, q), _error_weights(q), counts
        self._cost, self._shifts = slope * LAMBDA * (bits(coder.latents) + coder.shifts[:, None]), coder.shifts
        beside = np.roll(self._cost, 1, axis=1), np.roll(self._cost, -1, axis=1)  # beyond both ends is ESCAPE
        self._gains = np.maximum(self._cost - np.minimum(*beside), 0)  # what a step saves at most

    def values(self, band, members, here, rows, centres):
        """int32 (n,): the latents `members` of a band where `here` is set, coded under `rows` and `centres`, (n,)."""
        scaled = self._scaled[band][members][here]
        weights = self._weights[band][members][:, None, None]
        weights = weights if self._counts is None else weights * self._counts[band]
        weights = np.broadcast_to(weights, here.shape)[here]
        nearest = np.clip(np.rint(scaled), 1 - MAX_LATENT, MAX_LATENT - 1)
        error, nearest = np.subtract(scaled, nearest, dtype=np.float64), nearest.astype(np.int32)
        residuals = nearest - centres
        more = weights * (1 - 2 * np.abs(error))  # squared error of the second nearest
        near = np.flatnonzero(self._gains.take(self._places(residuals, rows)) > more - TOLERANCE)
        nearest[near] += self._steps(*(a[near] for a in (error, weights, residuals, rows)))
        return nearest

    def _steps(self, error, weights, residuals, rows):
        """int8 (n,): -1, 0 or 1: to which neighbour of an integer so far from its centre to go, for the least cost."""
        here, below, above = (
            weights * (error - step) ** 2 + self._cost.take(self._places(residuals + step, rows)) for step in (0, -1, 1)
        )
        up = above < np.minimum(here, below)
        return up.astype(np.int8) - ((below < here) & ~up)

    def _places(self, residuals, rows):
        """int64 (n,): where in a flat table with those `rows` the symbols of latents less their centres stand."""
        numbers, shifts = residuals.copy(), self._shifts[rows]
        wide = np.flatnonzero(shifts)
        numbers[wide] = buckets(residuals[wide], shifts[wide])[0]
        return rows * SYMBOLS + to_symbols(numbers)


def draft(latents, q, table):
    """Tokens of float latents at quality `q` under the static coder's table, uint32 (13, 4, 240, 64).

    A first pass takes the bits of pieces of full length, a second one those of the lengths that the first
    one led to.
    """
    cost = LAMBDA * bits(table[octave(q)])
    scaled = _scale(latents, q)
    lengths = np.full(scaled[0].shape[1:], q)
    for _ in range(PASSES):
        rounded = []
        for band, rows, z, weights in zip(BANDS, STATIC_ROWS, scaled, _error_weights(q)):
            classes = length_classes(lengths, q, band.side)
            rounded.append(_round(z, weights, cost[:, rows], classes))
        tokens = trim(rounded, q)
        lengths = tokens.lengths
    return tokens


def _scale(latents, q):
    return tuple(z.astype(np.float32) / step for z, step in zip(latents, _steps(q)))


def _steps(q):
    """float32 (latents, 1, 1), one array a band: the step of each latent."""
    return [steps.astype(np.float32)[:, None, None] for steps in latent_steps(q)]


def _error_weights(q):
    """float64 (latents,), one array a band: what an error of one step of each latent counts, in squared usual steps."""
    return [(steps / step_size(q)) ** 2 for steps in latent_steps(q)]


def _round(scaled, weights, cost, classes):
    """int32 like `scaled` (latents, h, w): rounded, then moved one step towards zero where that costs less.

    `weights` (latents,) of squared errors, `cost` (classes, latents, 64), `classes` (h, w).
    """
    nearest = np.clip(np.rint(scaled), -MAX_LATENT, MAX_LATENT).astype(np.int32)
    at = np.nonzero((nearest != 0) & (np.abs(nearest) <= LARGEST))
    value, high = scaled[at], nearest[at]
    low = high - np.sign(high)
    gain = weights[at[0]] * ((value - low) ** 2 - (value - high) ** 2)
    row = classes[at[1:]], at[0]
    gain += cost[*row, low + LARGEST] - cost[*row, high + LARGEST]
    nearest[at] = np.where(gain < 0, low, high)
    return nearest


def dequantize(tokens, q):
    """float32 latents from Tokens at quality `q`, a tuple like Transform.analyze gives.

    Those of bands that no piece keeps tokens of are zeros which take no memory until they are written to.
    """
    most = tokens.lengths.max(initial=0)
    return tuple(
        np.multiply(z, step, dtype=np.float32) if band.first_token < most else np.zeros(z.shape, np.float32)
        for z, step, band in zip(tokens.bands, _steps(q), bands_of(q))
    )


def toll(tokens, q, model, slope=1.0):
    """What latents cost those coded later: the gradient of slope * LAMBDA * their bits, by the prior of a Model.

    float32 arrays of squared error a unit of the latents, of Tokens at quality `q`, as of `dequantize`.
    """
    cost, found = slope * LAMBDA * step_size(q) ** 2, model.later_bits_gradient(q, tokens.bands)
    return tuple(np.multiply(g, cost / step, dtype=np.float32) for g, step, _ in zip(found, _steps(q), bands_of(q)))


def whole_pieces(pixels):
    """uint8 (H, W, 3) extended by its edge pixels to multiples of 64, contiguous."""
    piece = BANDS[0].block
    bottom, right = (-n % piece for n in pixels.shape[:2])
    return np.ascontiguousarray(np.pad(pixels, ((0, bottom), (0, right), (0, 0)), mode="edge"))
