"""Quantization: the Lagrangian against brute force, the error against the step, the padding to whole pieces."""

from types import SimpleNamespace

import numpy as np
import pytest

from odpiece.codec.bands.coders import LENGTH_CLASSES, SYMBOLS, LearnedCoder, RawCoder
from odpiece.codec.bands.quantization import LAMBDA, RateAware, dequantize, draft, source, toll, whole_pieces
from odpiece.codec.bands.tokens import LENGTHS, kept_mask
from odpiece.codec.bands.walk import walk
from odpiece.codec.range_coder import Reader, Writer, row_total
from odpiece.models.interface import BANDS, Q_OCTAVES, latent_steps, step_size

FIRST = (0, 48, 84, 144, 208)  # row of each band's first latent in a static table
SHARE = (1, 1, 3, 3, 3)  # latents of each band that have a row together
LEVEL = np.full((Q_OCTAVES, LENGTH_CLASSES, 240, SYMBOLS), row_total(SYMBOLS) // SYMBOLS, dtype=np.uint32)


def random_latents(rows, columns, q, seed):
    """float32 latents that fall off with their rank, some far outside the alphabet."""
    rng = np.random.default_rng(seed)
    out = []
    for band in BANDS:
        shape = (band.latents, rows * band.side, columns * band.side)
        spread = 12.0 / (1 + np.arange(band.latents))[:, None, None] ** 0.7
        z = rng.laplace(0, 1, shape) * spread * np.where(rng.random(shape) < 0.01, 30, 1)
        out.append((z * step_size(q)).astype(np.float32))
    return tuple(out)


def over_steps(latents, q):
    """The latents over their steps, of which that of the mean colour is finer."""
    return [z / s.astype(np.float32)[:, None, None] for z, s in zip(latents, latent_steps(q), strict=True)]


def weight(band, latent, q):
    """What a squared error of one step of a latent counts, in squared usual steps."""
    return float(latent_steps(q)[BANDS.index(band)][latent] / step_size(q)) ** 2


def length_class(length, q):
    """Oracle: 0..3 by the steps of LENGTHS that `length` lies below the longest that q allows."""
    allowed = [int(n) for n in LENGTHS if n < q] + [q]
    steps = len(allowed) - 1 - allowed.index(length)
    return int(steps >= 1) + int(steps >= 3) + int(steps >= 5)


def places(band, lengths):
    """(index into the band, length of its piece) of all kept latents."""
    kept = kept_mask(band, lengths)
    for at in np.argwhere(kept).tolist():
        yield tuple(at), int(lengths[at[1] // band.side, at[2] // band.side])


def price(value, integer, row, weight):
    """Squared error in usual steps + LAMBDA bits under a table row; `integer` within +-31."""
    return weight * (value - integer) ** 2 - LAMBDA * np.log2((int(row[integer + 31]) + 1) / 2**24)


def brute_force(scaled, q, lengths, table):
    """By a loop: each latent rounded, or one step nearer to zero where that is cheaper, and the summed prices."""
    octave = round(np.log2(q))
    bands, best, plain = [], 0.0, 0.0
    for band, first, share, z in zip(BANDS, FIRST, SHARE, scaled, strict=True):
        out = np.zeros(z.shape, dtype=np.int64)
        for at, length in places(band, lengths):
            nearest = int(np.rint(z[at]))
            if abs(nearest) <= 31:
                row = table[octave, length_class(length, q), first + at[0] // share]
                nearer = nearest - int(np.sign(nearest))
                counts = weight(band, at[0], q)
                prices = price(float(z[at]), nearest, row, counts), price(float(z[at]), nearer, row, counts)
                plain, best = plain + prices[0], best + min(prices)
                nearest = nearest if prices[0] <= prices[1] else nearer
            out[at] = nearest
        bands.append(out)
    return bands, best, plain


def lagrangian(tokens, scaled, q, lengths, table):
    """Summed prices of Tokens, of all latents within `lengths` whose rounded value has a symbol."""
    octave, total = round(np.log2(q)), 0.0
    for band, first, share, z, k in zip(BANDS, FIRST, SHARE, scaled, tokens.bands, strict=True):
        for at, length in places(band, lengths):
            if abs(int(np.rint(z[at]))) <= 31:
                row = table[octave, length_class(length, q), first + at[0] // share]
                total += price(float(z[at]), int(k[at]), row, weight(band, at[0], q))
    return total


@pytest.mark.parametrize("q", [1, 8, 20, 100, 700, 2100])
def test_never_dearer_than_rounding(q, toy_tables):
    """With tables that are the same in all length classes, one pass decides."""
    table = np.broadcast_to(toy_tables["latents"][:, :1], LEVEL.shape)
    latents = random_latents(1, 2, q, seed=q)
    scaled = over_steps(latents, q)
    everywhere = np.full((1, 2), q)
    bands, best, plain = brute_force(scaled, q, everywhere, table)
    tokens = draft(latents, q, table)
    for got, expected in zip(tokens.bands, bands):
        np.testing.assert_array_equal(got, expected)
    got = lagrangian(tokens, scaled, q, everywhere, table)
    assert got == pytest.approx(best, rel=1e-9)
    assert got < plain


def test_second_pass_uses_the_length_classes_of_the_first(toy_tables):
    q, table = 100, toy_tables["latents"]
    latents = tuple(z * 0.25 for z in random_latents(2, 2, q, seed=6))
    for band, z in zip(BANDS, latents, strict=True):
        z[:, : band.side, band.side :] *= 0.2  # this piece keeps fewer tokens
    scaled = over_steps(latents, q)
    lengths = np.full((2, 2), q)
    for _ in range(2):
        bands, _, plain = brute_force(scaled, q, lengths, table)
        used, before = np.zeros((2, 2), dtype=int), lengths
        for band, z in zip(BANDS, bands):
            for latent, y, x in np.argwhere(z):
                token = band.token_index[latent, y % band.side, x % band.side]
                piece = y // band.side, x // band.side
                used[piece] = max(used[piece], token + 1)
        lengths = np.array([[min(q, min(n for n in LENGTHS if n >= u)) for u in row] for row in used])
    assert len({length_class(n, q) for n in before.ravel()}) > 1, "the case is too easy"
    tokens = draft(latents, q, table)
    np.testing.assert_array_equal(tokens.lengths, lengths)
    for got, expected in zip(tokens.bands, bands):
        np.testing.assert_array_equal(got, expected)
    assert lagrangian(tokens, scaled, q, before, table) <= plain


@pytest.mark.parametrize("q", [1, 50, 1024, 4096])
@pytest.mark.parametrize("name, most", [("level", 0.5), ("toy", 1.0)])
def test_kept_latents_come_back_within_a_step(name, most, q, toy_tables):
    table = (
        LEVEL if name == "level" else toy_tables["latents"] // 2 + (1 << 17)
    )  # mild: no bit is worth more than a step
    latents = random_latents(2, 1, q, seed=q)
    tokens = draft(latents, q, table)
    back = dequantize(tokens, q)
    for band, z, b in zip(BANDS, latents, back):
        kept = kept_mask(band, tokens.lengths)
        assert b.dtype == np.float32 and not b[~kept].any()
        assert np.abs(z - b)[kept].max(initial=0) <= most * step_size(q) * (1 + 1e-4)


class Checked:
    """A source that asks RateAware and holds each of its choices against all three candidates, in a loop."""

    def __init__(self, latents, q, lengths, coder):
        self.source, self.lengths, self.coder = RateAware(latents, q, lengths, coder), lengths, coder
        self.scaled = over_steps(latents, q)
        self.q, self.asked, self.moved = q, 0, 0

    def values(self, band, members, here, rows, centres):
        got = self.source.values(band, members, here, rows, centres)
        scaled = self.scaled[band][members][here]
        assert got.shape == scaled.shape and got.dtype == np.int32
        latents = np.broadcast_to(np.asarray(members)[:, None, None], here.shape)[here]
        facts = (scaled, got, rows, centres, latents)
        for value, chosen, row, centre, latent in zip(*(fact.tolist() for fact in facts)):
            counts = weight(BANDS[band], latent, self.q)
            nearest = int(np.rint(value))
            prices = {}
            width = 2 ** int(self.coder.shifts[row])
            for k in (nearest - 1, nearest, nearest + 1):
                number = (k - centre + width // 2) // width
                symbol = number + 31 if abs(number) <= 31 else 63
                probability = (int(self.coder.latents[row, symbol]) + 1) / 2**24 / width
                prices[k] = counts * (value - k) ** 2 - LAMBDA * np.log2(probability)
            assert chosen in prices and prices[chosen] <= min(prices.values()) + 1e-6
            self.moved += chosen != nearest
        self.asked += len(got)
        return got


@pytest.mark.parametrize("q", [3, 100, 1024, 2100])
def test_rate_aware_choices_are_the_cheapest(q, coder):
    lengths = np.array([[q, min(q, 20)]])
    checked = Checked(random_latents(1, 2, q, seed=q), q, lengths, coder)
    writer = Writer()
    tokens, _ = walk(writer, coder, q, 1, 2, checked)
    np.testing.assert_array_equal(tokens.lengths, lengths)
    assert checked.asked == 3 * lengths.sum()
    assert checked.moved > 0 or q == 3 or isinstance(coder, RawCoder)
    got, _ = walk(Reader(writer.to_bytes()), coder, q, 1, 2)
    assert got.sha256 == tokens.sha256


def test_source_trims_where_the_coder_asks(coder, toy_tables):
    latents = tuple(z * 0.03 for z in random_latents(2, 2, 100, seed=4))
    got = source(latents, 100, coder, toy_tables["latents"]).lengths
    drafted = draft(latents, 100, toy_tables["latents"]).lengths
    assert drafted.min() < 100
    np.testing.assert_array_equal(got, np.full((2, 2), 100) if isinstance(coder, LearnedCoder) else drafted)


def test_rate_aware_choices_of_the_raw_coder_are_the_nearest():
    latents = random_latents(1, 1, 64, seed=1)
    tokens, _ = walk(Writer(), RawCoder(), 64, 1, 1, RateAware(latents, 64, np.array([[64]]), RawCoder()))
    for band, z, k in zip(BANDS, over_steps(latents, 64), tokens.bands, strict=True):
        np.testing.assert_array_equal(k, np.rint(z) * kept_mask(band, tokens.lengths))


def test_rate_aware_choices_stay_within_what_is_coded(coder):
    latents = [np.zeros((b.latents, b.side, b.side), dtype=np.float32) for b in BANDS]
    latents[0][:2, 0, 0] = 1e7, -1e7
    tokens, _ = walk(Writer(), coder, 1024, 1, 1, RateAware(latents, 1024, np.array([[16]]), coder))
    assert np.abs(tokens.bands[0][:2, 0, 0]).tolist() in (
        [32767, 32767],
        [32766, 32767],
        [32767, 32766],
        [32766, 32766],
    )
    assert np.sign(tokens.bands[0][:2, 0, 0]).tolist() == [1, -1]


@pytest.mark.parametrize(
    "value, expected", [(30.6, 30), (31.4, 31), (31.6, 32), (-30.6, -30), (0.6, 0), (0.9, 1), (-1.4, -1)]
)
def test_largest_symbol_moves_and_escapes_stay(value, expected):
    """Under a table in which +-31 and +-1 are dear; 32 would be an escape."""
    table = LEVEL.copy()
    table[..., [0, 30, 32, 62]] = 1 << 14  # 4 bits dearer: 0.6 squared steps
    bands = [np.zeros((b.latents, b.side, b.side), dtype=np.float32) for b in BANDS]
    bands[0][5, 0, 0] = value * step_size(64)
    assert draft(bands, 64, table).bands[0][5, 0, 0] == expected


def test_the_mean_colour_has_a_finer_step():
    usual, finer = step_size(64), [s / step_size(64) for s in latent_steps(64)]
    assert finer[0][:3].tolist() == [0.5] * 3 and (finer[0][3:] == 1).all() and usual == latent_steps(64)[1][0]
    assert all((finer[band] == 1).all() for band in (1, 2, 3, 4))
    steps = latent_steps(np.arange(1, 4097))[0][:, 0]
    assert (np.diff(steps) < 0).all() and steps[0] == step_size(1)


def test_steps_fall_as_q_rises():
    steps = step_size(np.arange(1, 4097))
    assert (np.diff(steps) < 0).all() and steps[-1] > 0


@pytest.mark.parametrize("q", [1, 3, 64, 1000, 1024, 4096])
def test_latents_are_divided_by_the_step_of_q(q):
    steps = (s.astype(np.float32)[:, None, None] for s in latent_steps(q))
    bands = tuple(np.full((b.latents, b.side, b.side), 3 * s, dtype=np.float32) for b, s in zip(BANDS, steps))
    tokens = draft(bands, q, LEVEL)
    assert tokens.lengths.tolist() == [[q]]
    for band, z in zip(BANDS, tokens.bands):
        np.testing.assert_array_equal(z, 3 * kept_mask(band, tokens.lengths))


def test_latents_beyond_the_largest_are_clipped():
    bands = [np.zeros((b.latents, b.side, b.side), dtype=np.float32) for b in BANDS]
    bands[0][:2, 0, 0] = 1e7, -1e7
    tokens = draft(bands, 1024, LEVEL)
    assert tokens.bands[0][:2, 0, 0].tolist() == [32767, -32767]


@pytest.mark.parametrize("axis", [0, 1])
def test_whole_pieces_repeats_the_edge(axis):
    rng = np.random.default_rng(0)
    for n in range(1, 131):
        shape = (n, 5, 3) if axis == 0 else (5, n, 3)
        pixels = rng.integers(256, size=shape, dtype=np.uint8)
        got = whole_pieces(pixels)
        height, width = (-(-side // 64) * 64 for side in shape[:2])
        y, x = np.minimum(np.arange(height), shape[0] - 1), np.minimum(np.arange(width), shape[1] - 1)
        assert got.dtype == np.uint8 and got.flags.c_contiguous
        np.testing.assert_array_equal(got, pixels[y][:, x])


def test_whole_pieces_leaves_whole_pieces_alone(photo):
    np.testing.assert_array_equal(whole_pieces(photo), photo)
    np.testing.assert_array_equal(whole_pieces(photo[:, ::-1]), photo[:, ::-1])


@pytest.mark.parametrize("q", [20, 512, 2000])
def test_a_toll_is_in_units_of_the_latents(q, random_tokens):
    """Bits a step, times LAMBDA * slope squared steps a bit, to squared error a unit."""
    bits = SimpleNamespace(later_bits_gradient=lambda q, bands: [np.full(z.shape, 2.0, np.float32) for z in bands])
    tokens = random_tokens(1, 2, q)
    found = toll(tokens, q, bits, slope=3.0)
    for got, like, steps in zip(found, dequantize(tokens, q), latent_steps(q)):
        assert got.dtype == np.float32 and got.shape == like.shape
        expected = 2.0 * 3.0 * LAMBDA * step_size(q) ** 2 / steps[:, None, None]
        np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=1e-5)
    assert len(found) == len(dequantize(tokens, q))
