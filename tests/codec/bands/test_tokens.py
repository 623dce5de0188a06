"""The token layout, against loops that follow its description."""

import struct
from collections import Counter

import numpy as np
import pytest

from odpiece.codec.bands.tokens import LENGTHS, Tokens, first_groups, full_length_index, kept_mask, trim
from odpiece.models.interface import BANDS

# Of the five bands, coarse to fine
SIDES, RANKS, LATENTS = (1, 2, 4, 4, 8), (16, 12, 60, 64, 32), (48, 36, 180, 192, 96)
FIRST_LATENTS = (0, 48, 84, 264, 456)

# (band, rank, block) of the tokens 0..4095: by band, then by rank, then by block in raster order
ORDER = [(b, rank, block) for b in range(5) for rank in range(RANKS[b]) for block in range(SIDES[b] ** 2)]

# (token, band, latent, row, column) of the 12288 latents of a piece
PLACES = [
    (token, b, 3 * rank + i, block // SIDES[b], block % SIDES[b])
    for token, (b, rank, block) in enumerate(ORDER)
    for i in range(3)
]


def cut(tokens_bands, lengths):
    """Loop oracle: copies of the bands, zero beyond the pieces' lengths."""
    out = [np.zeros_like(z) for z in tokens_bands]
    for (row, column), length in np.ndenumerate(lengths):
        for token, b, latent, y, x in PLACES:
            if token < length:
                at = latent, row * SIDES[b] + y, column * SIDES[b] + x
                out[b][at] = tokens_bands[b][at]
    return out


def assert_bands_equal(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_token_order_is_the_documented_one():
    got = [(int(BANDS[b].token_index[latent, y, x]), b, latent, y, x) for _, b, latent, y, x in PLACES]
    assert got == PLACES


def test_a_piece_has_4096_tokens_of_three_latents():
    count = Counter(np.concatenate([b.token_index.ravel() for b in BANDS]).tolist())
    assert count == {token: 3 for token in range(4096)}


def test_bands_have_the_documented_shapes():
    assert tuple(b.side for b in BANDS) == SIDES
    assert tuple(b.latents for b in BANDS) == LATENTS
    assert [b.token_index.shape for b in BANDS] == [(n, s, s) for n, s in zip(LATENTS, SIDES)]


def test_groups_cover_all_ranks_in_order():
    for band, ranks in zip(BANDS, RANKS, strict=True):
        expected = [g for g, size in enumerate(band.groups) for _ in range(3 * size)]
        assert band.group_of_latent.tolist() == expected
        assert sum(band.groups) == ranks


def test_lengths_are_the_ends_of_groups():
    ends = [0]
    for band in BANDS:
        for size in band.groups:
            ends.append(ends[-1] + size * band.side**2)
    assert LENGTHS.tolist() == ends
    assert ends[-1] == 4096


def test_full_length_index_is_the_shortest_length_that_holds_q():
    for q in range(1, 4097):
        assert full_length_index(q) == min(i for i, n in enumerate(LENGTHS) if n >= q)


@pytest.mark.parametrize(
    "lengths", [[[0]], [[1024]], [[4096]], [[2100, 1025]], [[1, 17, 300]], [[64, 65], [1023, 2], [0, 16]]]
)
def test_kept_mask_equals_a_loop(lengths):
    lengths = np.array(lengths)
    ones = [np.ones((n, s * lengths.shape[0], s * lengths.shape[1]), bool) for n, s in zip(LATENTS, SIDES)]
    assert_bands_equal([kept_mask(b, lengths) for b in BANDS], cut(ones, lengths))


@pytest.mark.parametrize("q", [1, 2, 15, 16, 17, 20, 64, 100, 1023, 1024, 1025, 3000, 4096])
def test_trim_cuts_to_the_shortest_length_that_loses_nothing(q, random_bands):
    rng = np.random.default_rng(q)
    bands = [z * (rng.random(z.shape) < 0.002) for z in random_bands(3, 4, seed=q)]
    for z, side in zip(bands, SIDES, strict=True):
        z[:, :side, :side] = 0  # the first piece keeps nothing
    last = np.zeros((3, 4), dtype=int)
    for row, column in np.ndindex(3, 4):
        for token, b, latent, y, x in PLACES:
            if token < q and bands[b][latent, row * SIDES[b] + y, column * SIDES[b] + x]:
                last[row, column] = token + 1
    expected = [[min(q, min(n for n in LENGTHS if n >= used)) for used in row] for row in last]
    got = trim(bands, q)
    np.testing.assert_array_equal(got.lengths, expected)
    assert got.lengths[0, 0] == 0
    assert_bands_equal(got.bands, cut(bands, np.full((3, 4), q)))


@pytest.mark.parametrize("count", [0, 1, 16, 50, 500, 1024, 2048, 4096])
def test_first_keeps_a_prefix_of_every_piece(count, random_tokens):
    tokens = random_tokens(2, 2, seed=4)
    lengths = np.array([[min(n, count) for n in row] for row in tokens.lengths])
    got = tokens.first(count)
    np.testing.assert_array_equal(got.lengths, lengths)
    assert_bands_equal(got.bands, cut(tokens.bands, lengths))
    assert got.count == lengths.sum()


@pytest.mark.parametrize("count", [0, 1, 3, 5, 6, 12, 18, 19, 23, 27, 28, 99])
def test_first_groups_are_those_of_all_bands_in_order(count, random_tokens):
    tokens = random_tokens(1, 2, seed=5)
    sizes = [3 * n for band in BANDS for n in band.groups]  # latents of a block
    everything = np.concatenate([np.full(n, g) for g, n in enumerate(sizes)])
    got = first_groups(tokens, count)
    np.testing.assert_array_equal(got.lengths, tokens.lengths)
    for z, whole, first in zip(got.bands, tokens.bands, FIRST_LATENTS, strict=True):
        for latent in range(len(z)):
            expected = whole[latent] if everything[first + latent] < count else 0 * whole[latent]
            np.testing.assert_array_equal(z[latent], expected)


def test_to_bytes_is_lengths_then_bands_in_raster_order():
    bands = tuple(np.arange(n * 2 * s * s, dtype=np.int32).reshape(n, s, 2 * s) - 3000 for n, s in zip(LATENTS, SIDES))
    tokens = Tokens(np.array([[4096, 17]], dtype=np.int32), bands)
    flat = [int(z[at]) for z in bands for at in np.ndindex(z.shape)]
    assert tokens.to_bytes() == struct.pack("<2H", 4096, 17) + struct.pack(f"<{len(flat)}h", *flat)
    assert len(flat) == 2 * 12288


def test_sha256_changes_with_every_latent_and_length(random_tokens):
    """Of the latents every seventh place, in all bands."""
    tokens = random_tokens(1, 1, q=4096, seed=9)
    hashes = {tokens.sha256, Tokens(tokens.lengths - 1, tokens.bands).sha256}
    for b, z in enumerate(tokens.bands):
        for at in list(np.ndindex(z.shape))[::7]:
            changed = z.copy()
            changed[at] += 1
            hashes.add(Tokens(tokens.lengths, (*tokens.bands[:b], changed, *tokens.bands[b + 1 :])).sha256)
    assert len(hashes) == 2 + sum(len(range(0, z.size, 7)) for z in tokens.bands) > 1700
    assert Tokens(tokens.lengths.copy(), tuple(z.copy() for z in tokens.bands)).sha256 == tokens.sha256
