"""The shipped model gives flat and simple pictures of every size in their right colours, by default and at effort 0."""

from itertools import product

import numpy as np
import pytest

from odpiece.codec.bands.tokens import Tokens
from odpiece.codec.bands.windows import crop_tokens, synthesize
from odpiece.codec.files import decode, encode, read
from odpiece.models.interface import LOOKS, PIECE
from odpiece.models.library import load_model

CUBE = tuple(product((0, 64, 128, 191, 255), repeat=3))
COLOURS = CUBE[2::11]  # a dozen
NEAR = {64: 3, 1024: 1}  # levels, by q
PIXELS_NEAR = {64: 8, 1024: 3}  # of single pixels
QUALITIES = tuple(NEAR)
EFFORTS = (1, 0)  # the usual one, and no search


def flat(colour, height, width=None):
    return np.full((height, width or height, 3), colour, np.uint8)


def coded(pixels, q, effort=1):
    """float (H, W, 3): what comes back."""
    return decode(encode(pixels, q, effort=effort)).astype(float)


def farthest(colour, *sizes_and_more):
    """Levels by which the mean of a flat picture is off, in its worst channel."""
    side, q, effort = sizes_and_more
    return np.abs(coded(flat(colour, side), q, effort).mean(axis=(0, 1)) - colour).max()


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("q", QUALITIES)
@pytest.mark.parametrize("side, colours", [(128, COLOURS), (448, COLOURS[::3]), (1024, COLOURS[1::6])])
def test_flat_colours(side, colours, q, effort):
    """The larger pictures with fewer colours, for they take long."""
    off = {colour: farthest(colour, side, q, effort) for colour in colours}
    assert {colour: value for colour, value in off.items() if value > NEAR[q]} == {}


@pytest.mark.slow
@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("q", QUALITIES)
@pytest.mark.parametrize("side, colours", [(128, CUBE), (512, CUBE), (1024, COLOURS), (2048, COLOURS)])
def test_all_flat_colours(side, colours, q, effort):
    off = {colour: farthest(colour, side, q, effort) for colour in colours}
    assert {colour: value for colour, value in off.items() if value > NEAR[q]} == {}


@pytest.mark.parametrize("q", QUALITIES)
def test_no_pixel_of_a_flat_picture_stands_out(q):
    """A mesh between pieces or patches would have the right mean."""
    off = {colour: np.abs(coded(flat(colour, 256, 320), q) - colour).max() for colour in COLOURS[::2]}
    assert {colour: value for colour, value in off.items() if value > PIXELS_NEAR[q]} == {}


@pytest.fixture(scope="module")
def middles():
    """A function: float (64, 64, 3), the middle of count x count pieces that have the tokens of one flat piece."""
    transform = load_model().transform

    def middle(colour, count, q):
        tokens = read(encode(flat(colour, 4 * PIECE), q)).tokens
        piece = crop_tokens(tokens, (slice(1, 2), slice(1, 2)))
        bands = tuple(np.tile(z, (1, count, count)) for z in piece.bands)
        tokens = Tokens(np.tile(piece.lengths, (count, count)), bands)
        pixels = synthesize(transform, tokens, q, LOOKS[0], (count * PIECE, count * PIECE))
        start = count // 2 * PIECE
        return pixels[start : start + PIECE, start : start + PIECE].astype(float)

    return middle


def assert_middles_agree(middles, colour, counts):
    for q in QUALITIES:
        first, *others = (middles(colour, count, q) for count in counts)
        assert max(np.abs(other - first).max() for other in others) <= 2


@pytest.mark.parametrize("colour", COLOURS[::3])
def test_the_same_tokens_give_the_same_middle(colour, middles):
    assert_middles_agree(middles, colour, (4, 8, 12))


@pytest.mark.slow
@pytest.mark.parametrize("colour", COLOURS)
def test_the_same_tokens_give_the_same_middle_among_more(colour, middles):
    assert_middles_agree(middles, colour, (4, 16, 32))


def ramp(start, end, height, width):
    """uint8 (height, width, 3) from colour to colour, left to right."""
    x = np.linspace(0, 1, width)[:, None]
    row = np.rint((1 - x) * start + x * np.array(end)).astype(np.uint8)
    return np.broadcast_to(row, (height, width, 3)).copy()


@pytest.mark.parametrize("q, near", [(64, 8), (1024, 5)])
@pytest.mark.parametrize(
    "start, end", [((40, 40, 40), (220, 220, 220)), ((20, 60, 160), (250, 200, 120)), ((200, 30, 40), (30, 170, 60))]
)
def test_a_gradient_stays_one(start, end, q, near):
    """Its columns' means are near, away from the ends, and its steps at the borders of pieces are like those within."""
    picture = ramp(start, end, 256, 512)
    error = (coded(picture, q) - picture).mean(axis=0)[8:-8]
    assert np.abs(error).max() <= near
    steps = np.abs(np.diff(error, axis=0)).max(axis=1)
    borders = np.arange(PIECE - 9, len(steps), PIECE)  # steps into the first column of a piece
    assert steps[borders].max() <= max(2.5, 2.0 * np.delete(steps, borders).max())


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_single_pixel(effort):
    colour = (200, 30, 40)
    for q in QUALITIES:
        assert np.abs(coded(flat(colour, 1), q, effort) - colour).max() <= NEAR[q] + 2


@pytest.mark.parametrize("height, width", [(1, 7), (3, 2), (4, 4), (8, 5), (16, 16)])
def test_tiny_flat_pictures(height, width):
    for q, colour in product(QUALITIES, COLOURS[::3]):
        assert np.abs(coded(flat(colour, height, width), q) - colour).max() <= NEAR[q] + 2


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("height, width", [(128, 128), (300, 500), (640, 448)])
def test_corners_of_a_white_picture_are_white(height, width, effort):
    got = coded(flat((255, 255, 255), height, width), 64, effort)
    for corner in product((slice(0, 8), slice(-8, None)), repeat=2):
        assert got[corner].min() >= 251
