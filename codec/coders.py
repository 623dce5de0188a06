"""Coders: which table of integer probabilities each latent is coded under.

A latent k is coded as a symbol of an alphabet of 64: k + 31 for -31..31, or 63 for all others, whose
exact value follows (codec/walk.py). A coder gives the tables and, group by group, the row of each latent:

    coder.latents         uint32 (rows, 64), see codec/range_coder.py
    coder.lengths         uint32 (rows, len(LENGTHS)) for the lengths of pieces
    coder.length_row(q)   the row of `lengths` at quality q
    coder.rows(q, band, members, bands)
                          int64 (len(members), 1, 1) or (len(members), h, w): the row of each latent in
                          `members` (indices into the band's latents), given all latents coded before,
                          in `bands`, where those not yet coded are zero
"""

import numpy as np

from odpiece.codec.range_coder import row_total
from odpiece.codec.tokens import LENGTHS
from odpiece.formats.container import CoderId
from odpiece.models.interface import BANDS

LARGEST = 31  # largest magnitude with a symbol of its own
ESCAPE = 2 * LARGEST + 1
SYMBOLS = ESCAPE + 1
FIRST_ROW = np.cumsum([0] + [b.latents for b in BANDS])  # of each band in a static table


def octave(q):
    """The nearest octave, 0..10, of quality q (1..1024)."""
    return int(np.floor(np.log2(q) + 0.5))


def level_table(rows, symbols):
    """uint32 (rows, symbols) that makes all symbols as good as equally likely."""
    table = np.full((rows, symbols), row_total(symbols) // symbols, dtype=np.uint32)
    table[:, 0] += np.uint32(row_total(symbols) % symbols)
    return table


class RawCoder:
    """All symbols equally likely: the yardstick, and no tables are needed."""

    id = CoderId.RAW

    def __init__(self):
        self.latents, self.lengths = level_table(1, SYMBOLS), level_table(1, len(LENGTHS))

    def length_row(self, q):
        return 0

    def rows(self, q, band, members, bands):
        return np.zeros((len(members), 1, 1), dtype=np.int64)


class StaticCoder:
    """Histograms of each latent of a block, by octave of q, shipped with the weights."""

    id = CoderId.STATIC

    def __init__(self, tables):
        self.latents = tables["latents"].reshape(-1, SYMBOLS)
        self.lengths = tables["lengths"]

    def length_row(self, q):
        return octave(q)

    def rows(self, q, band, members, bands):
        return (octave(q) * FIRST_ROW[-1] + FIRST_ROW[band] + members)[:, None, None]


def coder_of(coder_id, model):
    """The coder with this CoderId, with the tables of `model`."""
    if coder_id == CoderId.RAW:
        return RawCoder()
    return StaticCoder(model.static_tables)
