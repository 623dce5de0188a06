"""Tokens of tiles, and the one walk over them that encoder and decoder share.

Order of a payload: the first token of all tiles in raster order, the second of all tiles, and so on, so that
any cut leaves a prefix of every tile. Each position has a table row of its own, or all share one.
"""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from odpiece.codec.family import GroupBits
from odpiece.codec.range_coder import PRECISION, Cut, level_table
from odpiece.formats.tiles import MOST_TOKENS, VOCABULARY

GROUP_ENDS = tuple(1 << n for n in range(9))  # positions 1, 2, 3-4, 5-8, ..: the parts that are reported on their own


@dataclass(frozen=True)
class TileTokens:
    """`ids` is int32 (tiles, k), 0 where a tile has fewer; `lengths` int32 (tiles,), the tokens of each, 0..k."""

    ids: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, ids):
        """The TileTokens of ids (tiles, k) that are all known."""
        return cls(ids.astype(np.int32), np.full(len(ids), ids.shape[1], dtype=np.int32))

    def to_bytes(self):
        """The token bytes that checksums are made of, see formats/container.py."""
        return self.ids.T.astype("<u2").tobytes()

    def buffers(self):
        """The token bytes in one part, as checksums take them."""
        return (self.to_bytes(),)

    def to_array(self, count):
        """int16 (tiles, count): the first tokens of each tile."""
        return self.ids[:, :count].astype(np.int16)

    @property
    def sha256(self):
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def count(self):
        """Tokens of all tiles together."""
        return int(self.lengths.sum())

    def first(self, count):
        """These without the tokens from number `count` (from 0) on in every tile."""
        return TileTokens(self.ids[:, :count], np.minimum(self.lengths, count))


@cache
def raw_table():
    """uint32 (1, 4096): all tokens equally likely, 12 bits each."""
    return level_table(1, VOCABULARY)


def walk(channel, table, tiles, count, ids=None):
    """Code `count` tokens of each of `tiles` tiles through `channel`: a Writer with `ids`, int32 (tiles, count), a
    Reader or CutReader without.

    `table` is uint32 (1 or 256, 4096), see codec/range_coder.py. Gives (TileTokens, list of GroupBits); of a CutReader
    only what is certain. Raises DamagedError.
    """
    out, lengths = np.zeros((tiles, count), dtype=np.int32), np.zeros(tiles, dtype=np.int32)
    bits = np.zeros(MOST_TOKENS)
    try:
        for position in range(count):
            row = min(position, len(table) - 1)
            symbols = channel.symbols(table, np.full(tiles, row), None if ids is None else ids[:, position])
            out[:, position] = symbols
            lengths += 1
            bits[position] = -np.log2((table[row, symbols] + 1.0) / PRECISION).sum()
    except Cut as cut:
        out[:, position] = np.where(cut.known, cut.symbols, 0)
        lengths += cut.known
    return TileTokens(out, lengths), _groups(lengths, bits)


def _groups(lengths, bits):
    """GroupBits of parts of the positions, up to the last that holds a token."""
    groups = []
    for first, end in zip((0, *GROUP_ENDS), GROUP_ENDS):
        known = int(np.clip(lengths - first, 0, end - first).sum())
        if known:
            groups.append(GroupBits(f"tokens-{end}", known, float(bits[first:end].sum())))
    return groups
