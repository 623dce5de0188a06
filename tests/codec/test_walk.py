"""The walk over groups: round trips, sizes, garbage, and a golden payload that holds the bit stream fixed."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from odpiece.codec.coders import FIRST_ROW, RawCoder, StaticCoder
from odpiece.codec.range_coder import Reader, Writer, row_total
from odpiece.codec.tokens import LENGTHS, Tokens, kept_mask, shorten
from odpiece.codec.walk import walk
from odpiece.formats.errors import DamagedError
from odpiece.models.interface import BANDS

SHAPES = [(1, 1), (1, 5), (3, 2)]
QUALITIES = [1, 3, 16, 17, 64, 65, 300, 1023, 1024]


@pytest.fixture(scope="module", params=["raw", "static"])
def coder(request, toy_tables):
    return RawCoder() if request.param == "raw" else StaticCoder(toy_tables)


def write(tokens, coder, q):
    """(payload, Tokens, groups) that the writer's walk gives."""
    writer = Writer()
    written, groups = walk(writer, coder, q, *tokens.lengths.shape, tokens)
    return writer.to_bytes(), written, groups


def assert_same(a, b):
    np.testing.assert_array_equal(a.lengths, b.lengths)
    for x, y in zip(a.bands, b.bands, strict=True):
        np.testing.assert_array_equal(x, y)


def assert_valid(tokens, q, shape):
    """What every reader of Tokens may rely on."""
    assert tokens.lengths.shape == shape
    assert 0 <= tokens.lengths.min() and tokens.lengths.max() <= q
    assert set(tokens.lengths.ravel().tolist()) <= {min(int(n), q) for n in LENGTHS}
    for band, z in zip(BANDS, tokens.bands, strict=True):
        assert z.shape == (band.latents, shape[0] * band.side, shape[1] * band.side)
        assert np.abs(z).max() <= 32767
        assert not z[~kept_mask(band, tokens.lengths)].any()


