"""What training is shown: crops of all sizes, and drawn pictures of every kind."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from odpiece.models.interface import TOKENS, USUAL_QUALITY  # noqa: E402
from odpiece.models.training import crops, drawn  # noqa: E402
from odpiece.models.training.crops import (  # noqa: E402
    CLEAN_SHRINK,
    DETAILED,
    FINE_STEPS,
    LOW_RATES,
    SIZES,
    Mixture,
    Steps,
    batches,
    scaled_square,
)
from odpiece.models.training.data import PictureCache  # noqa: E402

KINDS = ("flat", "rectangles", "gradient", "drawing", "text", "screen", "noise", "chessboard")


def seeded(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory, photo):
    """Of two folders: a small picture, and one of 600x800."""
    root, caches = tmp_path_factory.mktemp("crops"), []
    for name, size in (("small", (256, 192)), ("large", (800, 600))):
        (root / name).mkdir()
        Image.fromarray(photo).resize(size).save(root / name / "a.png")
        caches.append(PictureCache(root / name, root / "cache"))
    return Mixture(caches)


@pytest.fixture
def no_drawings(monkeypatch):
    monkeypatch.setattr(crops, "DRAWN", {})


def test_large_pictures_alone_fill_large_crops(mixture):
    assert mixture.detailed.tolist() == [False, True]
    assert mixture.large_probability.tolist() == [0, 1]
    np.testing.assert_allclose(mixture.probability, [1 / 6, 5 / 6])


@pytest.mark.parametrize("size", SIZES)
def test_crops_have_their_size(size, mixture):
    pixels, highest = mixture.crop(seeded(), size)
    assert pixels.dtype == np.uint8 and pixels.shape == (size, size, 3)
    assert highest in (LOW_RATES, TOKENS)


def test_small_pictures_teach_low_rates(mixture, no_drawings):
    rng = seeded()
    small = Mixture([mixture.places[0][0]])
    assert {small.crop(rng, 256)[1] for _ in range(5)} == {LOW_RATES}
    assert {mixture.crop(rng, 512)[1] for _ in range(5)} == {TOKENS}
    assert {mixture.crop(rng, 256)[1] for _ in range(40)} == {LOW_RATES, TOKENS}


def test_drawn_pictures_teach_every_rate(mixture, monkeypatch):
    monkeypatch.setattr(crops, "DRAWN", {256: 1.0})
    assert {Mixture([mixture.places[0][0]]).crop(seeded(i), 256)[1] for i in range(4)} == {TOKENS}


def test_crops_of_fine_detail_are_of_detailed_pictures(mixture, no_drawings):
    rng = seeded()
    assert {mixture.crop(rng, 256, fine=True)[1] for _ in range(40)} == {TOKENS}


@pytest.mark.parametrize("size", [256, 512])
def test_squares_of_fine_detail_are_scaled_down(size, monkeypatch):
    """By CLEAN_SHRINK at least, also the large ones: else traces of an earlier compression would be learned."""
    rgb, sides = np.zeros((900, 1000, 3), np.uint8), []
    monkeypatch.setattr(
        Image, "fromarray", lambda square, make=Image.fromarray: sides.append(len(square)) or make(square)
    )
    for seed in range(30):
        scaled_square(rgb, seeded(seed), size, True, fine=True)
    assert size * CLEAN_SHRINK - 1 <= min(sides) < 1.1 * size * CLEAN_SHRINK < max(sides)


@pytest.fixture
def quick_crops(monkeypatch):
    """Crops of the right size and q without their pixels."""

    def crop(self, rng, size, fine=False):
        return np.zeros((size, 1, 3), np.uint8), TOKENS if fine or size >= DETAILED else LOW_RATES

    monkeypatch.setattr(Mixture, "crop", crop)


def test_some_steps_teach_the_finest_rates_and_the_others_none(mixture, quick_crops):
    steps = [(len(batch.pixels[0]), batch) for batch in map(Steps(mixture, 1, seed=0).__getitem__, range(2000))]
    fine = [size for size, batch in steps if batch.lowest > 1]
    assert set(fine) == {size for size in SIZES if size <= DETAILED}
    assert abs(len(fine) / len(steps) - FINE_STEPS) < 5 * np.sqrt(FINE_STEPS / len(steps))
    for size, batch in steps:
        expected = (
            (USUAL_QUALITY + 1, TOKENS) if batch.lowest > 1 else (1, LOW_RATES if size < DETAILED else USUAL_QUALITY)
        )
        assert (batch.lowest, batch.highest.tolist()) == (expected[0], [expected[1]])


def test_fine_steps_are_the_same_in_all_processes(mixture, quick_crops):
    first, second = ([Steps(mixture, 1, seed=4, rank=rank)[i].lowest for i in range(60)] for rank in (0, 1))
    assert first == second and set(first) == {1, USUAL_QUALITY + 1}


@pytest.mark.parametrize("fine, lowest", [(0.0, 1), (1.0, USUAL_QUALITY + 1)])
def test_all_steps_may_be_fine_or_none(fine, lowest, mixture, quick_crops):
    steps = Steps(mixture, 1, seed=0, fine=fine)
    assert {steps[i].lowest for i in range(30)} == {lowest}


def test_without_detailed_pictures_no_step_is_fine(mixture, quick_crops):
    steps = Steps(Mixture([mixture.places[0][0]]), 1, seed=0, fine=1.0)
    assert {steps[i].lowest for i in range(30)} == {1}


@pytest.mark.parametrize("height, width", [(64, 64), (300, 200), (700, 2000)])
@pytest.mark.parametrize("size", [256, 1024])
@pytest.mark.parametrize("detailed, fine", [(False, False), (True, False), (True, True)])
def test_squares_are_scaled(height, width, size, detailed, fine):
    rgb = np.full((height, width, 3), (200, 90, 30), np.uint8)
    for seed in range(4):
        square = scaled_square(rgb, seeded(seed), size, detailed, fine)
        assert square.shape == (size, size, 3) and (square == rgb[0, 0]).all()


def test_steps_are_the_same_for_the_same_seed_and_of_one_size_in_all_processes(mixture):
    first, again = (Steps(mixture, 256**2, seed=3)[5] for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels) and np.array_equal(first.highest, again.highest)
    others = Steps(mixture, 256**2, seed=3)[6], Steps(mixture, 256**2, seed=3, rank=1)[5]
    assert others[1].pixels.shape == first.pixels.shape
    assert all(not np.array_equal(first.pixels, other.pixels) for other in others)


def test_batches_have_about_as_many_pixels(mixture):
    for number in range(8):
        batch = Steps(mixture, 512**2, seed=0)[number]
        count, side = batch.pixels.shape[:2]
        assert side in SIZES and count == max(1, 512**2 // side**2)
        assert batch.pixels.dtype == np.uint8 and batch.highest.shape == (count,)


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_go_on_from_a_step(mixture, workers):
    steps = Steps(mixture, 256**2, seed=1)
    made = batches(steps, 7, workers)
    for number in (7, 8):
        pixels = next(made).pixels
        assert np.array_equal(pixels, steps[number].pixels)
        assert pixels.is_shared() == bool(workers)


@pytest.mark.parametrize("size", [64, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_drawn_pictures(kind, size):
    pictures = [getattr(drawn, kind)(seeded(seed), size) for seed in range(6)]
    for seed, picture in enumerate(pictures):
        assert picture.dtype == np.uint8 and picture.shape == (size, size, 3)
        assert np.array_equal(picture, getattr(drawn, kind)(seeded(seed), size))
    assert len({picture.tobytes() for picture in pictures}) > 1


def test_a_flat_picture_has_one_colour_and_a_chessboard_two():
    for seed in range(10):
        assert len(np.unique(drawn.flat(seeded(seed), 32).reshape(-1, 3), axis=0)) == 1
        assert len(np.unique(drawn.chessboard(seeded(seed), 256).reshape(-1, 3), axis=0)) <= 2


def test_a_framed_photograph_is_seen_through_its_frame(photo):
    square = photo[:128, :128]
    picture = drawn.framed(seeded(1), 128, square)
    same = (picture == square).all(axis=2)
    ground = picture[~same]
    assert picture.dtype == np.uint8 and picture.shape == square.shape
    assert same.any() and len(np.unique(ground, axis=0)) == 1


def test_drawn_pictures_are_of_every_kind_and_the_same_for_a_seed(monkeypatch, photo):
    seen = []
    for kind in (*KINDS, "framed"):
        monkeypatch.setattr(drawn, kind, lambda *args, kind=kind: seen.append(kind))
    for seed in range(80):
        drawn.drawn_picture(seeded(seed), 64, photo[:64, :64])
    assert set(seen) == {*KINDS, "framed"}
    monkeypatch.undo()
    first, again = (drawn.drawn_picture(seeded(9), 64) for _ in range(2))
    assert np.array_equal(first, again)
