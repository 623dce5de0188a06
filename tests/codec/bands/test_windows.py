"""Large pictures in windows: with a transform whose reach is known exactly, with the installed model within a level."""

import numpy as np
import pytest

from odpiece.codec.bands import picture, windows
from odpiece.codec.bands.quantization import whole_pieces
from odpiece.codec.bands.tokens import Tokens
from odpiece.codec.bands.windows import MARGIN, analyze, padded_pixels, synthesize
from odpiece.codec.files import analyzed, encode, read
from odpiece.models.interface import BANDS, LOOKS, grain
from odpiece.models.library import load_model


@pytest.fixture
def small_windows(monkeypatch):
    """Windows of at most 3 pieces a side, also of small pictures."""
    monkeypatch.setattr(windows, "WHOLE", 1)
    monkeypatch.setattr(windows, "SIDE", 3)


@pytest.mark.parametrize("side, margin", [(1, 0), (3, 1), (4, 2), (48, 4)])
@pytest.mark.parametrize("rows, columns", [(1, 1), (3, 2), (7, 1), (10, 13), (97, 50)])
def test_windows_part_the_picture(rows, columns, side, margin):
    count = np.zeros((rows, columns), dtype=int)
    for window in windows.windows(rows, columns, side, margin):
        count[window.inner] += 1
        for inner, outer, most in zip(window.inner, window.outer, (rows, columns)):
            assert inner.stop - inner.start <= side
            assert (outer.start, outer.stop) == (max(0, inner.start - margin), min(most, inner.stop + margin))
        grid = np.arange(rows * columns).reshape(rows, columns)
        np.testing.assert_array_equal(grid[window.outer][window.inside], grid[window.inner])
        assert grid[window.outer][0, 0] == grid[window.place]
    assert (count == 1).all()


def box(grid, reach):
    """The sum of each place and its neighbours up to `reach` away; beyond the edges is nothing."""
    rows, columns = grid.shape
    padded, span = np.pad(grid, reach), range(2 * reach + 1)
    return sum(padded[y : y + rows, x : x + columns] for y in span for x in span)


class Reaching:
    """A Transform of integers: a piece's latents are the sum of pixels up to MARGIN pieces away, and back; noise is
    the number of the piece."""

    def __init__(self):
        self.sizes = []

    def analyze(self, pixels, fine=False):
        assert pixels.flags.c_contiguous
        rows, columns = pixels.shape[0] // 64, pixels.shape[1] // 64
        self.sizes.append((rows, columns))
        sums = box(pixels.astype(np.int64).reshape(rows, 64, columns, 192).sum(axis=(1, 3)) % 1009, MARGIN)
        return tuple(
            np.broadcast_to(sums.repeat(b.side, 0).repeat(b.side, 1), (b.latents, rows * b.side, columns * b.side))
            for b in (BANDS if fine else BANDS[:3])
        )

    def synthesize(self, latents, q, look, place=(0, 0)):
        rows, columns = latents[0].shape[1:]
        self.sizes.append((rows, columns))
        row, column = np.ogrid[place[0] : place[0] + rows, place[1] : place[1] + columns]
        sums = sum(np.rint(z.sum(0)).reshape(rows, b.side, columns, b.side).sum((1, 3)) for b, z in zip(BANDS, latents))
        grid = (box(sums.astype(np.int64), MARGIN) + 7 * row + column + (look == "natural")) % 256
        return grid.astype(np.uint8).repeat(64, 0).repeat(64, 1)[..., None] + np.arange(3, dtype=np.uint8)