@pytest.mark.parametrize("shape", SHAPES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("q", QUALITIES)
def test_round_trip(q, shape, coder, random_tokens):
    tokens = random_tokens(*shape, q=q, seed=q, escapes=0.01)
    payload, written, groups = write(tokens, coder, q)
    got, read_groups = walk(Reader(payload), coder, q, *shape)
    assert_same(written, tokens)
    assert_same(got, tokens)
    assert_valid(got, q, shape)
    assert read_groups == groups


@pytest.mark.parametrize("q", [1, 16, 400, 1024])
def test_pieces_that_keep_nothing(q, coder, random_bands):
    tokens = shorten(random_bands(2, 2, seed=1), np.zeros((2, 2), dtype=int))
    payload, _, groups = write(tokens, coder, q)
    assert_same(walk(Reader(payload), coder, q, 2, 2)[0], tokens)
    assert [g.name for g in groups] == ["lengths"]


@pytest.mark.parametrize("value", [31, 32, 33, 62, 63, 64, 94, 95, 16414, 16415, 32766, 32767])
@pytest.mark.parametrize("sign", [-1, 1])
def test_values_about_the_borders_of_escapes(value, sign, coder):
    bands = tuple(np.zeros((b.latents, b.side, b.side), dtype=np.int32) for b in BANDS)
    bands[0][0, 0, 0] = sign * value
    bands[2][50, 3, 1] = -sign * value
    tokens = shorten(bands, np.array([[1024]]))
    payload, _, _ = write(tokens, coder, 1024)
    assert_same(walk(Reader(payload), coder, 1024, 1, 1)[0], tokens)


@pytest.mark.parametrize("q", [1, 20, 256, 1024])
@pytest.mark.parametrize("shape", SHAPES, ids="{0[0]}x{0[1]}".format)
def test_group_bits_add_up_to_the_payload(q, shape, coder, random_tokens):
    tokens = random_tokens(*shape, q=q, seed=q + 5, escapes=0.01)
    payload, _, groups = write(tokens, coder, q)
    assert abs(len(payload) - sum(g.bits for g in groups) / 8) <= 2


def test_groups_name_band_and_number_and_count_kept_latents(coder, random_tokens):
    tokens = random_tokens(2, 3, q=300, seed=8)
    _, _, groups = write(tokens, coder, 300)
    expected = {"lengths": 6}
    for band in BANDS:
        kept = kept_mask(band, tokens.lengths)
        for g in range(len(band.groups)):
            count = int(kept[band.group_of_latent == g].sum())
            if count:
                expected[f"{band.block}.{g}"] = count
    assert {g.name: g.latents for g in groups} == expected
    assert list(expected) == [g.name for g in groups]


def test_static_rows_follow_octave_class_and_latent(toy_tables):
    """A loop finds the row in the documented table layout [octave, class, first row of the band + latent]."""
    coder, q, lengths = StaticCoder(toy_tables), 90, np.array([[90, 64, 32], [20, 8, 0]])
    flat = toy_tables["latents"].reshape(11, 4, 264, 64)
    below = {90: 0, 64: 2, 32: 4, 20: 6, 8: 8, 0: 12}  # steps of LENGTHS below 96, the shortest that holds q
    assert [LENGTHS.tolist().index(96) - LENGTHS.tolist().index(n if n < 90 else 96) for n in below] == list(below.values())
    for i, band in enumerate(BANDS):
        members = np.array([0, 5, band.latents - 1])
        rows = np.broadcast_to(coder.rows(q, i, members, lengths, None), (3, 2 * band.side, 3 * band.side))
        for (m, y, x), row in np.ndenumerate(rows):
            steps = below[int(lengths[y // band.side, x // band.side])]
            length_class = 0 if steps == 0 else 1 if steps <= 2 else 2 if steps <= 4 else 3
            latent = (0, 48, 84)[i] + members[m]
            np.testing.assert_array_equal(coder.latents[row], flat[6, length_class, latent])  # 90 is nearest to 2^6
    assert coder.length_row(90) == 6


@given(payload=st.binary(max_size=200), q=st.integers(1, 1024), shape=st.sampled_from(SHAPES))
def test_garbage_is_damaged_or_valid_tokens(coder, payload, q, shape):
    try:
        tokens, _ = walk(Reader(payload), coder, q, *shape)
    except DamagedError:
        return
    assert_valid(tokens, q, shape)


@pytest.mark.parametrize("symbol", [2, 18])
def test_lengths_below_zero_are_damaged(symbol):
    coder, writer = RawCoder(), Writer()
    writer.symbols(coder.lengths, np.array([0]), np.array([symbol], dtype=np.int32))
    with pytest.raises(DamagedError):
        walk(Reader(writer.to_bytes()), coder, 1, 1, 1)  # at q = 1 only the symbols 0 and 1 mean a length


@pytest.mark.parametrize("size, low", [(15, 0), (14, 16384 - 31)])
def test_values_beyond_the_largest_are_damaged(size, low):
    coder, writer = RawCoder(), Writer()
    one = np.array([1], dtype=np.int32)
    writer.symbols(coder.lengths, np.array([0]), one * 0)
    writer.symbols(coder.latents, np.zeros(3, dtype=int), np.array([63, 31, 31], dtype=np.int32))
    writer.uniform(2, one, 1)
    writer.uniform(16, one * size, 1)
    writer.uniform(1 << size, one * low, 1)
    with pytest.raises(DamagedError):
        walk(Reader(writer.to_bytes()), coder, 1, 1, 1)


def golden_tokens():
    """One row of two pieces at q = 20, of 20 and 4 tokens, with two escapes. No random numbers."""
    bands = []
    for b, band in enumerate(BANDS):
        latent, y, x = np.ogrid[: band.latents, : band.side, : 2 * band.side]
        bands.append(((latent * 7 + y * 3 + x * 5 + b) % 9 - 4).astype(np.int32))
    bands[0][1, 0, 0], bands[1][2, 1, 1] = 1000, -40
    return shorten(bands, np.array([[20, 4]]))


def golden_coder():
    """A static coder of tables made by integer arithmetic alone."""

    def table(*shape):
        *rows, k = np.ogrid[tuple(map(slice, shape))]
        row = sum(r * m for r, m in zip(rows, (31, 17, 5)))
        weight = 400 * (4000 // (1 + np.abs(k - shape[-1] // 2)) + (row * 13 + k * 7) % 50)
        weight[..., 0] += row_total(shape[-1]) - weight.sum(axis=-1)
        return weight.astype(np.uint32)

    return StaticCoder({"latents": table(11, 4, FIRST_ROW[-1], 64), "lengths": table(11, len(LENGTHS))})


GOLDEN_SHA256 = "ed685c80023b9f3f58354efc2754f1d12fb81d8754c5a762a8e0b17a24e9e701"
GOLDEN = {
    "raw": "026ead04b8e8c42d9c7a00cd017228611240c71840c15faf7adf665c657ebdeb7d997195faf7adf665c657ebdeb7d997038fa8a49b91678fb8dc",
    "static": "4d833f80e3208c411fb5d77aa5a10c5228403cf6e1aa836763a73f11c6f2dac748ac6f991adcd82008e2bfe48b6a85e559",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_payload(name):
    """A failure here means that files written before can no longer be read."""
    coder = RawCoder() if name == "raw" else golden_coder()
    tokens = golden_tokens()
    payload, _, _ = write(tokens, coder, 20)
    assert tokens.sha256 == GOLDEN_SHA256
    assert payload.hex() == GOLDEN[name]
    assert_same(walk(Reader(bytes.fromhex(GOLDEN[name])), coder, 20, 1, 2)[0], tokens)


def test_walk_ignores_no_latent(random_tokens):
    """Payloads of tokens that differ in one kept latent differ."""
    tokens = random_tokens(1, 1, q=1024, seed=3, escapes=0)
    tokens = Tokens(np.array([[1024]], dtype=np.int32), shorten(tokens.bands, np.array([[1024]])).bands)
    payloads = {write(tokens, RawCoder(), 1024)[0]}
    for b, band in enumerate(BANDS):
        for latent in range(0, band.latents, 7):
            changed = tokens.bands[b].copy()
            changed[latent, -1, -1] += 1
            other = Tokens(tokens.lengths, (*tokens.bands[:b], changed, *tokens.bands[b + 1 :]))
            payloads.add(write(other, RawCoder(), 1024)[0])
    assert len(payloads) == 1 + sum(len(range(0, b.latents, 7)) for b in BANDS)
