"""The one walk over lengths and groups that encoder, decoder and everything that counts bits share.

Order of a payload: the length of every piece, then band by band, coarse to fine, group by group, the
latents of all pieces; within a group by table row, then by latent, then by block in raster order over
the picture. After each group the exact values of its escaped latents.
"""

from dataclasses import dataclass

import numpy as np

from odpiece.codec.coders import ESCAPE, LARGEST
from odpiece.codec.range_coder import bits
from odpiece.codec.tokens import LENGTHS, MAX_LATENT, Tokens, full_length_index, kept_mask
from odpiece.formats.errors import DamagedError
from odpiece.models.interface import BANDS

ESCAPE_CLASSES = 16


@dataclass(frozen=True)
class GroupBits:
    """Ideal code length, in bits, of one group (or of the lengths) over the whole picture."""

    name: str
    latents: int
    bits: float


def walk(channel, coder, q, rows, columns, tokens=None):
    """Code `tokens` through `channel`: a Writer with tokens, a Reader without.

    Gives (Tokens, list of GroupBits). Raises DamagedError for what no writer writes.
    """
    lengths, length_bits = _lengths(channel, coder, q, rows, columns, tokens)
    bands = [np.zeros((b.latents, rows * b.side, columns * b.side), dtype=np.int32) for b in BANDS]
    groups = [GroupBits("lengths", lengths.size, length_bits)]
    for i, band in enumerate(BANDS):
        kept = kept_mask(band, lengths)
        for g in range(len(band.groups)):
            members = np.flatnonzero(band.group_of_latent == g)
            kept_here = kept[members]
            if not kept_here.any():
                continue
            table_rows = np.broadcast_to(coder.rows(q, i, members, bands), kept_here.shape)[kept_here]
            values = None if tokens is None else tokens.bands[i][members][kept_here]
            values, spent = _latents(channel, coder, table_rows, values)
            decoded = np.zeros(kept_here.shape, dtype=np.int32)
            decoded[kept_here] = values
            bands[i][members] = decoded
            groups.append(GroupBits(f"{band.block}.{g}", len(values), spent))
    return Tokens(lengths, tuple(bands)), groups


def length_symbols(lengths, q):
    """Symbols of lengths (any shape): how many steps of LENGTHS below the full length each one is."""
    return full_length_index(q) - np.searchsorted(LENGTHS, lengths)


def _lengths(channel, coder, q, rows, columns, tokens):
    symbols = None if tokens is None else length_symbols(tokens.lengths, q).ravel()
    table_rows = np.full(rows * columns, coder.length_row(q))
    symbols = channel.symbols(coder.lengths, table_rows, symbols)
    index = full_length_index(q) - symbols
    if (index < 0).any():
        raise DamagedError("the file is cut or damaged")
    spent = bits(coder.lengths[table_rows, symbols]).sum()
    return np.minimum(LENGTHS[index], q).astype(np.int32).reshape(rows, columns), float(spent)


def to_symbols(values):
    """int32 symbols 0..63 of latents; those beyond +-31 become ESCAPE."""
    return np.where(np.abs(values) > LARGEST, ESCAPE, values + LARGEST).astype(np.int32)


def _latents(channel, coder, table_rows, values):
    symbols = channel.symbols(coder.latents, table_rows, None if values is None else to_symbols(values))
    decoded = symbols - LARGEST
    escaped = symbols == ESCAPE
    spent = bits(coder.latents[table_rows, symbols]).sum()
    if escaped.any():
        decoded[escaped], extra = _escaped(channel, None if values is None else values[escaped], escaped.sum())
        spent += extra
    return decoded, float(spent)


def _escaped(channel, values, count):
    """Values beyond +-31: sign, class (bits of the excess over 31) and the excess's lower bits, all plain."""
    excess = None if values is None else np.abs(values) - LARGEST
    sign = channel.uniform(2, None if values is None else (values < 0).astype(np.int32), count)
    size = None if values is None else np.floor(np.log2(excess)).astype(np.int32)
    size = channel.uniform(ESCAPE_CLASSES, size, count)
    low = np.zeros(count, dtype=np.int32)
    for n in np.unique(size):
        at = size == n
        low[at] = channel.uniform(1 << int(n), None if values is None else excess[at] - (1 << n), at.sum())
    magnitude = LARGEST + (1 << size) + low
    if (magnitude > MAX_LATENT).any():
        raise DamagedError("the file is cut or damaged")
    return np.where(sign, -magnitude, magnitude), count * 5 + size.sum()
