"""The walk over groups: round trips, sizes, garbage, and a golden payload that holds the bit stream fixed."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from odpiece.codec.bands.coders import STATIC_COUNT, RawCoder, StaticCoder, octave
from odpiece.codec.bands.tokens import LENGTHS, Tokens, kept_mask, shorten
from odpiece.codec.bands.walk import ESCAPE_CLASSES, walk
from odpiece.codec.range_coder import CutReader, Reader, Writer, row_total
from odpiece.formats.errors import DamagedError
from odpiece.models.interface import BANDS, Q_OCTAVES

SHAPES = [(1, 1), (1, 5), (3, 2)]
QUALITIES = [1, 3, 16, 17, 65, 300, 1023, 1024, 1025, 2049, 4096]


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


@pytest.mark.parametrize("q", [1, 16, 400, 1024, 4096])
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


@pytest.mark.parametrize("q", [1, 20, 256, 1024, 3000])
@pytest.mark.parametrize("shape", SHAPES, ids="{0[0]}x{0[1]}".format)
def test_group_bits_add_up_to_the_payload(q, shape, coder, random_tokens):
    tokens = random_tokens(*shape, q=q, seed=q + 5, escapes=0.01)
    payload, _, groups = write(tokens, coder, q)
    assert abs(len(payload) - sum(g.bits for g in groups) / 8) <= 2


def test_groups_name_band_and_number_and_count_tokens(coder, random_tokens):
    tokens = random_tokens(2, 3, q=300, seed=8)
    _, _, groups = write(tokens, coder, 300)
    expected = {"lengths": 0}
    for band in BANDS:
        kept = kept_mask(band, tokens.lengths)
        for g in range(len(band.groups)):
            latents = int(kept[band.group_of_latent == g].sum())
            if latents:
                expected[f"{band.block}.{g}"] = latents // 3
    assert {g.name: g.tokens for g in groups} == expected
    assert list(expected) == [g.name for g in groups]
    assert sum(expected.values()) == tokens.count


@pytest.mark.parametrize("limit", [1, 16, 17, 100, 299, 300])
def test_round_trip_below_a_limit(limit, coder, random_tokens):
    """Tokens of q = 300 of which only the first few are kept: steps and conditions stay those of q."""
    tokens = random_tokens(2, 2, q=300, seed=limit).first(limit)
    writer = Writer()
    walk(writer, coder, 300, 2, 2, tokens, limit=limit)
    got, _ = walk(Reader(writer.to_bytes()), coder, 300, 2, 2, limit=limit)
    assert_same(got, tokens)


def test_a_limit_of_q_is_none(coder, random_tokens):
    tokens = random_tokens(1, 2, q=50, seed=2)
    writer = Writer()
    walk(writer, coder, 50, 1, 2, tokens, limit=50)
    assert writer.to_bytes() == write(tokens, coder, 50)[0]


def test_static_rows_follow_octave_class_and_latent(toy_tables):
    """A loop finds the row in the documented table layout [octave, class, first row of the band + latent]."""
    coder, lengths = StaticCoder(toy_tables), np.array([[90, 64, 32], [20, 8, 0]])
    below = {90: 0, 64: 2, 32: 4, 20: 6, 8: 8, 0: 12}  # lengths between each of these and 90, in 0 1 2 4 8 16 20 24 ...
    for i, band in enumerate(BANDS):
        for group in range(len(band.groups)):
            members = np.flatnonzero(band.group_of_latent == group)
            shape = len(members), 2 * band.side, 3 * band.side
            rows, centres = coder.predictor(90, 90, lengths).predict(i, group, 0, None)
            assert not np.broadcast_to(centres, shape).any()
            for (m, y, x), row in np.ndenumerate(np.broadcast_to(rows, shape)):
                steps = below[int(lengths[y // band.side, x // band.side])]
                length_class = 0 if steps == 0 else 1 if steps <= 2 else 2 if steps <= 4 else 3
                # 90 is nearest to 2**6; bands begin at rows 0, 48, 84, 144 and 208, the last three have a row a token
                static_row = (
                    members[m] if i == 0 else 48 + members[m] if i == 1 else (84, 144, 208)[i - 2] + members[m] // 3
                )
                assert row == (6 * 4 + length_class) * 240 + static_row
    assert (coder.latents[7] == toy_tables["latents"][0, 0, 7]).all()
    assert (coder.latents[-1] == toy_tables["latents"][12, 3, 239]).all()


@pytest.mark.parametrize(
    "q, nearest",
    [
        (1, 0),
        (2, 1),
        (3, 2),
        (5, 2),
        (6, 3),
        (90, 6),
        (91, 7),
        (724, 9),
        (725, 10),
        (1024, 10),
        (1449, 11),
        (2897, 12),
        (4096, 12),
    ],
)
def test_octave_is_the_nearest(q, nearest):
    assert octave(q) == nearest


def test_what_is_read_of_a_cut_payload_is_right(coder, random_tokens):
    """More bytes never give fewer tokens; a latent is the written one or zero."""
    tokens = random_tokens(2, 2, q=100, seed=5, escapes=0.02)
    payload, _, _ = write(tokens, coder, 100)
    before, cuts = 0, list(range(0, len(payload), max(1, len(payload) // 40)))
    for end in cuts:
        got, groups = walk(CutReader(payload[:end]), coder, 100, 2, 2)
        assert_part(got, tokens)
        certain = sum(g.tokens for g in groups)
        assert before <= certain <= tokens.count
        before = certain
    assert before > tokens.count / 2


def assert_part(part, whole):
    if part.lengths.any():
        np.testing.assert_array_equal(part.lengths, whole.lengths)
    for got, expected in zip(part.bands, whole.bands, strict=True):
        assert (got == np.where(got != 0, expected, 0)).all()


def test_a_payload_with_its_tail_is_read_whole(coder, random_tokens):
    """With as many zeros after it as a decoder looks ahead, nothing is left uncertain."""
    tokens = random_tokens(2, 1, q=200, seed=6, escapes=0.02)
    payload, _, groups = write(tokens, coder, 200)
    got, read_groups = walk(CutReader(payload + bytes(12)), coder, 200, 2, 1)
    assert_same(got, tokens)
    assert read_groups == groups


def test_certain_tokens_are_whole_tokens(random_tokens):
    """Under the raw coder a latent takes six bits, so the count of certain tokens is known, give or take one."""
    tokens = random_tokens(1, 1, q=1024, seed=1, escapes=0)
    tokens = shorten(tokens.bands, np.array([[1024]])) if tokens.count < 64 else tokens
    payload, _, _ = write(tokens, RawCoder(), 1024)
    for end in range(8, 36):
        got, groups = walk(CutReader(payload[:end]), RawCoder(), 1024, 1, 1)
        assert [g.name for g in groups][:2] == ["lengths", "64.0"]
        certain = sum(g.tokens for g in groups)
        assert abs(certain - (8 * end - groups[0].bits) / 18) <= 1.5
        right = (got.bands[0] == tokens.bands[0]).reshape(16, 3).all(axis=1)  # by token
        assert right[: min(certain, 16)].all()


@given(payload=st.binary(max_size=200), q=st.integers(1, 4096), shape=st.sampled_from(SHAPES))
def test_garbage_is_damaged_or_valid_tokens(coder, payload, q, shape):
    try:
        tokens, _ = walk(Reader(payload), coder, q, *shape)
    except DamagedError:
        return
    assert_valid(tokens, q, shape)


@pytest.mark.parametrize("symbol", [2, 18, 28])
def test_lengths_below_zero_are_damaged(symbol):
    coder, writer = RawCoder(), Writer()
    writer.symbols(coder.lengths, np.array([0]), np.array([symbol], dtype=np.int32))
    with pytest.raises(DamagedError):
        walk(Reader(writer.to_bytes()), coder, 1, 1, 1)  # at q = 1 only the symbols 0 and 1 mean a length


@pytest.mark.parametrize(
    "size, low, value",
    [(14, 32767 - 31 - 16384, 32767), (14, 32768 - 31 - 16384, None), (15, 0, None), (16, 65535, None)],
)
@pytest.mark.parametrize("sign", [0, 1])
def test_values_beyond_the_largest_are_damaged(size, low, value, sign):
    coder, writer = RawCoder(), Writer()
    one = np.array([1], dtype=np.int32)
    writer.symbols(coder.lengths, np.array([0]), one * 0)
    writer.symbols(coder.latents, np.zeros(3, dtype=int), np.array([63, 31, 31], dtype=np.int32))
    writer.uniform(2, one * sign, 1)
    writer.uniform(ESCAPE_CLASSES, one * size, 1)
    writer.uniform(1 << size, one * low, 1)
    if value is None:
        with pytest.raises(DamagedError):
            walk(Reader(writer.to_bytes()), coder, 1, 1, 1)
    else:
        tokens, _ = walk(Reader(writer.to_bytes()), coder, 1, 1, 1)
        assert tokens.bands[0][:3, 0, 0].tolist() == [-value if sign else value, 0, 0]


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

    return StaticCoder({"latents": table(Q_OCTAVES, 4, STATIC_COUNT, 64), "lengths": table(Q_OCTAVES, len(LENGTHS))})


GOLDEN_SHA256 = "f90c7b2388b32678848be5ba05be32f7035d5361bb5ae5255ca3184e3f9250d4"
GOLDEN = {
    "raw": "010bdf9bcb0e60c90075ea136c141bc4fa6bc4fab61762ea1506f13ead8b"
    "a8541bc4fab62ea1506f13ead8ba8541bc4fa2954e497c23c32f1289",
    "static": "36bd82ba70e45a2f2a234b6295f1d6eba4532316fc3b6696ddcb87ad3a4dce7a9db9dca90bd3b8e08d7d9eae62c41823ad",
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


def test_walk_ignores_no_latent(random_bands):
    """Payloads of tokens that differ in one kept latent differ."""
    tokens = shorten(random_bands(1, 1, seed=3, escapes=0), np.array([[4096]]))
    payloads = {write(tokens, RawCoder(), 4096)[0]}
    for b, band in enumerate(BANDS):
        for latent in range(0, band.latents, 7):
            changed = tokens.bands[b].copy()
            changed[latent, -1, -1] += 1
            other = Tokens(tokens.lengths, (*tokens.bands[:b], changed, *tokens.bands[b + 1 :]))
            payloads.add(write(other, RawCoder(), 4096)[0])
    assert len(payloads) == 1 + sum(len(range(0, b.latents, 7)) for b in BANDS)
