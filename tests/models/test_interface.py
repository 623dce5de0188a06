"""The layout of the tokens, what varies with q, and the grain that every machine must make alike."""

import numpy as np
import pytest

from odpiece.models.interface import (
    BANDS,
    GRAIN_SIZES,
    LATENTS_PER_TOKEN,
    PIECE,
    TOKENS,
    USUAL_BANDS,
    USUAL_QUALITY,
    grain,
    is_fine,
    latent_steps,
    octave_weights,
    step_size,
)

ALL_Q = np.arange(1, TOKENS + 1)
SIDE = 256


def test_every_token_has_its_latents():
    """A piece has as many latents as values, and they fill the tokens of the bands in order."""
    assert sum(band.token_index.size for band in BANDS) == 3 * PIECE**2 == LATENTS_PER_TOKEN * TOKENS
    counts = np.bincount(np.concatenate([band.token_index.ravel() for band in BANDS]), minlength=TOKENS)
    assert (counts == LATENTS_PER_TOKEN).all()
    for band in BANDS:
        assert band.token_index.min() == band.first_token
        assert sum(band.groups) == band.ranks and len(band.group_of_latent) == band.latents


def test_usual_qualities_have_all_their_tokens_in_the_usual_bands():
    assert [is_fine(int(q)) for q in ALL_Q] == [False] * USUAL_QUALITY + [True] * (TOKENS - USUAL_QUALITY)
    assert BANDS[USUAL_BANDS - 1].first_token < USUAL_QUALITY <= BANDS[USUAL_BANDS].first_token == 1024


def test_octave_weights_interpolate():
    weights = octave_weights(ALL_Q)
    assert weights.dtype == np.float32 and weights.shape == (TOKENS, 13)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(weights @ np.arange(13), np.log2(ALL_Q), atol=1e-5)
    assert all(weights[2**i - 1, i] == 1 for i in range(13))
    assert not weights[:1024, 11:].any() and (weights[1024:, 11:].sum(axis=1) > 0).all()


def test_steps_fall_with_the_quality():
    steps = step_size(ALL_Q)
    assert (np.diff(steps) < 0).all() and steps[0] == pytest.approx(11.0) and steps[-1] == pytest.approx(0.08)
    for band, own in zip(BANDS, latent_steps(ALL_Q), strict=True):
        assert own.shape == (TOKENS, band.latents) and (np.diff(own, axis=0) < 0).all()
        usual = own[:, LATENTS_PER_TOKEN:] if band is BANDS[0] else own
        np.testing.assert_array_equal(usual, np.broadcast_to(steps[:, None], usual.shape))


@pytest.fixture(scope="module")
def noise():
    """float64 (3, 256, 256): of all sizes, in [-1, 1]."""
    return np.stack([grain(size, SIDE, SIDE) for size in GRAIN_SIZES]) / 127.5 - 1


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def hashed(size, row, column):
    """Oracle: the highest byte of the hash in Python's integers."""
    x = (size * 0x9E3779B1 ^ row * 0x85EBCA77 ^ column * 0xC2B2AE3D) % (1 << 32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ x >> shift) * factor % (1 << 32)
    return (x ^ x >> 16) >> 24


def test_known_values():
    """Files decode to other pixels if these change."""
    got = grain(2, 2, 3)
    assert got.dtype == np.uint8
    assert got.tolist() == [[172, 124, 248], [42, 150, 169]]


def test_every_place_is_the_hash_of_its_indices():
    for size in GRAIN_SIZES:
        got = grain(size, 9, 700)
        for row, column in ((0, 1), (8, 699), (5, 256), (7, 31), (0, 0)):
            assert got[row, column] == hashed(size, row, column)


@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 256), (17, 40), (256, 3)])
def test_a_smaller_grid_is_the_corner_of_a_larger_one(rows, columns):
    np.testing.assert_array_equal(grain(2, rows, columns), grain(2, SIDE, SIDE)[:rows, :columns])


def test_values_are_uniform(noise):
    """All bounds are five standard errors."""
    count = SIDE**2
    assert noise.min() == -1 and noise.max() == 1
    for channel in noise:
        assert abs(channel.mean()) < 5 / np.sqrt(3 * count)
        assert channel.std() == pytest.approx(1 / np.sqrt(3), abs=0.003 + 5 / np.sqrt(15 * count))
        counts, _ = np.histogram(channel, bins=16, range=(-1, 1))
        assert np.abs(counts - count / 16).max() < 5 * np.sqrt(count / 16)


@pytest.mark.parametrize("down, right", [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (0, 8), (8, 0), (16, 1)])
def test_neighbours_are_not_alike(down, right, noise):
    here, there = noise[:, down:, right:], noise[:, : SIDE - down, : SIDE - right]
    for a in range(len(noise)):
        for b in range(len(noise)):
            assert abs(correlation(here[a], there[b])) < 5.5 / SIDE
            assert abs(correlation(np.abs(here[a]), np.abs(there[b]))) < 5.5 / SIDE


def test_sizes_are_not_alike(noise):
    for a in range(len(noise)):
        for b in range(a):
            assert abs(correlation(noise[a], noise[b])) < 5 / SIDE


def test_no_wave_stands_out(noise):
    """Of white noise the power of a wave is exponential: among so many the largest is about ln of their number."""
    for channel in noise:
        power = np.abs(np.fft.rfft2(channel - channel.mean())) ** 2
        assert power.max() / power.mean() < np.log(power.size) + 7
