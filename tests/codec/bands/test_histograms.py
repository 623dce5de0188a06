"""Static tables: exact sums, exact counts, and fewer bits than the raw coder."""

import collections
import copy

import numpy as np
import pytest

from odpiece.codec.bands.coders import LearnedCoder, RawCoder, StaticCoder
from odpiece.codec.bands.histograms import FINE_PICTURES, analyze, at_octaves, count, fit_learned, fit_static, smooth
from odpiece.codec.bands.quantization import draft
from odpiece.codec.bands.tokens import LENGTHS
from odpiece.codec.bands.walk import walk
from odpiece.codec.range_coder import Writer, to_table
from odpiece.models.interface import BANDS, is_fine

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


def assert_complete(table, shape):
    assert table.dtype == np.uint32 and table.shape == shape
    assert (table.sum(axis=-1, dtype=np.int64) == PRECISION - shape[-1]).all()
    assert table.min() >= 1


@pytest.mark.parametrize("q, octave", [(1, 0), (3, 2), (90, 6), (91, 7), (1024, 10), (4096, 12)])
def test_counts_equal_a_counter(q, octave, random_tokens, toy_tables):
    tokens = random_tokens(2, 3, q=q, seed=q, escapes=0.05)
    full = min(i for i, n in enumerate(LENGTHS) if n >= q)
    steps = {min(int(n), q): full - i for i, n in enumerate(LENGTHS[: full + 1])}  # by length
    length_counts, latent_counts = collections.Counter(), collections.Counter()
    for (row, column), length in np.ndenumerate(tokens.lengths):
        below = steps[int(length)]
        length_counts[octave, below] += 1
        length_class = (below >= 1) + (below >= 3) + (below >= 5)
        for band, first, share, z in zip(BANDS, (0, 48, 84, 144, 208), (1, 1, 3, 3, 3), tokens.bands):
            s = band.side
            piece = z[:, row * s : (row + 1) * s, column * s : (column + 1) * s]
            for (latent, y, x), value in np.ndenumerate(piece):
                if band.token_index[latent, y, x] < length:
                    symbol = value + 31 if abs(value) <= 31 else 63
                    latent_counts[octave, length_class, first + latent // share, int(symbol)] += 1
    counter = count(StaticCoder(toy_tables), [(tokens, q), (tokens, q)])
    latents = counter.latents.reshape(13, 4, 240, 64)
    for counts, expected in ((counter.lengths, length_counts), (latents, latent_counts)):
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


def random_latents(seed, rows=1, columns=2):
    """float32 latents whose spread falls with their rank, faster in the first column of pieces."""
    rng = np.random.default_rng(seed)
    out = []
    for band in BANDS:
        z = rng.laplace(0, 1, (band.latents, rows * band.side, columns * band.side))
        rank = np.arange(band.latents)[:, None, None]
        z *= 30 / (1 + rank) ** 0.8
        z[:, :, : band.side] /= (1 + rank) ** 0.7
        out.append(z.astype(np.float32))
    return tuple(out)


def bits(coder, pictures):
    return sum(g.bits for tokens, q in pictures for g in walk(Writer(), coder, q, *tokens.lengths.shape, tokens)[1])


LATENTS = [random_latents(seed) for seed in range(4)]
PICTURES = [(z[:3], z) for z in LATENTS]


@pytest.fixture(scope="module")
def fitted():
    """Static tables of four toy pictures."""
    return fit_static(PICTURES)


def drafts(tables, pictures, qualities):
    return [(draft(z[is_fine(q)], q, tables["latents"]), q) for z in pictures for q in qualities]


OCTAVES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096]


def test_pictures_are_counted_at_the_octaves_of_the_tables():
    found = list(at_octaves([("usual", "fine"), ("other", ())]))
    assert [q for _, q in found] == [*OCTAVES, *OCTAVES[:10]]
    assert [z for z, _ in found] == ["usual"] * 10 + ["fine"] * 3 + ["other"] * 10


def test_fitted_tables_are_complete(fitted):
    assert set(fitted) == {"latents", "lengths"}
    assert_complete(fitted["latents"], (13, 4, 240, 64))
    assert_complete(fitted["lengths"], (13, 29))


def test_fitted_tables_are_those_of_a_second_pass(fitted):
    """By hand: drafts under level tables, their tables, drafts under those. Of n counts a class borrows 20."""
    level = np.full((13, 4, 240, 64), 262143, dtype=np.uint32)
    for _ in range(2):
        counter = count(StaticCoder(fitted), drafts({"latents": level}, PICTURES, OCTAVES))
        counts = counter.latents.reshape(13, 4, 240, 64)
        pooled = smooth(counts.sum(axis=1).reshape(-1, 64)).reshape(13, 1, 240, 64)
        level = to_table((counts + 20 * pooled / pooled.sum(axis=-1, keepdims=True)).reshape(-1, 64)).reshape(
            counts.shape
        )
    np.testing.assert_array_equal(fitted["latents"], level)
    np.testing.assert_array_equal(fitted["lengths"], to_table(counter.lengths + 0.5))
    assert counter.lengths.sum(axis=1).tolist() == [8] * 13  # four pictures of two pieces at every octave


@pytest.mark.parametrize("octave, share", [(2, 0.7), (5, 0.7), (8, 0.7), (10, 0.7), (12, 0.75)])
def test_static_coder_beats_raw(octave, share, fitted):
    """By least at the highest quality, where many latents escape, which costs the same bits under both."""
    coder = StaticCoder(fitted)
    seen, unseen = (
        drafts(fitted, pictures, [1 << octave]) for pictures in (PICTURES, [(random_latents(9)[:3], random_latents(9))])
    )
    assert bits(coder, seen) < share * bits(RawCoder(), seen)
    assert bits(coder, unseen) < 0.9 * bits(RawCoder(), unseen)


def test_learned_coder_fits_its_tables(fitted, toy_priors):
    """Tables that were counted code the pictures in fewer bits than the law they began as."""
    prior = copy.copy(toy_priors[1])
    law = prior.tables / prior.tables.sum(axis=1, keepdims=True)
    tables = fit_learned(prior, PICTURES[:2], fitted, law)
    assert set(tables) == {"tables", "lengths"}
    assert_complete(tables["tables"], (2560, 64))
    assert_complete(tables["lengths"], (13, 29))
    tokens = drafts(fitted, PICTURES[:2], [16, 256])
    prior.tables, prior.lengths = tables["tables"], tables["lengths"]
    after = bits(LearnedCoder(prior), tokens)
    assert after < 0.99 * bits(LearnedCoder(toy_priors[1]), tokens)
    assert after < 0.7 * bits(RawCoder(), tokens)


class Shapes:
    """A transform that gives the shapes of what it is asked to analyze, and whether fine."""

    def analyze(self, pixels, fine=False):
        return pixels.shape, fine


def test_analyze_pads_to_whole_pieces(photo):
    found = analyze(Shapes(), [photo[:70, :64], photo[:1, :65]])
    assert found == [tuple((shape, fine) for fine in (False, True)) for shape in ((128, 64, 3), (64, 128, 3))]


def test_few_pictures_are_counted_at_high_qualities(photo):
    found = analyze(Shapes(), [photo[:1, :1]] * (FINE_PICTURES + 1))
    assert found[FINE_PICTURES - 1][1] and found[FINE_PICTURES][1] == ()
