"""What the networks of the bands family are built of: linear layers, and branches that give nothing for nothing."""

import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.interface import Q_OCTAVES


class Linear(nn.Conv2d):
    """A linear map of each `patch` x `patch` square to one vector, without bias.

    Kept in float32 under autocast, so that the residual stream stays exact.
    """

    def __init__(self, inputs, outputs, patch=1):
        super().__init__(inputs, outputs, patch, stride=patch, bias=False)

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def conv3(inputs, outputs, bias=False):
    """A 3x3 convolution that sees the edge go on beyond the border, so that borders teach no size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate", bias=bias)


class Branch(nn.Module):
    """conv(silu(conv(x / scale) + rest) - silu(rest)), (B, inputs, h, w) to (B, outputs, h, w).

    `rest` is a bias, which may depend on the quality: what a hidden unit is where it sees nothing. The branch then
    gives nothing, too. `scale` (inputs,) is the spread of each channel and keeps the inputs near unit size.
    It is ones in shipped weights, where `fold` has moved it into the convolutions.
    """

    def __init__(self, inputs, hidden, outputs, conditioned=False):
        super().__init__()
        self.expand = conv3(inputs, hidden, bias=True)
        self.reduce = conv3(hidden, outputs)
        self.condition = nn.Parameter(torch.zeros(Q_OCTAVES, hidden)) if conditioned else None
        self.register_buffer("scale", torch.ones(inputs))

    def forward(self, x, octaves=None):
        """`octaves` are octave weights (B, 13) where conditioned."""
        h, rest = self.expand(x / self.scale[:, None, None]), self.expand.bias[None]
        if self.condition is not None:
            condition = octaves @ self.condition
            h, rest = h + condition[:, :, None, None], rest + condition
        return self.reduce(F.silu(h) - F.silu(rest)[:, :, None, None])

    @torch.no_grad()
    def fold(self):
        """Move `scale` into the convolutions, leaving the function unchanged."""
        self.expand.weight /= self.scale[:, None, None]
        self.scale.fill_(1.0)

    @torch.no_grad()
    def unfold(self, scale):
        """Undo `fold`: give the branch the channel scales `scale` (inputs,), leaving the function unchanged."""
        self.scale.copy_(1.0 / scale)
        self.fold()
        self.scale.copy_(scale)


class Residual(Branch):
    """x + scale * branch(x), (B, channels, h, w) to the same shape."""

    def __init__(self, channels, hidden, conditioned=False):
        super().__init__(channels, hidden, channels, conditioned)
        nn.init.zeros_(self.reduce.weight)

    def forward(self, x, octaves=None):
        return x + self.scale[:, None, None] * super().forward(x, octaves)

    @torch.no_grad()
    def fold(self):
        self.reduce.weight *= self.scale[:, None, None, None]
        super().fold()


def residuals(count, channels, hidden, conditioned=False):
    """So many Residual one after the other, for `run`."""
    return nn.ModuleList(Residual(channels, hidden, conditioned) for _ in range(count))


def run(blocks, x, octaves=None):
    for block in blocks:
        x = block(x, octaves)
    return x
