"""Counting the static coder's tables: how likely each of the 4096 tokens is at each of the 256 positions.

A few thousand tiles do not fill 4096 bins, so each position's counts are smoothed towards the average over all positions,
and that towards all tokens equally likely. How much is found by leaving each counted token out once.
"""

import numpy as np

from odpiece.codec.histograms import to_table
from odpiece.formats.tiles import VOCABULARY

STRENGTHS = 2.0 ** np.arange(-4, 21)  # pseudo-counts to choose from


def fit(ids):
    """uint32 (256, 4096), see codec/range_coder.py, of the tokens int (tiles, 256) of many tiles."""
    counts = np.stack([np.bincount(column, minlength=VOCABULARY) for column in ids.T]).astype(np.float64)
    level = np.full((1, VOCABULARY), 1.0 / VOCABULARY)
    average = _smoothed(counts.sum(axis=0, keepdims=True), level)
    return to_table(_smoothed(counts, average))


def _smoothed(counts, prior):
    """Probabilities of the rows of `counts`, drawn towards `prior`, float (1, 4096), by the best of STRENGTHS."""
    strength = min(STRENGTHS, key=lambda strength: _left_out_bits(counts, prior, strength))
    smooth = counts + strength * prior
    return smooth / smooth.sum(axis=1, keepdims=True)


def _left_out_bits(counts, prior, strength):
    """Bits of all counted tokens, each under the counts of all others."""
    left = np.maximum(counts - 1, 0) + strength * prior
    totals = counts.sum(axis=1, keepdims=True) - 1 + strength
    return float(-(counts * np.log2(left / totals)).sum())