SIZES = [(1, 1), (64, 640), (700, 100), (850, 833)]


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("grey", [False, True])
def test_analysis_in_windows_is_exact_within_the_margin(height, width, grey, small_windows):
    rng, transform = np.random.default_rng(height), Reaching()
    pixels = rng.integers(0, 256, (height, width) if grey else (height, width, 3), dtype=np.uint8)
    colours = np.dstack([pixels] * 3) if grey else pixels
    expected = Reaching().analyze(whole_pieces(colours), fine=True)
    for got, wanted in zip(analyze(transform, pixels), expected, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, wanted)
    assert max(max(size) for size in transform.sizes) <= 3 + 2 * MARGIN


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("look", LOOKS)
def test_synthesis_in_windows_is_exact_within_the_margin(height, width, look, random_tokens, monkeypatch):
    tokens = random_tokens(-(-height // 64), -(-width // 64), q=1)
    tokens = Tokens(tokens.lengths, tuple(np.sign(z) for z in tokens.bands))
    whole, grey = (synthesize(Reaching(), tokens, 1, look, (height, width), grey) for grey in (False, True))
    assert whole.shape == (height, width, 3) and grey.shape == (height, width)
    monkeypatch.setattr(windows, "WHOLE", 1)
    monkeypatch.setattr(windows, "SIDE", 3)
    transform = Reaching()
    np.testing.assert_array_equal(synthesize(transform, tokens, 1, look, (height, width)), whole)
    np.testing.assert_array_equal(synthesize(transform, tokens, 1, look, (height, width), True), grey)
    assert max(max(size) for size in transform.sizes) <= 3 + 2 * MARGIN


def test_small_pictures_are_one_run(photo):
    transform = Reaching()
    analyze(transform, photo)
    assert transform.sizes == [(3, 4)]


@pytest.mark.parametrize("pieces", [(slice(0, 3), slice(0, 3)), (slice(1, 3), slice(2, 3)), (slice(0, 1), slice(1, 2))])
def test_pixels_are_extended_by_their_edge(pieces, photo):
    cut = photo[:150, :190]
    area = windows.area(pieces)
    np.testing.assert_array_equal(padded_pixels(cut, pieces), whole_pieces(cut)[area])
    grey = padded_pixels(cut[..., 0], pieces)
    np.testing.assert_array_equal(grey, whole_pieces(cut[..., :1].repeat(3, 2))[area])
    assert grey.flags.c_contiguous


def test_noise_belongs_to_the_place():
    whole = grain(4, 40, 50)
    np.testing.assert_array_equal(grain(4, 10, 20, 7, 30), whole[7:17, 30:])


@pytest.fixture(scope="module")
def tall(example):
    """uint8 (879, 100, 3): photographs, hard edges, a flat area."""
    rng = np.random.default_rng(1)
    pixels = np.concatenate([example[:, :100], example[::-1, 100:200], example[:, 150:250], example[:111, :100]])
    for top, left in rng.integers(0, 64, (40, 2)):
        pixels[300 + 3 * top : 310 + 4 * top, left : left + 30] = 255 * (top % 2)
    pixels[600:700] = 90
    return pixels


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("q", [1, 64, 1024, 4096])
def test_windows_of_the_model_are_one_piece_within_a_level(q, look, tall, small_windows, monkeypatch):
    """14 pieces in a column, in windows of 3 that see 11 at most: encoded and decoded in windows, and in one run."""
    in_windows = encode(tall, q, effort=0)
    decoded = read(in_windows).colours(look=look).astype(int)
    monkeypatch.setattr(windows, "WHOLE", 1000)
    assert np.abs(decoded - read(in_windows).colours(look=look)).max() <= 1
    if look != LOOKS[0]:
        return  # of the same file
    in_one = read(encode(tall, q, effort=0)).tokens
    changed = sum(int((a != b).sum()) for a, b in zip(read(in_windows).tokens.bands, in_one.bands))
    assert changed <= 1e-4 * in_one.count


@pytest.mark.parametrize("q, band", [(256, 2), (2048, 3), (4096, 4)])
def test_bands_beyond_the_quality_take_no_memory(q, band, photo, small_windows):
    transform = load_model().transform
    everything, coarse = analyze(transform, photo, q), analyze(transform, photo, BANDS[band].first_token)
    assert len(everything) == len(coarse) > band
    for a, b in zip(everything[:band], coarse[:band]):
        np.testing.assert_array_equal(a, b)
    last, zeros = everything[band], coarse[band]
    assert last.any() and zeros.shape == last.shape and not zeros.any() and zeros.strides == (0, 0, 0)


@pytest.mark.parametrize("q, bands", [(1, 3), (512, 3), (513, 5), (1024, 5), (4096, 5)])
def test_high_qualities_have_all_bands(q, bands, photo, small_windows):
    found, expected = analyze(Reaching(), photo, q), Reaching().analyze(whole_pieces(photo), fine=bands == 5)
    assert len(found) == bands
    for band, got, wanted in zip(BANDS, found, expected, strict=False):
        np.testing.assert_array_equal(got, wanted if band.first_token < q else 0 * wanted)


@pytest.mark.parametrize("effort", [0, 1])
def test_a_kept_picture_finds_what_a_higher_quality_needs(effort, photo, small_windows, monkeypatch):
    monkeypatch.setattr(picture, "FEW", 1)
    photo, kept = photo[:70, :140], analyzed(photo[:70, :140])
    for q in (10, 64, 100, 30):
        assert kept.encode(q, effort=effort) == encode(photo, q, effort=effort)


@pytest.mark.parametrize("tune", ["psnr", "ssim"])
@pytest.mark.parametrize("q, segments", [(64, 1), (1024, 1), (4096, 2)])
def test_strips_of_a_picture_that_is_coded_once_are_those_of_the_whole(q, segments, tune, tall, monkeypatch):
    """14 pieces in a column, of which 8 and with what lies around 12 are analysed together."""
    wide = np.ascontiguousarray(tall.transpose(1, 0, 2))
    for pixels in (tall, wide):
        whole = encode(pixels, q, effort=0, tune=tune)
        with monkeypatch.context() as patched:
            patched.setattr(picture, "WHOLE", 1)
            patched.setattr(picture, "STRIP", 8)
            assert read(whole).header.segments == segments
            in_strips = read(encode(pixels, q, effort=0, tune=tune)).tokens
        changed = sum(int((a != b).sum()) for a, b in zip(read(whole).tokens.bands, in_strips.bands))
        assert changed <= 1e-4 * in_strips.count
