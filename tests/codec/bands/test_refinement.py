"""The encoder's search: on quadratics whose optimum is known, and its effort on real pictures."""

from types import SimpleNamespace

import numpy as np
import pytest

from odpiece.codec import decode, encode
from odpiece.codec.bands import picture, refinement
from odpiece.codec.bands.quantization import LAMBDA, dequantize, toll
from odpiece.codec.bands.refinement import MARGIN, OVERSHOT, ROUNDS, Search, pace, refine
from odpiece.codec.bands.tokens import Tokens
from odpiece.codec.family import EFFORT
from odpiece.codec.files import analyzed, read
from odpiece.formats.container import CoderId, unpack
from odpiece.formats.errors import OptionError
from odpiece.models.interface import BANDS, USUAL_BANDS, is_fine, latent_steps, step_size
from odpiece.models.library import Model, load_model

Q = 100
PACE = pace(Q)
USUAL = BANDS[:USUAL_BANDS]
STEP = step_size(Q)


class Toy:
    """A codec of plain rounding, and a search on the error stiffness * (decoded - goal)^2 that never steps back.

    `sizes` gives the bytes of each coding in turn, from several segments; `off` says that means are.
    """

    def __init__(self, latents, goal, stiffness=1.0, sizes=(10,), off=False):
        self.latents, self.goal, self.stiffness, self.sizes, self.off = latents, goal, stiffness, sizes, off
        self.given, self.made, self.asked = [], [], []

    def code(self, latents):
        size = self.sizes[len(self.given) % len(self.sizes)]
        self.given.append(tuple(z.copy() for z in latents))
        bands = tuple(np.rint(z / STEP).astype(np.int32) for z in latents)
        self.made.append((bytes([len(self.made)] * size), Tokens(None, bands)))
        return self.made[-1]

    def measure(self, tokens, move=False):
        self.asked.append(move)
        if not move:
            self.looked_at = tokens
        decoded = [z * np.float32(STEP) for z in tokens.bands]
        differences = [d - g for d, g in zip(decoded, self.goal, strict=True)]
        for z, d, difference in zip(self.latents if move else (), decoded, differences):
            z += PACE * (d - self.stiffness * difference - z)
        return self.stiffness * sum(float(np.square(d).sum()) for d in differences)

    def step_back(self):
        return False

    def even_out(self):
        assert self.looked_at is self.made[-1][1]
        return self.off

    def cost(self, coded, slope):
        """The oracle: squared error in steps and LAMBDA a bit."""
        return self.measure(coded[1], False) / STEP**2 + LAMBDA * slope * 8 * len(coded[0])


def bands(seed, spread):
    rng = np.random.default_rng(seed)
    return tuple((rng.normal(0, spread, (5, side, side)) * STEP).astype(np.float32) for side in (1, 2, 4))


@pytest.fixture
def start():
    return bands(0, 3)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_no_rounds_code_once_and_measure_nothing(start):
    toy = Toy(start, bands(1, 3))
    first = tuple(z.copy() for z in start)
    got = refine(toy, Q, 1.0, toy.code, 0)
    assert got is toy.made[0][0] and (len(toy.made), toy.asked) == (1, [])
    assert same(toy.given[0], first)


@pytest.mark.parametrize("rounds", [1, 2, 7])
def test_each_round_codes_and_measures_once(rounds, start):
    """The last coding is measured without gradients, which nothing would follow."""
    toy = Toy(start, bands(1, 3))
    refine(toy, Q, 1.0, toy.code, rounds)
    assert len(toy.made) == rounds + 1
    assert toy.asked == [True] * rounds + [False]


def test_latents_go_part_of_the_way_to_the_goal(start):
    """Of an orthonormal synthesis the gradient points to the goal, whatever rounding did."""
    toy = Toy(start, bands(1, 3))
    before = tuple(z.copy() for z in start)
    refine(toy, Q, 1.0, toy.code, 5)
    for number, latents in enumerate(toy.given):
        for z, first, goal in zip(latents, before, toy.goal, strict=True):
            np.testing.assert_allclose(z, goal + (1 - PACE) ** number * (first - goal), atol=1e-4 * STEP)


