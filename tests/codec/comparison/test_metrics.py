"""Metrics: perfect for the original, worse the more is lost, and against other implementations."""

import math
import sys

import numpy as np
import pytest

from odpiece.codec.comparison.metrics import METRICS, find_metric
from odpiece.formats.errors import MissingExtraError, OptionError

PERFECT = {"psnr": math.inf, "ms-ssim": 1.0, "ssimulacra2": 100.0, "st-lpips": 0.0, "wasserstein": 0.0}
SMALL = {"ms-ssim": 160, "st-lpips": 63, "wasserstein": 63}


def installed(name):
    """The Metric; skips where its packages are missing."""
    try:
        METRICS[name].require()
    except MissingExtraError as error:
        pytest.skip(str(error))
    return METRICS[name]


@pytest.fixture(params=METRICS)
def metric(request):
    """Each Metric."""
    return installed(request.param)


def noisy(pixels, amount):
    noise = np.random.default_rng(0).normal(0, amount, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


def test_the_original_is_perfect_and_noise_makes_it_worse(metric, photo):
    score = metric.scorer(photo)
    perfect, good, bad = (score(noisy(photo, amount)) for amount in (0, 10, 40))
    assert perfect == pytest.approx(PERFECT[metric.name], abs=1e-4)
    assert perfect > good > bad if metric.higher_is_better else perfect < good < bad
    assert score(noisy(photo, 10)) == good


def test_a_scorer_leaves_its_pictures_alone(metric, photo):
    original, decoded = photo.copy(), noisy(photo, 10)
    before = decoded.copy()
    metric.scorer(original)(decoded)
    assert np.array_equal(original, photo) and np.array_equal(decoded, before)


@pytest.mark.parametrize("name", SMALL)
def test_small_pictures_have_no_score(name):
    pixels = np.zeros((SMALL[name], 300, 3), np.uint8)
    assert math.isnan(installed(name).scorer(pixels)(pixels))


def test_st_lpips_is_the_distance_of_its_network(photo):
    torch = pytest.importorskip("torch")
    pytest.importorskip("stlpips_pytorch")
    from odpiece.models.nets.st_lpips import StLpips

    decoded = noisy(photo, 30)
    a, b = (torch.tensor(x / 127.5 - 1).permute(2, 0, 1)[None].float() for x in (photo, decoded))
    assert find_metric("st-lpips").scorer(photo)(decoded) == pytest.approx(float(StLpips()(a, b)), rel=1e-4)


def test_an_unknown_metric_is_named():
    with pytest.raises(OptionError, match="no metric vmaf, give psnr,"):
        find_metric("vmaf")


@pytest.mark.parametrize("name, module", [("ms-ssim", "pytorch_msssim"), ("ssimulacra2", "ssimulacra2")])
def test_a_missing_package_is_named(name, module, photo, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'odpiece\[compare\]'"):
        find_metric(name).scorer(photo)
