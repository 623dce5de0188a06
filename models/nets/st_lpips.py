"""ST-LPIPS, a perceptual distance: shift-tolerant LPIPS (Ghildyal and Liu, ECCV 2022, arXiv 2207.13686).

Two pictures go through a trunk trained on photographs; the distance is the weighted squared difference of
their normalised features at five depths. The weights are those of the package stlpips-pytorch (BSD-2), which
itself is not imported.
"""

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

SHIFT = (-0.030, -0.088, -0.188)  # of the inputs, as LPIPS scales them
SCALE = (0.458, 0.448, 0.450)

# "tap" is where features are taken
LAYERS = (
    "conv relu conv relu tap pool blur conv relu conv relu tap pool blur conv relu conv relu conv relu tap "
    "pool blur conv relu conv relu conv relu tap pool blur conv relu conv relu conv relu tap"
).split()
WEIGHTS = Path("weights", "vST0.0", "vgg_shift_tolerant.pth")  # in the package


def blur(x):
    """(B, C, h, w) smoothed by 1-2-1 in both directions and halved, with two reflected pixels at each side."""
    line = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


class StLpips(nn.Module):
    """The distance by the trunk VGG, its weights frozen; ImportError without stlpips-pytorch."""

    def __init__(self):
        super().__init__()
        state = torch.load(_weights_path(), map_location="cpu", weights_only=True)
        weights = [v for name, v in state.items() if name.startswith("net.") and not name.endswith(".filt")]
        self.kernels, self.biases = nn.ParameterList(weights[::2]), nn.ParameterList(weights[1::2])
        self.importance = nn.ParameterList(state[f"lin{i}.model.1.weight"][0] for i in range(5))
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        self.requires_grad_(False)

    def forward(self, a, b):
        """float (B,) distances of two float tensors (B, 3, H, W) in [-1, 1], H and W at least 64."""
        return self.distance(self.features(a), self.features(b))

    def features(self, x):
        """The normalised features of float (B, 3, H, W) in [-1, 1]: a list of (B, C, h, w)."""
        x = (x - self.shift) / self.scale
        weights, taps = zip(self.kernels, self.biases), []
        for layer in LAYERS:
            if layer == "conv":
                kernel, bias = next(weights)
                x = F.conv2d(x, kernel, bias, padding=1)
            elif layer == "relu":
                x = F.relu(x)
            elif layer == "pool":
                x = F.max_pool2d(x, 2, stride=1)
            elif layer == "blur":
                x = blur(x)
            else:
                taps.append(x / (x.float().square().sum(1, keepdim=True).sqrt() + 1e-10))
        return taps

    def distance(self, a, b):
        """float (B,) distances of two results of `features`."""
        layers = zip(a, b, self.importance)
        return sum(((x - y).square() * weight).sum(1).mean((1, 2)) for x, y, weight in layers)


def _weights_path():
    package = find_spec("stlpips_pytorch")
    if package is None:
        raise ImportError("ST-LPIPS needs the package stlpips-pytorch")
    return Path(package.submodule_search_locations[0]) / WEIGHTS
