"""The noise that makes the natural look of the faithful one."""

import torch.nn.functional as F
from torch import nn

from odpiece.models.interface import GRAIN_SIZES
from odpiece.models.nets.bands.blocks import Branch

UNIT = 1 / 32  # in which deviations are predicted, of pixels in [-1, 1]


class Grain(nn.Module):
    """Noise for the texture that a look leaves out: its local deviation is predicted, its values are not.

    Noise of each of the GRAIN_SIZES is multiplied by a map of deviations, which are made of the magnitudes of a look's
    features and interpolated, and so is the sum of the coarser ones. It is noise of lightness alone: that of colours is
    seen as a fault. There are `channels` of features, one of each for `patch` x `patch` pixels.
    """

    def __init__(self, channels, hidden, patch):
        super().__init__()
        self.patch = patch
        self.deviation = Branch(channels, hidden, len(GRAIN_SIZES), conditioned=True)
        nn.init.normal_(self.deviation.reduce.weight, std=0.3)

    def forward(self, features, octaves, noise):
        """float (B, 1, H, W), to be added to pixels of any colour; `noise` are uint8 (B, 1, H / size, W / size)."""
        maps = (UNIT * F.silu(self.deviation(features.abs(), octaves))).split(1, 1)
        total = None
        for size, deviation, values in zip(GRAIN_SIZES, maps, noise):
            added = _enlarged(deviation, self.patch // size) * (values / 127.5 - 1)
            total = added if total is None else _enlarged(total, 2) + added
        return total


def _enlarged(x, times):
    """`x` (B, C, h, w) interpolated to (B, C, times * h, times * w)."""
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)
