"""The one walk over lengths and groups that encoder, decoder and everything that counts bits share.

Order of a payload: the length of every piece, then band by band, coarse to fine, group by group, phase by
phase, the latents of all pieces; within a phase by table row, then by latent, then by block in raster
order over the picture. After each phase the low bits of its latents under wide laws, then the exact values of
those that escaped.
"""

import numpy as np

from odpiece.codec.bands.coders import ESCAPE, LARGEST, buckets, length_symbols, octave, to_symbols
from odpiece.codec.bands.tokens import LENGTHS, MAX_LATENT, Tokens, full_length_index, kept_mask, zero_tokens
from odpiece.codec.family import GroupBits
from odpiece.codec.range_coder import Cut, spent_bits
from odpiece.formats.errors import DamagedError
from odpiece.models.interface import BANDS, LATENTS_PER_TOKEN

ESCAPE_CLASSES = 17


def walk(channel, coder, q, rows, columns, source=None, *, limit=None):
    """Code a picture through `channel`: a Writer with a source, a Reader or CutReader without.

    A source has `lengths` and gives `values` when their distribution is known: Tokens, which are given
    already, or RateAware, which chooses. `limit` (default q) is the most tokens a piece keeps. Gives
    (Tokens, list of GroupBits); of a CutReader only what is certain, the rest zero. Raises DamagedError for
    what no writer writes.
    """
    limit = limit or q
    groups = []
    tokens = zero_tokens(rows, columns)
    lengths, bands = tokens.lengths, tokens.bands
    try:
        lengths, spent = _lengths(channel, coder, q, limit, lengths, source)
        groups.append(GroupBits("lengths", 0, spent))
        predictor = coder.predictor(q, limit, lengths)
        for i, band in enumerate(BANDS):
            if lengths.max() <= band.first_token:
                break  # no piece keeps tokens of this band or a finer one
            kept = kept_mask(band, lengths)
            for g in range(len(band.groups)):
                _group(channel, coder, predictor, i, g, kept, bands, source, groups)
    except Cut:
        pass  # what was certain is in place
    return Tokens(lengths, bands), groups


def _group(channel, coder, predictor, band, group, kept, bands, source, groups):
    """Code one group in all its phases into bands[band], and append its GroupBits to `groups`."""
    members = BANDS[band].members(group)
    phases = BANDS[band].phase_map(*bands[band].shape[1:])
    name, count, spent = _name(band, group), 0, 0.0
    if not kept[members].any():
        return
    try:
        for phase in range(BANDS[band].phases):
            here = kept[members] & (phases == phase)
            if here.any():
                table_rows, centres = predictor.predict(band, group, phase, bands)
                table_rows = np.broadcast_to(table_rows, here.shape)[here]
                centres = np.broadcast_to(centres, here.shape)[here]
                values = None if source is None else source.values(band, members, here, table_rows, centres)
                values, more = _latents(channel, coder, table_rows, centres, values)
                _put(bands[band], members, here, values)
                count, spent = count + len(values) // LATENTS_PER_TOKEN, spent + more
    except Cut as cut:
        _put(bands[band], members, here, cut.symbols)
        known = np.zeros(here.shape, dtype=bool)
        known[here] = cut.known
        count += int(known.reshape(-1, LATENTS_PER_TOKEN, *known.shape[1:]).all(axis=1).sum())
        raise
    finally:
        groups.append(GroupBits(name, count, spent))


def _name(band, group):
    """Of a group: the block of its band, and its number among all groups of that block."""
    block = BANDS[band].block
    return f"{block}.{group + sum(len(b.groups) for b in BANDS[:band] if b.block == block)}"


def _put(grid, members, here, values):
    """Write `values` into the latents `members` of `grid` where the mask `here` is set."""
    part = grid[members]
    part[here] = values
    grid[members] = part


def _lengths(channel, coder, q, limit, like, source):
    """Code the lengths; gives them, int32 (rows, columns) as `like`, and the bits they take."""
    symbols = None if source is None else length_symbols(source.lengths, limit).ravel()
    table_rows = np.full(like.size, octave(q))
    symbols = channel.symbols(coder.lengths, table_rows, symbols)
    index = full_length_index(limit) - symbols
    if (index < 0).any():
        raise DamagedError("the file is cut or damaged")
    spent = spent_bits(coder.lengths, table_rows, symbols)
    return np.minimum(LENGTHS[index], limit).astype(np.int32).reshape(like.shape), spent


def _latents(channel, coder, table_rows, centres, values):
    """Code latents, int32 (n,), under their table rows and centres, (n,); gives them and the bits they take."""
    shifts = coder.shifts[table_rows]
    wide = np.flatnonzero(shifts)
    shifts, numbers, low = shifts[wide], None, None
    if values is not None:
        numbers = values - centres
        numbers[wide], low = buckets(numbers[wide], shifts)
    try:
        symbols = channel.symbols(coder.latents, table_rows, None if numbers is None else to_symbols(numbers))
    except Cut as cut:
        known = cut.known & (cut.symbols != ESCAPE)
        known[wide] = False
        raise Cut(_checked(np.where(known, cut.symbols - LARGEST + centres, 0)), known) from None
    spent = spent_bits(coder.latents, table_rows, symbols) + float(shifts.sum())
    found, escaped = symbols - LARGEST, symbols == ESCAPE
    known = ~escaped
    known[wide] = False
    try:
        low = _plain(channel, shifts, low)
        known[wide] = ~escaped[wide]
        if escaped.any():
            found[escaped], more = _escaped(channel, None if numbers is None else numbers[escaped], escaped.sum())
            spent += more
    except Cut:
        raise Cut(_checked(np.where(known, _joined(found, wide, shifts, low) + centres, 0)), known) from None
    return _checked(_joined(found, wide, shifts, low) + centres), spent


def _joined(numbers, wide, shifts, low):
    """Latents less their centres, (n,), of the numbers of their buckets, which those at `wide` share: the inverse of
    `buckets`.
    """
    numbers[wide] = (numbers[wide] << shifts) + (0 if low is None else low) - (1 << shifts >> 1)
    return numbers


def _checked(latents):
    """`latents`, (n,), whose magnitudes are those that a writer codes. Raises DamagedError."""
    if max(latents.max(), -latents.min()) > MAX_LATENT:
        raise DamagedError("the file is cut or damaged")
    return latents


def _plain(channel, sizes, values):
    """Code numbers (n,) of so many bits each, sizes (n,), plain, size after size from 1 on; gives them, int64."""
    found = np.zeros(len(sizes), dtype=np.int64)
    for n in range(1, sizes.max(initial=0) + 1):
        at = sizes == n
        found[at] = channel.uniform(1 << n, None if values is None else values[at].astype(np.int32), at.sum())
    return found


def _escaped(channel, values, count):
    """Numbers beyond +-31: sign, class (bits of the excess over 31) and the excess's lower bits, all plain."""
    excess = None if values is None else np.abs(values) - LARGEST
    sign = channel.uniform(2, None if values is None else (values < 0).astype(np.int32), count)
    size = None if values is None else np.floor(np.log2(excess)).astype(np.int32)
    size = channel.uniform(ESCAPE_CLASSES, size, count)
    low = _plain(channel, size, None if values is None else excess - (1 << size))
    magnitude = LARGEST + (1 << size) + low
    return np.where(sign, -magnitude, magnitude), count * np.log2(2 * ESCAPE_CLASSES) + size.sum()
