"""Mesh and contrast: what is found in pictures that are made to have it."""

import numpy as np
import pytest

from odpiece.codec.comparison.texture import contrasts, lightness, mesh_lines, mesh_spectrum

RNG = np.random.default_rng(0)
FLAT = np.full((256, 256), 100.0)


def lines(picture, original=FLAT):
    return mesh_lines(*mesh_spectrum(picture, original))


def noisy(deviation):
    return FLAT + RNG.normal(0, deviation, FLAT.shape)


def wave(period, axis):
    places = np.indices(FLAT.shape)[axis]
    return 0.5 * np.cos(2 * np.pi * places / period)


def test_noise_has_no_lines():
    assert all(line == pytest.approx(1, abs=0.2) for line in lines(noisy(2)).values())
    assert all(line == pytest.approx(1) for line in lines(FLAT).values())


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("period, found", [(16, (16,)), (8, (16, 8)), (4, (16, 8)), (12, ())])
def test_waves_are_found_in_both_directions(period, found, axis):
    """The lines of period 16 are among their own harmonics those of 8, too."""
    got = lines(noisy(0.5) + wave(period, axis))
    assert {p for p, line in got.items() if line > 1.5} == set(found)


def test_lines_are_looked_for_where_the_original_is_flat():
    original = noisy(20)
    assert np.isnan(list(lines(FLAT + wave(8, 0), original).values())).all()
    original[:, :128] = 100
    left, right = FLAT + wave(8, 0), FLAT + wave(8, 0)
    left[:, 128:], right[:, :128] = 100, 100
    assert lines(left, original)[8] > 1.5 > lines(right, original)[8]


def test_contrast_is_the_ratio_of_high_frequencies():
    original = noisy(10)
    smooth, own = contrasts(100 + 0.5 * (original - 100) + 30 * wave(100, 1), original)
    assert own.shape == (64,) and own == pytest.approx(np.full(64, own.mean()), rel=0.2)
    assert smooth / own == pytest.approx(np.full(64, 0.5), rel=0.02)


def test_lightness_is_luma():
    pixels = np.array([[[255, 255, 255], [255, 0, 0]]], np.uint8)
    assert lightness(pixels) == pytest.approx(np.array([[255, 76.245]]))
