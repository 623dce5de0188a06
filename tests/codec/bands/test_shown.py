"""What the encoder sees in the picture that it made: by oracles, and what the search mends of it."""

from itertools import product

import numpy as np
import pytest

from odpiece.codec.bands import refinement
from odpiece.codec.bands.quantization import dequantize
from odpiece.codec.bands.refinement import Search
from odpiece.codec.bands.shown import GREY, OFF, as_picture, missing_means, piece_errors, worth_mending
from odpiece.codec.bands.tokens import Tokens
from odpiece.models.interface import is_fine, latent_steps
from odpiece.models.library import load_model


@pytest.fixture
def pictures():
    """Two pictures, uint8 (128, 192, 3), and what counts of them, of one piece nothing and of another a part."""
    rng = np.random.default_rng(0)
    shown, wanted = rng.integers(0, 256, (2, 128, 192, 3), dtype=np.uint8)
    importance = np.ones((128, 192), np.float32)
    importance[64:, 64:128] = importance[30:64, :50] = 0
    return shown, wanted, importance


def squares(block, rows=128, columns=192):
    return [
        (slice(y, y + block), slice(x, x + block)) for y, x in product(range(0, rows, block), range(0, columns, block))
    ]


def test_errors_of_pieces(pictures):
    shown, wanted, importance = pictures
    difference = (shown.astype(float) - wanted) / 127.5
    expected = [(importance[at][..., None] * difference[at] ** 2).sum() for at in squares(64)]
    got = piece_errors(shown, wanted, importance)
    assert got.dtype == np.float32 and got.shape == (2, 3)
    np.testing.assert_allclose(got.ravel(), expected, rtol=1e-5)


@pytest.mark.parametrize("block", [64, 32, 16])
def test_what_means_lack(block, pictures):
    """Of what counts; where nothing does they lack nothing."""
    shown, wanted, importance = pictures
    got = missing_means(shown, wanted, importance, block)
    assert got.dtype == np.float32 and got.shape == (3, 128 // block, 192 // block)
    for levels, at in zip(got.reshape(3, -1).T, squares(block), strict=True):
        counts = importance[at] > 0
        difference = (wanted[at].astype(float) - shown[at])[counts]
        np.testing.assert_allclose(levels, difference.mean(axis=0) if counts.any() else 0, atol=1e-4)


@pytest.mark.parametrize("q", [1, 16, 64, 1024, 4096])
def test_a_step_of_the_mean_colour_is_allowed_at_low_qualities(q):
    """By an oracle: the picture of an orthonormal transform whose first latent is a step off."""
    step = latent_steps(q)[0][0] / 64 * 127.5
    assert (step > OFF) == (q <= 16)
    most = max(step, OFF)
    missing = np.array([[[most - 0.1, 1.0]], [[-most + 0.1, -most - 0.1]], [[0.0, 2.0]]], np.float32)
    got = worth_mending(missing, q)
    assert not got[..., 0].any() and np.array_equal(got[..., 1], missing[..., 1])


def test_a_picture_of_levels():
    levels = np.array([[[0.0, 10.4]], [[-3.6, 300.0]], [[0.4, -300.0]]])
    got = as_picture(levels, 16)
    assert got.dtype == np.uint8 and got.shape == (16, 32, 3) and got.flags.c_contiguous
    assert (got[:, :16] == (GREY, GREY - 4, GREY)).all() and (got[:, 16:] == (GREY + 10, 255, 0)).all()


def rounded(latents, q):
    """Tokens of the nearest integers."""
    bands = tuple(np.rint(z / s[:, None, None]).astype(np.int32) for z, s in zip(latents, latent_steps(q)))
    return Tokens(np.full(latents[0].shape[1:], q, np.int32), bands)


def block_means(pixels, block):
    return np.array([pixels[at].mean(axis=(0, 1)) for at in squares(block, *pixels.shape[:2])])


@pytest.mark.parametrize("scale, tile", [(1, refinement.TILE), (2, refinement.TILE), (4, refinement.TILE), (1, 2)])
def test_the_search_mends_means(scale, tile, monkeypatch):
    """Of blocks of 64x64 true pixels; latents far from those that are off stay as they are."""
    monkeypatch.setattr(refinement, "TILE", tile)
    transform, q, block = load_model().transform, 64 * scale**2, 64 // scale
    y, x = np.mgrid[:128, :384]
    pixels = np.stack([60 + x // 3, 200 - y, 100 + y // 2], axis=2).astype(np.uint8)
    darker = pixels.copy()
    darker[:block, :block] -= 15
    latents = transform.analyze(darker, is_fine(q))
    before = tuple(z.copy() for z in latents)
    search = Search(transform, latents, q, pixels, scale=scale)

    def worst():
        shown = transform.synthesize(dequantize(rounded(latents, q), q), q, "faithful")
        return np.abs(block_means(shown, block) - block_means(pixels, block)).max()

    assert worst() > 2 * OFF
    search.measure(rounded(latents, q))
    assert search.even_out()
    if scale == 2:  # where blocks are small, rounding may take from them what they were given
        search.measure(rounded(latents, q))
        search.even_out()
    assert worst() < OFF
    for z, old in zip(latents, before, strict=True):
        far = z.shape[2] // 3 * 2
        np.testing.assert_allclose(z[..., far:], old[..., far:], atol=1e-4)
    search.measure(rounded(latents, q))
    assert not search.even_out()
