"""A small patch discriminator: which 30-pixel patches of a picture look like a photograph's (Isola et al. 2017)."""

import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (32, 64, 128)  # channels at 1/2, 1/4 and 1/8


class Discriminator(nn.Module):
    """float (B, 3, H, W) in [-1, 1] to scores (B, 1, H/8, W/8), high for photographs."""

    def __init__(self):
        super().__init__()
        convolutions = [nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in zip((3, *WIDTHS), WIDTHS)]
        self.layers = nn.ModuleList(map(spectral_norm, convolutions))
        self.score = spectral_norm(nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))

    def forward(self, x):
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.score(x)


def hinge_loss(real, fake):
    """What the discriminator minimises, of its scores of photographs and of decoded pictures."""
    return (F.relu(1 - real) + F.relu(1 + fake)).mean()
