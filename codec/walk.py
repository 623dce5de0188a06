"""The one walk over lengths and groups that encoder, decoder and everything that counts bits share.

Order of a payload: the length of every piece, then band by band, coarse to fine, group by group, the
latents of all pieces; within a group by table row, then by latent, then by block in raster order over
the picture. After each group the exact values of its escaped latents.
"""

from dataclasses import dataclass

import numpy as np

from odpiece.codec.coders import ESCAPE, LARGEST, length_symbols, octave
from odpiece.codec.range_coder import bits
from odpiece.codec.tokens import LENGTHS, MAX_LATENT, Tokens, full_length_index, kept_mask
from odpiece.formats.errors import DamagedError
from odpiece.models.interface import BANDS

ESCAPE_CLASSES = 17


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
    groups = [GroupBits("lengths", lengths.size, length_bits)]
    bands = tuple(np.zeros((b.latents, rows * b.side, columns * b.side), dtype=np.int32) for b in BANDS)
    predictor = coder.predictor(q, lengths)
    for i, band in enumerate(BANDS):
        kept = kept_mask(band, lengths)
        phases = band.phase_map(rows * band.side, columns * band.side)
        for g in range(len(band.groups)):
            members = np.flatnonzero(band.group_of_latent == g)
            spent = 0.0
            for phase in range(band.phases):
                here = kept[members] & (phases == phase)
                if here.any():
                    source = None if tokens is None else tokens.bands[i][members][here]
                    values, more = _latents(channel, coder, *predictor.predict(i, g, phase, bands), here, source)
                    _put(bands[i], members, here, values)
                    spent += more
            if kept[members].any():
                groups.append(GroupBits(f"{band.block}.{g}", int(kept[members].sum()), spent))
    return Tokens(lengths, bands), groups


def _put(grid, members, here, values):
    """Write `values` into the latents `members` of `grid` where the mask `here` is set."""
    part = grid[members]
    part[here] = values
    grid[members] = part


def _lengths(channel, coder, q, rows, columns, tokens):
    symbols = None if tokens is None else length_symbols(tokens.lengths, q).ravel()
    table_rows = np.full(rows * columns, octave(q))
    symbols = channel.symbols(coder.lengths, table_rows, symbols)
    index = full_length_index(q) - symbols
    if (index < 0).any():
        raise DamagedError("the file is cut or damaged")
    spent = bits(coder.lengths[table_rows, symbols]).sum()
    return np.minimum(LENGTHS[index], q).astype(np.int32).reshape(rows, columns), float(spent)


def to_symbols(residuals):
    """int32 symbols 0..63 of latents less their centres; those beyond +-31 become ESCAPE."""
    return np.where(np.abs(residuals) > LARGEST, ESCAPE, residuals + LARGEST).astype(np.int32)


def _latents(channel, coder, table_rows, centres, here, values):
    """Code the latents where `here` is set; gives their values, int32 (n,), and the bits they take."""
    table_rows = np.broadcast_to(table_rows, here.shape)[here]
    centres = np.broadcast_to(centres, here.shape)[here]
    residuals = None if values is None else values - centres
    symbols = channel.symbols(coder.latents, table_rows, None if residuals is None else to_symbols(residuals))
    spent = float(bits(coder.latents[table_rows, symbols]).sum())
    decoded = symbols - LARGEST
    escaped = symbols == ESCAPE
    if escaped.any():
        decoded[escaped], extra = _escaped(channel, None if residuals is None else residuals[escaped], escaped.sum())
        spent += extra
    decoded = decoded + centres
    if np.abs(decoded).max() > MAX_LATENT:
        raise DamagedError("the file is cut or damaged")
    return decoded, spent


def _escaped(channel, values, count):
    """Residuals beyond +-31: sign, class (bits of the excess over 31) and the excess's lower bits, all plain."""
    excess = None if values is None else np.abs(values) - LARGEST
    sign = channel.uniform(2, None if values is None else (values < 0).astype(np.int32), count)
    size = None if values is None else np.floor(np.log2(excess)).astype(np.int32)
    size = channel.uniform(ESCAPE_CLASSES, size, count)
    low = np.zeros(count, dtype=np.int32)
    for n in np.unique(size):
        at = size == n
        low[at] = channel.uniform(1 << int(n), None if values is None else excess[at] - (1 << n), at.sum())
    magnitude = LARGEST + (1 << size) + low
    return np.where(sign, -magnitude, magnitude), count * np.log2(2 * ESCAPE_CLASSES) + size.sum()
