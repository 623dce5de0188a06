"""Counting the static coder's tables: how likely each of the 4096 tokens is at each of the 256 positions.

A few thousand tiles do not fill 4096 bins, so each position's counts are smoothed towards the average over all
positions, and that towards all tokens equally likely. How much is found by counting one half and coding the other.
"""

import numpy as np
from tqdm import tqdm

from odpiece.codec.channels import split_channels
from odpiece.codec.one_d_piece.tiles import cut
from odpiece.codec.range_coder import to_table
from odpiece.formats.errors import ImageError, OptionError
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image
from odpiece.formats.tiles import TILE, VOCABULARY, Layout
from odpiece.models.interface import ONE_D_PIECE
from odpiece.models.tile_tables import write_tables
from odpiece.models.training.held_out import held_out

STRENGTHS = 2.0 ** np.arange(-4, 21)  # pseudo-counts to choose from


def make_tables(model, folders):
    """Count the tables of a One-D-Piece model over the pictures in `folders` (Paths), and put them to use.

    Return (TileTables, bits a token, a list of the paths that are no pictures). Pictures held out of training are left
    out. Raises OptionError, OutputError.
    """
    paths = [path for folder in folders for path in sorted(folder.iterdir()) if path.is_file()]
    paths = [path for path in paths if path.name not in held_out()]
    ids, skipped = count_tokens(model, paths)
    rows, bits = fit(ids)
    return write_tables(model.path, rows), bits, skipped


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
    if sum(map(len, found)) < 2:
        raise OptionError("there is nothing to count: give a folder with two pictures or more")
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
    """(uint32 (256, 4096), see codec/range_coder.py, bits a token) of the tokens int (tiles, 256) of two tiles or more.

    The bits are what each half of the tiles takes under the counts of the other: what other pictures may be expected to
    take, or a little less, as the tables know both halves.
    """
    halves = np.array_split(ids, 2)
    counts = [_counts(half) for half in halves]
    averages = [_average(c) for c in counts]

    def bits(strength):
        crossed = zip(counts, averages, reversed(counts))
        return sum(float(-(other * np.log2(_smooth(c, average, strength))).sum()) for c, average, other in crossed)

    found = [(bits(strength), strength) for strength in STRENGTHS]
    total = sum(counts)
    return to_table(_smooth(total, _average(total), min(found)[1])), min(found)[0] / ids.size


def _counts(ids):
    return np.stack([np.bincount(column, minlength=VOCABULARY) for column in ids.T]).astype(np.float64)


def _average(counts):
    """float (4096,): probabilities of the tokens at any position, each token left out once to find the strength."""
    total = counts.sum(axis=0)

    def bits(strength):
        left = (np.maximum(total - 1, 0) + strength / VOCABULARY) / (total.sum() - 1 + strength)
        return float(-(total * np.log2(left)).sum())

    return _smooth(total, 1 / VOCABULARY, min(STRENGTHS, key=bits))


def _smooth(counts, prior, strength):
    """Probabilities of counts (.., 4096), drawn towards `prior` by so many pseudo-counts."""
    return (counts + strength * prior) / (counts.sum(axis=-1, keepdims=True) + strength)
