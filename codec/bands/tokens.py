"""The tokens of a picture: what a payload codes, a checksum covers and a decoder needs."""

from dataclasses import dataclass

import numpy as np

from odpiece.models.interface import BANDS, LATENTS_PER_TOKEN, TOKENS

MAX_LATENT = 32767  # largest magnitude that is coded

# Lengths that pieces may keep: the ends of all groups, coarse to fine. A length is also at most q.
LENGTHS = np.concatenate([[0]] + [b.first_token + b.side**2 * np.cumsum(b.groups) for b in BANDS])


def full_length_index(limit):
    """Index into LENGTHS of the shortest length that holds `limit` tokens."""
    return int(np.searchsorted(LENGTHS, limit))


def kept_mask(band, lengths):
    """bool (latents, rows * side, columns * side): whether each latent's token is below its piece's length.

    `lengths` is int (rows, columns), the tokens kept of each piece.
    """
    kept = band.token_index[:, None, :, None, :] < np.asarray(lengths)[:, None, :, None]
    latents, rows, side, columns, _ = kept.shape
    return kept.reshape(latents, rows * side, columns * side)


@dataclass(frozen=True)
class Tokens:
    """Quantized latents and lengths of a picture of rows x columns pieces.

    `lengths` is int32 (rows, columns), 0..4096. `bands` holds one int16 array (latents, rows * side,
    columns * side) a band, zero where a token is beyond its piece's length.
    """

    lengths: np.ndarray
    bands: tuple[np.ndarray, ...]

    def to_bytes(self):
        """The token bytes that checksums and golden files are made of, see formats/container.py."""
        return b"".join(self.buffers())

    def buffers(self):
        """What `to_bytes` joins, as contiguous arrays: large ones need not be copied for a checksum."""
        return self.lengths.astype("<u2"), *(np.ascontiguousarray(z, "<i2") for z in self.bands)

    def values(self, band, members, here, rows, centres):
        """A source for codec/bands/walk.py: int32 (n,), the latents `members` of a band where `here` is set."""
        return self.bands[band][members][here]

    @property
    def sha256(self):
        import hashlib

        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def count(self):
        """Tokens kept in all pieces together."""
        return int(self.lengths.sum())

    def to_array(self, count):
        """int16 (rows, columns, count, 3): the first `count` (1..4096) tokens of each piece, coarse to fine."""
        parts = []
        for band, z in zip(BANDS, self.bands):
            rows, columns = self.lengths.shape
            blocks = z.reshape(band.ranks, LATENTS_PER_TOKEN, rows, band.side, columns, band.side)
            parts.append(blocks.transpose(2, 4, 0, 3, 5, 1).reshape(rows, columns, -1, LATENTS_PER_TOKEN))
        return np.concatenate(parts, axis=2)[:, :, :count].astype(np.int16)

    @classmethod
    def from_array(cls, array):
        """Tokens of what `to_array` gave: int (rows, columns, count, 3), all pieces `count` tokens long."""
        rows, columns, count, _ = array.shape
        whole = np.zeros((rows, columns, TOKENS, LATENTS_PER_TOKEN), dtype=np.int16)
        whole[:, :, :count] = array
        bands = []
        for band in BANDS:
            part = whole[:, :, band.first_token : band.first_token + band.ranks * band.side**2]
            blocks = part.reshape(rows, columns, band.ranks, band.side, band.side, LATENTS_PER_TOKEN)
            grid = band.latents, rows * band.side, columns * band.side
            bands.append(np.ascontiguousarray(blocks.transpose(2, 5, 0, 3, 1, 4)).reshape(grid))
        return cls(np.full((rows, columns), count, dtype=np.int32), tuple(bands))

    def first(self, count):
        """These tokens without those from number `count` (0..4096) on in every piece."""
        if count >= self.lengths.max():
            return self
        return shorten(self.bands, np.minimum(self.lengths, count))


def zero_tokens(rows, columns):
    """Tokens of `rows` x `columns` pieces that keep none. Their memory is taken only where they are written to."""
    bands = tuple(np.zeros((b.latents, rows * b.side, columns * b.side), dtype=np.int16) for b in BANDS)
    return Tokens(np.zeros((rows, columns), dtype=np.int32), bands)


def shorten(bands, lengths):
    """Tokens of `bands` with everything beyond `lengths` set to zero."""
    return Tokens(lengths.astype(np.int32), tuple(z * kept_mask(b, lengths) for z, b in zip(bands, BANDS)))


def first_groups(tokens, count):
    """Tokens of the first `count` groups of `tokens`, the groups of all bands taken together, coarse to fine."""
    bands = []
    for band, z in zip(BANDS, tokens.bands):
        bands.append(z * (band.group_of_latent < count)[:, None, None])
        count -= len(band.groups)
    return Tokens(tokens.lengths, tuple(bands))


def trim(bands, q):
    """Tokens of at most `q` a piece, each piece's length cut to the shortest of LENGTHS that loses nothing."""
    rows, columns = bands[0].shape[1:]
    last = np.zeros((rows, columns), dtype=np.int64)
    for band, z in zip(BANDS, bands):
        blocks = z.reshape(band.latents, rows, band.side, columns, band.side)
        used = np.where(blocks != 0, band.token_index[:, None, :, None, :] + 1, 0)
        used[used > q] = 0
        last = np.maximum(last, used.max(axis=(0, 2, 4)))
    return shorten(bands, np.minimum(LENGTHS[np.searchsorted(LENGTHS, last)], min(q, TOKENS)))