def test_the_optimum_is_found(start):
    toy = Toy(start, tuple(np.rint(z / STEP) * STEP + 0.3 * STEP for z in bands(1, 3)))
    got = refine(toy, Q, 1.0, toy.code, 16)
    (tokens,) = (tokens for data, tokens in toy.made if data == got)
    assert same(tokens.bands, [np.rint(z / STEP) for z in toy.goal])
    assert not same(toy.made[0][1].bands, tokens.bands)


@pytest.mark.parametrize("stiffness", [0.3, 1.0, 2.0, 9.0, -1.0], ids=lambda s: f"stiffness {s}")
@pytest.mark.parametrize("slope", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("sizes", [(10,), (30, 40, 20, 200), (500, 90, 91)], ids=str)
def test_the_cheapest_of_all_rounds_is_kept(stiffness, slope, sizes, start):
    """Also where the rounds lead astray: of stiffness 9 they diverge, of -1 they run away from the goal."""
    toy = Toy(start, bands(1, 3), stiffness, sizes)
    got = refine(toy, Q, slope, toy.code, 6)
    costs = [toy.cost(coded, slope) for coded in toy.made]
    assert got is toy.made[int(np.argmin(costs))][0]
    assert len(set(costs)) > 1


def test_a_steep_slope_prefers_few_bytes():
    """The first coding is small and far from the goal, the others are large and near."""
    for slope, expected in ((1.0, 1), (50.0, 0)):
        toy = Toy(bands(0, 3), bands(1, 3), sizes=(100, 200))
        assert refine(toy, Q, slope, toy.code, 1) is toy.made[expected][0]


@pytest.mark.parametrize("rounds", [1, 3])
def test_means_are_mended_at_last_whatever_it_costs(rounds):
    toy = Toy(bands(0, 3), bands(1, 3), sizes=(*[10] * (rounds + 1), 10000), off=True)
    assert refine(toy, Q, 50.0, toy.code, rounds) is toy.made[-1][0]
    assert len(toy.made) == rounds + 2 and toy.asked == [True] * rounds + [False]


@pytest.mark.parametrize("rounds", [1, 3])
def test_means_of_a_picture_that_went_astray_are_not_mended(rounds, start):
    toy = Toy(start, bands(1, 3), stiffness=9.0, off=True)
    assert refine(toy, Q, 1.0, toy.code, rounds) is toy.made[0][0]
    assert len(toy.made) == rounds + 1


def test_the_pace_rises_with_the_quality():
    paces = [pace(q) for q in (1, 16, 64, 256, 512, 1024, 4096)]
    assert paces == sorted(paces) and 0 < paces[0] < 0.1 and paces[-1] == paces[-2] == 0.5


def box(grid):
    """The sum of each place and its eight neighbours; beyond the edges is nothing."""
    rows, columns = grid.shape
    padded = np.pad(grid, 1)
    return sum(padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3))


