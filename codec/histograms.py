"""Making the static coder's tables: count symbols over many pictures, smooth, round to integers."""

import numpy as np
from tqdm import tqdm

from odpiece.codec.coders import FIRST_ROW, LARGEST, SYMBOLS, level_table, octave
from odpiece.codec.quantization import quantize, whole_pieces
from odpiece.codec.range_coder import row_total
from odpiece.codec.tokens import LENGTHS, kept_mask
from odpiece.codec.walk import length_symbols, to_symbols
from odpiece.models.interface import BANDS, Q_OCTAVES

PASSES = 2  # rate-aware rounding needs tables: the first pass has level ones
STRENGTH = 4.0  # pseudo-counts a row


class Histograms:
    """Counts of symbols, by octave of q and row, and of lengths, by octave."""

    def __init__(self):
        self.latents = np.zeros((Q_OCTAVES, FIRST_ROW[-1], SYMBOLS))
        self.lengths = np.zeros((Q_OCTAVES, len(LENGTHS)))

    def add(self, tokens, q):
        """Count all kept latents and all lengths of Tokens at quality `q`."""
        np.add.at(self.lengths[octave(q)], length_symbols(tokens.lengths, q), 1)
        for band, first, z in zip(BANDS, FIRST_ROW, tokens.bands):
            kept = kept_mask(band, tokens.lengths)
            row = np.broadcast_to(np.arange(first, first + band.latents)[:, None, None], kept.shape)
            np.add.at(self.latents[octave(q)], (row[kept], to_symbols(z[kept])), 1)

    def tables(self):
        """{"latents": uint32 (11, 264, 64), "lengths": uint32 (11, 19)}, see StaticCoder."""
        latents = smooth(self.latents.reshape(-1, SYMBOLS))
        return {"latents": to_table(latents).reshape(self.latents.shape), "lengths": to_table(self.lengths + 0.5)}


def fit_tables(transform, pictures):
    """Static tables, as Histograms.tables gives them, of uint8 (H, W, 3) `pictures` at q = 1, 2, 4, ..., 1024."""
    table = level_table(Q_OCTAVES * FIRST_ROW[-1], SYMBOLS).reshape(Q_OCTAVES, -1, SYMBOLS)
    analyzed = [transform.analyze(whole_pieces(p)) for p in tqdm(pictures, desc="analyze")]
    for number in range(PASSES):
        histograms = Histograms()
        for latents in tqdm(analyzed, desc=f"count, pass {number + 1} of {PASSES}"):
            for q in 2 ** np.arange(Q_OCTAVES):
                histograms.add(quantize(latents, int(q), table), int(q))
        tables = histograms.tables()
        table = tables["latents"]
    return tables


def smooth(counts):
    """Counts (rows, 64) plus STRENGTH pseudo-counts, spread as a two-sided geometric law of the row's mean magnitude."""
    magnitude = np.abs(np.arange(SYMBOLS) - LARGEST)
    mean = (counts @ magnitude + 0.02) / (counts.sum(axis=1) + 1.0)
    law = (mean / (1.0 + mean))[:, None] ** magnitude
    return counts + STRENGTH * law / law.sum(axis=1, keepdims=True)


def to_table(counts):
    """uint32 table of the rows' frequencies: no symbol impossible, each row with the sum the range coder needs.

    What rounding leaves over goes to each row's most frequent symbol.
    """
    total = row_total(counts.shape[1])
    share = counts / counts.sum(axis=1, keepdims=True)
    table = np.maximum(1, np.floor(share * total)).astype(np.int64)
    table[np.arange(len(table)), table.argmax(axis=1)] += total - table.sum(axis=1)
    return table.astype(np.uint32)
