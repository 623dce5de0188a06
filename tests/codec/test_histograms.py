"""Static tables: exact sums, exact counts, and fewer bits than the raw coder."""

from collections import Counter

import numpy as np
import pytest

from odpiece.codec.coders import RawCoder, StaticCoder
from odpiece.codec.histograms import Histograms, fit_tables, smooth, to_table
from odpiece.codec.range_coder import Writer
from odpiece.codec.tokens import LENGTHS
from odpiece.codec.walk import walk
from odpiece.models.interface import BANDS

PRECISION = 1 << 24


def one_symbol(symbols):
    counts = np.zeros((1, symbols))
    counts[0, symbols // 2] = 1e6
    return counts


COUNTS = {
    "one symbol of 64": one_symbol(64),
    "one symbol of 19": one_symbol(19),
    "level": np.ones((3, 64)),
    "tiny": np.full((2, 19), 1e-9),
    "huge and tiny": np.array([[1e15] + [1e-9] * 63]),
    "random": np.random.default_rng(0).gamma(0.05, 1.0, (500, 64)) + 1e-12,
}


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_rows_sum_exactly_and_no_symbol_is_impossible(counts):
    table = to_table(counts)
    assert table.dtype == np.uint32 and table.shape == counts.shape
    assert (table.sum(axis=1, dtype=np.int64) == PRECISION - counts.shape[1]).all()
    assert table.min() >= 1


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_rows_are_the_frequencies(counts):
    expected = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(to_table(counts) / PRECISION, expected, atol=2 * counts.shape[1] / PRECISION)


def test_tables_of_nothing_counted_are_complete():
    tables = Histograms().tables()
    assert {name: (t.dtype, t.shape) for name, t in tables.items()} == {
        "latents": (np.uint32, (11, 4, 264, 64)),
        "lengths": (np.uint32, (11, 19)),
    }
    for table in tables.values():
        assert (table.sum(axis=-1, dtype=np.int64) == PRECISION - table.shape[-1]).all()
        assert table.min() >= 1


@pytest.mark.parametrize("q, octave", [(1, 0), (3, 2), (90, 6), (91, 7), (1024, 10)])
def test_counts_equal_a_counter(q, octave, random_tokens):
    tokens = random_tokens(2, 3, q=q, seed=q, escapes=0.05)
    full = min(i for i, n in enumerate(LENGTHS) if n >= q)
    steps = {min(int(n), q): full - i for i, n in enumerate(LENGTHS[: full + 1])}  # by length
    length_counts, latent_counts = Counter(), Counter()
    for (row, column), length in np.ndenumerate(tokens.lengths):
        below = steps[int(length)]
        length_counts[octave, below] += 1
        length_class = (below >= 1) + (below >= 3) + (below >= 5)
        for band, first, z in zip(BANDS, (0, 48, 84), tokens.bands):
            s = band.side
            piece = z[:, row * s : (row + 1) * s, column * s : (column + 1) * s]
            for (latent, y, x), value in np.ndenumerate(piece):
                if band.token_index[latent, y, x] < length:
                    symbol = value + 31 if abs(value) <= 31 else 63
                    latent_counts[octave, length_class, first + latent, int(symbol)] += 1
    histograms = Histograms()
    histograms.add(tokens, q)
    histograms.add(tokens, q)
    for counts, expected in ((histograms.lengths, length_counts), (histograms.latents, latent_counts)):
        got = {at: counts[at] for at in map(tuple, np.argwhere(counts).tolist())}
        assert got == {at: 2 * n for at, n in expected.items()}


def test_smooth_adds_pseudo_counts_that_fall_off_from_zero():
    counts = np.zeros((2, 64))
    counts[0, 31:34] = 50, 30, 20
    added = smooth(counts) - counts
    assert (added > 0).all()
    np.testing.assert_allclose(added.sum(axis=1), added.sum(axis=1)[0])
    assert (np.diff(added[:, 31:]) < 0).all() and (np.diff(added[:, :32]) > 0).all()
    assert added[0, 35] > added[1, 35]  # wider where the counts are


def bits(tokens, coder, q):
    return sum(g.bits for g in walk(Writer(), coder, q, *tokens.lengths.shape, tokens)[1])


@pytest.mark.parametrize("q", [16, 256])
def test_fitted_coder_beats_raw(q, random_tokens):
    histograms = Histograms()
    for seed in range(4):
        histograms.add(random_tokens(3, 3, q=q, seed=seed, escapes=0), q)
    fitted = StaticCoder(histograms.tables())
    seen, unseen = (random_tokens(3, 3, q=q, seed=seed, escapes=0) for seed in (0, 9))
    assert bits(seen, fitted, q) < 0.7 * bits(seen, RawCoder(), q)
    assert bits(unseen, fitted, q) < 0.8 * bits(unseen, RawCoder(), q)
    assert bits(seen, fitted, q) < bits(seen, StaticCoder(Histograms().tables()), q)


class FakeTransform:
    """Latents that depend on the picture's mean: enough to count."""

    def analyze(self, pixels):
        rng = np.random.default_rng(int(pixels.sum()))
        rows, columns = pixels.shape[0] // 64, pixels.shape[1] // 64
        return tuple(rng.laplace(0, 6, (b.latents, rows * b.side, columns * b.side)).astype(np.float32) for b in BANDS)


def test_fit_tables_counts_pictures_at_all_octaves(photo):
    tables = fit_tables(FakeTransform(), [photo[:70, :64], photo[100:164, :64]])
    nothing = Histograms().tables()
    for name, table in tables.items():
        assert table.shape == nothing[name].shape
        assert (table.sum(axis=-1, dtype=np.int64) == PRECISION - table.shape[-1]).all()
        assert all((table[octave] != nothing[name][octave]).any() for octave in range(11))
