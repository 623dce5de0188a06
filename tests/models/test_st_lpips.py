"""ST-LPIPS against an oracle of plain torch layers with the weights of the package, and as a distance."""

from importlib.util import find_spec
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from odpiece.models.nets import st_lpips  # noqa: E402
from odpiece.models.nets.st_lpips import StLpips, blur  # noqa: E402

PACKAGE = find_spec("stlpips_pytorch")


class Blur(nn.Sequential):
    """The package's own kernels: 1-2-1 by 1-2-1 of stride 2, two reflected pixels at each side."""

    def __init__(self, kernels):
        convolution = nn.Conv2d(len(kernels), len(kernels), 3, stride=2, groups=len(kernels), bias=False)
        convolution.weight = nn.Parameter(kernels)
        super().__init__(nn.ReflectionPad2d(2), convolution)


def convolution(weight, bias, padding):
    layer = nn.Conv2d(weight.shape[1], weight.shape[0], weight.shape[2], padding=padding)
    layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return layer


def slices(state):
    """Each slice but the first begins with a pool and a blur, which are two of the counted layers."""
    for depth, convolutions in enumerate(([0, 2], [6, 8], [12, 14, 16], [20, 22, 24], [28, 30, 32]), start=1):
        layers = []
        if depth > 1:
            layers = [nn.MaxPool2d(2, 1), Blur(state[f"net.slice{depth}.{convolutions[0] - 1}.filt"])]
        for number in convolutions:
            name = f"net.slice{depth}.{number}"
            layers += [convolution(state[f"{name}.weight"], state[f"{name}.bias"], 1), nn.ReLU()]
        yield layers


class Oracle:
    """Features and distance."""

    def __init__(self):
        path = Path(PACKAGE.submodule_search_locations[0], "weights", "vST0.0", "vgg_shift_tolerant.pth")
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.shift, self.scale = state["scaling_layer.shift"], state["scaling_layer.scale"]
        self.slices = [nn.Sequential(*layers) for layers in slices(state)]
        self.weights = [state[f"lin{depth}.model.1.weight"] for depth in range(5)]

    def features(self, x):
        found, x = [], (x - self.shift) / self.scale
        for part in self.slices:
            x = part(x)
            found.append(x / (x.norm(dim=1, keepdim=True) + 1e-10))
        return found

    def distance(self, a, b):
        pairs = zip(a, b, self.weights, strict=True)
        return sum(nn.functional.conv2d((x - y) ** 2, weight).mean((1, 2, 3)) for x, y, weight in pairs)


@pytest.fixture(scope="module")
def metric():
    if PACKAGE is None:
        pytest.skip("needs stlpips-pytorch, which has the weights")
    return StLpips()


@pytest.fixture(scope="module")
def picture(photo):
    """float (1, 3, 64, 72): a part of the photo with an edge and texture."""
    return torch.tensor(photo[90:154, 100:172]).permute(2, 0, 1)[None].float() / 127.5 - 1


def noisy(picture, amount, seed=0):
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))
    return (picture + amount * noise).clamp(-1, 1)


@torch.no_grad()
def test_the_network_is_the_oracle(metric, picture):
    """Two pictures at a time, at about the smallest size, and the sides of different parity."""
    oracle = Oracle()
    a = torch.cat([picture, picture.flip(3)])[..., :69]
    b = noisy(a, 0.2)
    found, expected = ([net.features(x) for x in (a, b)] for net in (metric, oracle))
    for x, y in zip(found[0], expected[0], strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)
    got = metric.distance(*found)
    assert got.shape == (2,)
    torch.testing.assert_close(got, oracle.distance(*expected), rtol=1e-4, atol=0)


@torch.no_grad()
def test_blur_halves_and_keeps_a_flat_picture():
    flat = torch.full((2, 5, 9, 12), 0.7)
    assert blur(flat).shape == (2, 5, 6, 7)
    torch.testing.assert_close(blur(flat), torch.full((2, 5, 6, 7), 0.7))
    x = torch.arange(5.0)[None, None, None].expand(1, 1, 5, 5)
    torch.testing.assert_close(blur(x)[0, 0, 1], torch.tensor([1.0, 1.0, 3.0, 3.0]))


@torch.no_grad()
def test_equal_pictures_are_at_distance_zero(metric, picture):
    assert metric(picture, picture).tolist() == [0.0]


@torch.no_grad()
def test_the_distance_is_symmetric(metric, picture):
    other = noisy(picture, 0.3)
    torch.testing.assert_close(metric(picture, other), metric(other, picture))


@torch.no_grad()
def test_the_distance_grows_with_noise_and_blur(metric, picture):
    for spoiled in (
        [noisy(picture, amount) for amount in (0.02, 0.1, 0.4)],
        [nn.functional.avg_pool2d(picture, n, 1, n // 2, count_include_pad=False) for n in (3, 7, 15)],
    ):
        distances = [metric(picture, other).item() for other in spoiled]
        assert 0 < distances[0] < distances[1] < distances[2] < 2


@torch.no_grad()
def test_a_shift_of_a_pixel_is_nearer_than_noise_of_the_same_error(metric, photo):
    """Which squared error does not see."""
    whole = torch.tensor(photo[90:154, 100:165]).permute(2, 0, 1)[None].float() / 127.5 - 1
    here, shifted = whole[..., :-1], whole[..., 1:]
    spread = (here - shifted).square().mean().sqrt().item()
    assert metric(here, shifted) < 0.8 * metric(here, noisy(here, spread))


def test_gradients_reach_the_pixels_and_not_the_weights(metric, picture):
    seen = noisy(picture, 0.2).requires_grad_()
    metric(picture, seen).sum().backward()
    assert (seen.grad != 0).float().mean() > 0.9
    assert list(metric.parameters()) and not any(p.requires_grad for p in metric.parameters())
    with torch.no_grad():
        nearer = seen - 0.5 * seen.grad / seen.grad.norm()
        assert metric(picture, nearer) < metric(picture, seen)


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(st_lpips, "find_spec", lambda package: None)
    with pytest.raises(ImportError, match="stlpips-pytorch"):
        StLpips()
