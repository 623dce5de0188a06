"""Coders: which table of integer probabilities each latent is coded under.

A latent k is coded as a symbol of an alphabet of 64: k - centre + 31 where that is 0..62, or 63 for all
others, whose exact value follows (codec/bands/walk.py). Under the rows of wide laws a symbol stands for 2^n
neighbouring values, in place of each, and the low n bits follow. A coder gives the tables, and for each picture a
predictor that gives, step by step, the table row and the centre of each latent:

    coder.latents         uint32 (rows, 64), see codec/range_coder.py
    coder.shifts          int64 (rows,): n for each row
    coder.lengths         uint32 (13, len(LENGTHS)), by octave of q, for the lengths of pieces
    coder.trims           whether pieces whose last tokens are zero should be shortened before coding: it pays
                          where zeros are dear
    coder.predictor(q, limit, lengths).predict(band, group, phase, bands)
                          (rows, centres), integers of shapes that broadcast to (latents of the group, h, w),
                          given all latents coded before, in `bands`: int32 (latents, h, w) a band, where
                          those not yet coded are zero; asked in coding order. `limit` is the most tokens
                          a piece keeps
"""

from dataclasses import dataclass

import numpy as np

from odpiece.codec.bands.tokens import LENGTHS, full_length_index
from odpiece.codec.range_coder import level_table
from odpiece.formats.container import CoderId
from odpiece.models.interface import BANDS, Q_OCTAVES

LARGEST = 31  # largest magnitude with a symbol of its own
ESCAPE = 2 * LARGEST + 1
SYMBOLS = ESCAPE + 1
# Of each band the row in a static table of each latent: its own in bands 0 and 1, its token's in the others
ROW_COUNTS = [b.latents if b.block > 16 else b.ranks for b in BANDS]
STATIC_ROWS = [
    first + np.arange(band.latents) * count // band.latents
    for band, count, first in zip(BANDS, ROW_COUNTS, np.cumsum([0, *ROW_COUNTS]))
]
STATIC_COUNT = sum(ROW_COUNTS)
NO_CENTRE = np.zeros((1, 1, 1), dtype=np.int64)
LENGTH_CLASSES = 4
CLASS_BOUNDS = (1, 3, 5)  # of the length's symbol: steps of LENGTHS below the full length


def octave(q):
    """The nearest octave, 0..12, of quality q (1..4096), by integers alone."""
    return (int(q) ** 2).bit_length() // 2


def buckets(residuals, shifts):
    """int64 latents less their centres to (the number of each one's 2^shift values, from 0 in the middle, low bits)."""
    lifted = residuals + (1 << shifts >> 1)
    return lifted >> shifts, lifted & (1 << shifts) - 1


def to_symbols(numbers):
    """int32 symbols 0..63 of the numbers of buckets; those beyond +-31 become ESCAPE."""
    symbols = np.add(numbers, LARGEST, dtype=np.int32)
    unsigned = symbols.view(np.uint32)  # in which negative ones are the largest
    np.minimum(unsigned, ESCAPE, out=unsigned)
    return symbols


def length_symbols(lengths, limit):
    """Symbols of lengths (any shape): how many steps of LENGTHS below that of `limit` tokens each one is."""
    return full_length_index(limit) - np.searchsorted(LENGTHS, lengths)


def length_classes(lengths, limit, side):
    """int64 (rows * side, columns * side), 0..3: how far below the full length each block's piece is cut."""
    classes = np.searchsorted(CLASS_BOUNDS, length_symbols(lengths, limit), side="right")
    return classes.repeat(side, axis=0).repeat(side, axis=1)


class RawCoder:
    """All symbols equally likely: the yardstick, for which no tables are shipped."""

    trims = True

    def __init__(self):
        self.latents, self.lengths = level_table(1, SYMBOLS), level_table(Q_OCTAVES, len(LENGTHS))
        self.shifts = np.zeros(1, dtype=np.int64)

    def predictor(self, q, limit, lengths):
        return self

    def predict(self, band, group, phase, bands):
        return np.zeros((1, 1, 1), dtype=np.int64), NO_CENTRE


class StaticCoder:
    """Histograms of each latent, or token, of a block, by octave of q and by length class, shipped with the weights.

    `tables` are {"latents": uint32 (13, 4, 240, 64), "lengths": uint32 (13, 29)}.
    """

    trims = True

    def __init__(self, tables):
        self.latents = tables["latents"].reshape(-1, SYMBOLS)
        self.lengths, self.shifts = tables["lengths"], np.zeros(len(self.latents), dtype=np.int64)

    def predictor(self, q, limit, lengths):
        return _StaticPredictor(q, limit, lengths)


@dataclass(frozen=True)
class _StaticPredictor:
    q: int
    limit: int
    lengths: np.ndarray

    def predict(self, band, group, phase, bands):
        members = BANDS[band].members(group)
        classes = octave(self.q) * LENGTH_CLASSES + length_classes(self.lengths, self.limit, BANDS[band].side)
        return classes * STATIC_COUNT + STATIC_ROWS[band][members][:, None, None], NO_CENTRE


class LearnedCoder:
    """The integer prior's distributions, see models/prior.py; `prior` is an IntegerPrior."""

    trims = False

    def __init__(self, prior):
        self.latents, self.lengths, self.shifts = prior.tables, prior.lengths, prior.shifts
        self._prior = prior

    def predictor(self, q, limit, lengths):
        return self._prior.predictor(q)


def coder_of(coder_id, model):
    """The coder with this CoderId, with the tables of `model`."""
    if coder_id == CoderId.RAW:
        return RawCoder()
    return LearnedCoder(model.prior) if coder_id == CoderId.LEARNED else StaticCoder(model.static_tables)
