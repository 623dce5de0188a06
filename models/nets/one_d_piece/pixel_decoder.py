"""Proxy embeddings (B, proxy width, 16, 16) to pixels (B, 3, 256, 256): the decoder of MaskGIT's VQGAN."""

import torch.nn.functional as F
from torch import nn

from odpiece.models.nets.one_d_piece.architecture import CHANNELS


def _norm(channels, arch):
    return nn.GroupNorm(arch.groups, channels, eps=1e-6)


def _conv(inputs, outputs, bias=True):
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


class Residual(nn.Module):
    """(B, inputs, h, w) to (B, outputs, h, w)."""

    def __init__(self, inputs, outputs, arch):
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs, arch), _conv(inputs, outputs, bias=False)
        self.norm2, self.conv2 = _norm(outputs, arch), _conv(outputs, outputs, bias=False)
        self.nin_shortcut = nn.Conv2d(outputs, outputs, 1, bias=False) if inputs != outputs else None

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        # Where the width changes, the shortcut reads h, not x: so the published networks were trained
        return h + (x if self.nin_shortcut is None else self.nin_shortcut(h))


class Level(nn.Module):
    """Two residual blocks, then, but for the finest level, twice the size."""

    def __init__(self, inputs, outputs, arch, finest):
        super().__init__()
        self.block = nn.ModuleList([Residual(inputs, outputs, arch), Residual(outputs, outputs, arch)])
        self.upsample_conv = None if finest else _conv(outputs, outputs)

    def forward(self, x):
        for block in self.block:
            x = block(x)
        return x if self.upsample_conv is None else self.upsample_conv(F.interpolate(x, scale_factor=2.0))


class PixelDecoder(nn.Module):
    def __init__(self, arch):
        super().__init__()
        widths = [c * arch.hidden for c in CHANNELS]
        self.conv_in = _conv(arch.proxy_width, widths[-1])
        self.mid = nn.ModuleList(Residual(widths[-1], widths[-1], arch) for _ in range(2))
        inputs = [*widths[1:], widths[-1]]
        self.up = nn.ModuleList(Level(inputs[i], widths[i], arch, finest=i == 0) for i in range(len(widths)))
        self.norm_out, self.conv_out = _norm(widths[0], arch), _conv(widths[0], 3)

    def forward(self, x):
        x = self.conv_in(x)
        for block in (*self.mid, *reversed(self.up)):
            x = block(x)
        return self.conv_out(F.silu(self.norm_out(x)))
