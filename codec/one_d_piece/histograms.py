"""Counting the static coder's tables: how likely each of the 4096 tokens is at each of the 256 positions.

A few thousand tiles do not fill 4096 bins, so each position's counts are smoothed towards the average over all positions,
and that towards all tokens equally likely. How much is found by leaving each counted token out once.
"""

import numpy as np
from tqdm import tqdm

from odpiece.codec.channels import split_channels
from odpiece.codec.histograms import to_table
from odpiece.codec.one_d_piece.tiles import cut
from odpiece.formats.errors import ImageError, OptionError
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image
from odpiece.formats.tiles import TILE, VOCABULARY, Layout
from odpiece.models.interface import ONE_D_PIECE

STRENGTHS = 2.0 ** np.arange(-4, 21)  # pseudo-counts to choose from


def count_tokens(model, paths):
    """(int32 (tiles, 256) the tokens of pictures by a One-D-Piece model, a list of the paths that are no pictures).

    Each picture is taken as a whole, and where it is large enough its middle tile as well, since both are ways to
    code it. Raises OptionError where there is no picture, or the model is of another family.
    """
    if model.family != ONE_D_PIECE:
        raise OptionError(f"model {model.name} is no One-D-Piece model: give --checkpoint for the bands' prior")
    found, skipped = [], []
    for path in tqdm(paths, desc="tokens", disable=None):
        try:
            pixels = read_image(read_bytes(path), path).pixels
        except ImageError:
            skipped.append(path)
            continue
        found.append(model.tile_tokenizer.encode(_samples(split_channels(pixels)[0])))
    if not found:
        raise OptionError("there are no pictures to count")
    return np.concatenate(found), skipped


def _samples(colours):
    """uint8 (1 or 2, 256, 256, 3) of colours (H, W, 1 or 3)."""
    if colours.shape[2] == 1:
        colours = colours.repeat(3, axis=2)
    top, left = ((side - TILE) // 2 for side in colours.shape[:2])
    tiles = [*cut(colours, Layout())]
    if min(top, left) >= 0 and max(top, left) > 0:
        tiles.append(colours[None, top : top + TILE, left : left + TILE])
    return np.concatenate(tiles)


def fit(ids):
    """(uint32 (256, 4096), see codec/range_coder.py, bits a token) of the tokens int (tiles, 256) of many tiles.

    The bits are those of each counted token under the tables of all others: what other pictures may be expected to take.
    """
    counts = np.stack([np.bincount(column, minlength=VOCABULARY) for column in ids.T]).astype(np.float64)
    level = np.full((1, VOCABULARY), 1.0 / VOCABULARY)
    average, _ = _smoothed(counts.sum(axis=0, keepdims=True), level)
    shares, bits = _smoothed(counts, average)
    return to_table(shares), bits / ids.size


def _smoothed(counts, prior):
    """Probabilities of the rows of `counts`, drawn towards `prior`, float (1, 4096), by the best of STRENGTHS, and
    the bits it was best by."""
    found = [(_left_out_bits(counts, prior, strength), strength) for strength in STRENGTHS]
    bits, strength = min(found)
    smooth = counts + strength * prior
    return smooth / smooth.sum(axis=1, keepdims=True), bits


def _left_out_bits(counts, prior, strength):
    """Bits of all counted tokens, each under the counts of all others."""
    left = np.maximum(counts - 1, 0) + strength * prior
    totals = counts.sum(axis=1, keepdims=True) - 1 + strength
    return float(-(counts * np.log2(left / totals)).sum())
