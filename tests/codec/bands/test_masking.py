"""What errors count where texture hides them: by hand, and in the encoder's choices."""

import numpy as np
import pytest

from odpiece.codec import encode
from odpiece.codec.bands.coders import coder_of
from odpiece.codec.bands.masking import AROUND, CELL, FLOOR, POWER, by_band, masking
from odpiece.codec.bands.quantization import RateAware
from odpiece.codec.bands.refinement import Search
from odpiece.codec.bands.walk import walk
from odpiece.codec.comparison.metrics import find_metric
from odpiece.codec.files import analyzed, decode, read
from odpiece.codec.range_coder import Writer
from odpiece.codec.targets import encode_to_size, psnr
from odpiece.formats.container import CoderId
from odpiece.formats.errors import OptionError
from odpiece.models.interface import BANDS
from odpiece.models.library import load_model

TUNED = {"tune": "ssim"}


def test_errors_count_by_the_variance_around(example):
    counts = masking(example)
    assert counts.dtype == np.float32 and counts.shape == tuple(side // CELL for side in example.shape[:2])
    assert np.log(counts).mean() == pytest.approx(0, abs=1e-5)
    light = example @ np.array([0.299, 0.587, 0.114])
    reach = AROUND // 2 * CELL

    def by_hand(row, column):
        top, left = CELL * row, CELL * column
        around = light[top - reach : top + CELL + reach, left - reach : left + CELL + reach]
        return (around.var() + FLOOR) ** POWER

    (a, b), c = ((9, 4), (20, 11)), (5, 13)
    for place in (a, b):
        assert counts[place] / counts[c] == pytest.approx(by_hand(*place) / by_hand(*c), rel=1e-3)


def test_grey_is_masked_as_its_colours_and_edges_are_extended(example):
    grey = np.ascontiguousarray(example[:100, :130, 1])
    counts = masking(grey)
    assert counts.shape == (16, 24)
    np.testing.assert_allclose(counts, masking(np.dstack([grey] * 3)), rtol=1e-5)
    np.testing.assert_array_equal(masking(np.full((70, 30, 3), 77, np.uint8)), np.ones((16, 8), np.float32))


def test_bands_have_the_means_of_their_blocks():
    counts = np.random.default_rng(0).random((16, 24), np.float32)
    for band, got in zip(BANDS, by_band(counts), strict=True):
        assert got.shape == (1, 2 * band.side, 3 * band.side)
        side = band.block // CELL
        assert got[0, -1, 1] == pytest.approx(counts[-side:, side : 2 * side].mean(), rel=1e-6)


@pytest.mark.parametrize("q", [64, 2048])
def test_errors_that_count_four_times_are_bits_at_a_quarter_of_the_price(q, example):
    model = load_model()
    coder, latents = coder_of(CoderId.LEARNED, model), analyzed(example[:64, :128])._latents_at(q)
    lengths = np.full((1, 2), q)

    def chosen(**options):
        return walk(Writer(), coder, q, 1, 2, RateAware(latents, q, lengths, coder, **options))[0].sha256

    four = by_band(np.full((8, 16), 4, np.float32))
    assert chosen(counts=four) == chosen(slope=0.25) != chosen()


def test_the_search_counts_errors_as_often(example):
    tokens = read(encode(example, 64, effort=0)).tokens
    latents, transform = analyzed(example)._latents_at(64), load_model().transform
    height, width = example.shape[:2]
    counts = np.ones((height // CELL, width // CELL), np.float32)
    counts[:, : width // CELL // 2] = 3
    once = Search(transform, latents, 64, example)
    counted = Search(transform, latents, 64, example, counts=counts)
    total, errors = once.measure(tokens), once._errors
    expected = total + 2 * errors[:, : errors.shape[1] // 2].sum()
    assert width % 128 == 0 and counted.measure(tokens) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("effort", [0, 1])
def test_at_the_same_bytes_ssim_is_higher_and_psnr_lower(effort, example):
    pytest.importorskip("pytorch_msssim")
    score = find_metric("ms-ssim").scorer(example)
    plain, tuned = (decode(encode_to_size(example, 900, effort=effort, **options)) for options in ({}, TUNED))
    assert score(tuned) > score(plain) and psnr(tuned, example) < psnr(plain, example)


def test_what_cannot_be_tuned(photo, tiny):
    for wrong in ("SSIM", None, 1):
        with pytest.raises(OptionError, match="tune is"):
            encode(photo, 8, tune=wrong)
    with pytest.raises(OptionError, match="tune"):
        encode(photo, 8, model=tiny, tune="ssim")