def by_piece(band, grid):
    """Sums over pieces of (latents, h, w)."""
    _, height, width = grid.shape
    return grid.reshape(-1, height // band.side, band.side, width // band.side, band.side).sum((0, 2, 4))


class Unseen(Search):
    """A Search whose errors without a move are the Transform's as well, of no picture."""

    def _look(self, window, decoded, wanted, importance):
        return self._transform.error(decoded, self._q, wanted, importance)[0]


class Reaching:
    """A Transform in which each piece's error is the latents' energy there and in the eight pieces around."""

    def __init__(self):
        self.sizes = []

    def error(self, latents, q, pixels, importance):
        assert pixels.flags.c_contiguous and pixels.shape[:2] == importance.shape
        assert len(latents) == (5 if is_fine(q) else 3)
        weight = importance[::64, ::64] * (1.0 + pixels[::64, ::64, 0])
        self.sizes.append(weight.shape)
        energy = sum(by_piece(band, z**2) for band, z in zip(BANDS, latents))
        reach = box(weight)
        found = (2 * z * reach.repeat(b.side, 0).repeat(b.side, 1) for b, z in zip(BANDS, latents))
        return weight * box(energy), tuple(found)


@pytest.mark.parametrize("q", [Q, 1500, 4096])
@pytest.mark.parametrize("rows, columns", [(1, 1), (3, 2), (4, 4), (9, 7)])
def test_tiles_add_up_to_the_whole(rows, columns, q, random_tokens, monkeypatch):
    """Exactly, where the synthesis reaches no further than the margin; and no tile is large."""
    monkeypatch.setattr(refinement, "TILE", 4)
    rng, transform = np.random.default_rng(rows), Reaching()
    tokens = random_tokens(rows, columns, q)
    latents = tuple(rng.normal(size=z.shape) for z in dequantize(tokens, q))
    unused = [z.copy() for band, z in zip(BANDS, latents) if band.first_token >= q]
    pixels = rng.integers(0, 256, (64 * rows, 64 * columns, 3), dtype=np.uint8)
    alpha = rng.integers(0, 2, pixels.shape[:2], dtype=np.uint8)
    errors, gradients = Reaching().error(dequantize(tokens, q), q, pixels, alpha.astype(np.float32))
    wanted = [z + pace(q) * (d - g / 2 - z) for z, d, g in zip(latents, dequantize(tokens, q), gradients)]
    wanted[len(wanted) - len(unused) :] = unused  # bands beyond the quality stay as they are
    search = Unseen(transform, latents, q, pixels, alpha)
    total = search.measure(tokens, move=True)
    assert total == pytest.approx(errors.sum(dtype=np.float64), rel=1e-6)
    for got, expected in zip(latents, wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    assert max(max(size) for size in transform.sizes) <= 4 + 2 * MARGIN
    assert len(transform.sizes) == -(-rows // 4) * -(-columns // 4)
    assert search.measure(tokens) == total and not search.step_back()


def test_tiles_that_see_everything_are_exact(example, monkeypatch):
    """Of the installed model: four tiles of 2x2 pieces whose margin reaches to the ends of the picture."""
    transform, everywhere = load_model().transform, np.ones(example.shape[:2], dtype=np.float32)
    latents = tuple(z.copy() for z in transform.analyze(example))
    tokens = read(encode(example, Q, effort=0)).tokens
    decoded = dequantize(tokens, Q)
    errors, gradients = transform.error(decoded, Q, example, everywhere)
    expected = [z + PACE * (d - g / 2 - z) for z, d, g in zip(latents, decoded, gradients)]
    monkeypatch.setattr(refinement, "TILE", 2)
    monkeypatch.setattr(refinement, "MARGIN", 2)
    total = Search(transform, latents, Q, example).measure(tokens, move=True)
    assert total == pytest.approx(errors.sum(dtype=np.float64), rel=1e-5)
    for got, wanted in zip(latents, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("tile", [2, 4])
def test_a_toll_moves_the_goal(tile, random_tokens, monkeypatch):
    """By half of it, as a slope of the error would, also in tiles."""
    monkeypatch.setattr(refinement, "TILE", tile)
    tokens = random_tokens(4, 4, Q)
    decoded = dequantize(tokens, Q)
    latents = tuple(np.zeros_like(z) for z in decoded)
    search = Unseen(
        Stiff(), latents, Q, np.zeros((256, 256, 3), np.uint8), toll=lambda part: tuple(3 * z for z in part.bands)
    )
    search.measure(tokens, move=True)
    for band, z, k in zip(USUAL, latents, tokens.bands):
        soft = z[:, :, band.side :]  # goes to zero, but for the toll
        np.testing.assert_allclose(soft, PACE * -1.5 * k[:, :, band.side :], atol=1e-4)


class Stiff:
    """A Transform in which the pieces of the first column pull so hard that every move overshoots."""

    def error(self, latents, q, pixels, importance):
        stiffness = np.where(np.arange(latents[0].shape[2]) == 0, 100.0, 1.0)
        found = tuple(2 * stiffness.repeat(b.side) * z for b, z in zip(BANDS, latents))
        energy = sum(by_piece(band, z**2) for band, z in zip(USUAL, latents, strict=True))
        return stiffness * energy, found


def test_pieces_that_went_too_far_step_back(random_tokens):
    """To where the parabola through both errors is least: of a quadratic error its very minimum."""
    near = random_tokens(2, 2, Q)
    latents = tuple(z.astype(np.float32) for z in dequantize(near, Q))
    start = tuple(z.copy() for z in latents)
    search = Unseen(Stiff(), latents, Q, np.zeros((128, 128, 3), np.uint8))
    first = search.measure(near, move=True)
    moved = tuple(z.copy() for z in latents)
    far = Tokens(near.lengths, tuple(z / step[:, None, None] for z, step in zip(moved, latent_steps(Q))))
    assert search.measure(far) > OVERSHOT * first and search.step_back()
    for band, z, went, before in zip(USUAL, latents, moved, start, strict=True):
        soft = np.arange(z.shape[2]) >= band.side
        np.testing.assert_array_equal(z[..., soft], went[..., soft])
        np.testing.assert_allclose(z[..., ~soft], 0.0, atol=1e-3 * np.abs(before).max())


def test_only_pieces_that_got_worse_step_back():
    """A stiff column overshoots and comes back, the others reach their goal of zero undisturbed."""
    latents = tuple(np.full((b.latents, 2 * b.side, 2 * b.side), 40.0, dtype=np.float32) for b in USUAL)
    search = Unseen(Stiff(), latents, Q, np.zeros((128, 128, 3), np.uint8))

    def code(z):
        bands = tuple(np.rint(z / s[:, None, None]).astype(np.int32) for z, s in zip(z, latent_steps(Q)))
        return b"", Tokens(np.full((2, 2), Q, dtype=np.int32), bands)

    start = search.measure(code(latents)[1])
    refine(search, Q, 1.0, code, 16)
    stiff, soft = latents[0][:, :, 0], latents[0][:, :, 1]
    assert search.measure(code(latents)[1]) <= OVERSHOT * start
    assert np.abs(stiff).max() < 1000 and np.abs(soft).max() < 1.0


def test_efforts_rise():
    assert len(ROUNDS) == 10 and ROUNDS[0] == 0 and list(ROUNDS) == sorted(set(ROUNDS))


@pytest.fixture(scope="module")
def detail(example):
    """uint8 (128, 128, 3): the middle of the example."""
    return np.ascontiguousarray(example[64:192, 64:192])


def own_cost(data, pixels, q, slope=1.0):
    """D / step^2 + slope * LAMBDA * R of a file of whole pieces, by the model's own measure of D."""
    transform = load_model().transform
    everywhere = np.ones(pixels.shape[:2], dtype=np.float32)
    errors, _ = transform.error(dequantize(read(data).tokens, q), q, pixels, everywhere)
    _, _, segments = unpack(data)
    bits = 8 * sum(len(part.payload) for part in segments)
    return errors.sum(dtype=np.float64) / step_size(q) ** 2 + slope * LAMBDA * bits


@pytest.mark.parametrize(
    "q, slope, saved", [(16, 1.0, 0.005), (64, 2.5, 0.0005), (256, 1.0, 0.005), (1024, 1.0, 0.0), (4096, 1.0, 0.0)]
)
def test_more_effort_never_costs_more(q, slope, saved, detail):
    """Search finds much where tokens are worth their bits, and makes no file worse by more than a byte."""
    picture = analyzed(detail)
    costs = [own_cost(picture.encode(q, effort=effort, slope=slope), detail, q, slope) for effort in range(5)]
    assert (np.diff(costs) <= LAMBDA * 8 * slope).all(), costs
    assert costs[4] <= (1 - saved) * costs[0], costs


def test_effort_pays_in_the_picture_that_is_decoded(detail):
    """By an oracle of the cost: of pixels that are rounded and clipped, and of the whole file."""

    def cost(effort):
        data = encode(detail, 256, effort=effort)
        error = np.square(decode(data) / 127.5 - detail / 127.5).sum()
        return error / step_size(256) ** 2 + LAMBDA * 8 * len(data)

    assert cost(5) < 0.99 * cost(0)


def test_what_later_latents_cost_pays(detail, monkeypatch):
    """In a long search under the learned coder; others see nothing of what they coded before."""
    cost = own_cost(encode(detail, 64, effort=7), detail, 64)
    asked = []

    def nothing(*args, **options):
        asked.append(toll(*args, **options))
        return [0 * t for t in asked[-1]]

    monkeypatch.setattr(picture, "toll", nothing)
    encode(detail, 64, effort=2, coder=CoderId.STATIC)
    assert not asked
    assert cost < 0.995 * own_cost(encode(detail, 64, effort=7), detail, 64)
    assert len(asked) == ROUNDS[7]


def test_the_default_effort(detail):
    data = encode(detail, 200)
    assert data == encode(detail, 200, effort=EFFORT) != encode(detail, 200, effort=0)


@pytest.mark.parametrize("q", [513, 4096])
def test_high_qualities_are_searched_when_asked(q, detail):
    """One round gains next to nothing there: the default does not search."""
    files = [encode(detail, q, effort=effort) for effort in (0, 1, 2)]
    assert files[0] == files[1] != files[2]


def with_transform(transform):
    """The installed model with another Transform."""
    shared = load_model()
    model = Model(shared.name, shared.path, shared.sha256)
    model.__dict__["transform"] = transform
    return model


def test_no_effort_needs_no_gradients(photo):
    plain = with_transform(SimpleNamespace(analyze=load_model().transform.analyze))
    assert encode(photo, 30, effort=0, model=plain) == encode(photo, 30, effort=0)


@pytest.mark.parametrize("effort", [-1, 10, 1000])
def test_efforts_that_do_not_exist(effort, photo):
    with pytest.raises(OptionError, match="effort"):
        encode(photo, 20, effort=effort)


def test_a_steeper_slope_gives_fewer_bytes_and_less_quality(example):
    picture = analyzed(example)
    files = [picture.encode(64, effort=0, slope=slope) for slope in (0.5, 1.0, 2.0, 4.0)]
    errors = [np.square(picture.decoded(data).astype(float) - example).mean() for data in files]
    assert (np.diff([len(data) for data in files]) < 0).all()
    assert (np.diff(errors) > 0).all()
    assert files[1] == encode(example, 64, effort=0)


class Watched:
    """A Transform that records what `error` is asked, and may paint over what does not count."""

    def __init__(self, transform, paint):
        self.analyze, self.synthesize = transform.analyze, transform.synthesize
        self._error, self._paint = transform.error, paint
        self.asked, self.prepare_for = [], transform.prepare_for

    def error(self, latents, q, pixels, importance):
        self.asked.append((pixels, importance))
        if self._paint:
            pixels = np.where(importance[..., None] > 0, pixels, np.uint8(255) - pixels)
        return self._error(latents, q, pixels, importance)


@pytest.mark.parametrize("effort", [1, 2])
@pytest.mark.parametrize("transparent", [False, True])
def test_only_what_is_seen_counts(transparent, effort, photo):
    """Neither pixels that fill up the last pieces nor those behind an alpha of 0."""
    pixels, alpha = photo[60:160, :70], photo[60:160, :70, 0] // 64 * 64
    seen = np.zeros((128, 128), dtype=bool)
    seen[:100, :70] = (alpha > 0) | (not transparent)
    assert not transparent or 0.2 < seen[:100, :70].mean() < 0.99
    given = np.dstack([pixels, alpha]) if transparent else pixels
    files = []
    for paint in (False, True):
        watched = Watched(load_model().transform, paint)
        files.append(encode(given, 64, effort=effort, model=with_transform(watched)))
        assert len(watched.asked) == effort
        for padded, importance in watched.asked:
            assert padded.dtype == np.uint8 and padded.shape == (128, 128, 3) and importance.dtype == np.float32
            np.testing.assert_array_equal(importance, seen)
            np.testing.assert_array_equal(padded[seen], pixels[seen[:100, :70]])
    assert files[0] == files[1] == encode(given, 64, effort=effort)


@pytest.mark.parametrize("look", ["Natural", "", None, 1])
def test_looks_that_do_not_exist(look, photo):
    with pytest.raises(OptionError, match="faithful"):
        decode(encode(photo, 2, effort=0), look=look)


def test_looks_decode_the_same_tokens_to_other_pixels(photo):
    data = encode(np.dstack([photo, photo[..., 0]]), 64, effort=0)
    faithful, natural = decode(data), decode(data, look="natural")
    assert faithful.shape == natural.shape == (192, 256, 4)
    np.testing.assert_array_equal(faithful, decode(data, look="faithful"))
    np.testing.assert_array_equal(natural[..., 3], faithful[..., 3])
    np.testing.assert_array_equal(natural, decode(data, look="natural"))
    assert not np.array_equal(natural[..., :3], faithful[..., :3])
