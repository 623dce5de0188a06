"""The autoregressive prior over quantized latents, in float: it gives the rate term of the training loss.

Bands are coded coarse to fine, each band in groups of ranks. The distribution of a latent sees all
coarser bands and, of its own band, the earlier groups of its block and of the eight neighbours; in the
coarsest band also its own group in neighbours of earlier phases. All groups are computed at once by
masked convolutions: hidden units belong to a group and see only what is coded before it.
"""

import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.interface import BANDS, Q_OCTAVES

CONTEXT = 64  # channels of what a band hands to the next finer one
CONTEXT_HIDDEN = 256
GROUP_WIDTH = (64, 64, 48)  # hidden units a group, by band


def squash(latents):
    """Compress integers of any size to a few units: sign(k) * log(1 + |k|)."""
    return latents.sign() * latents.abs().log1p()


class Masked(nn.Conv2d):
    """A convolution whose weight is multiplied by a fixed mask (outputs, inputs)."""

    def __init__(self, mask, kernel):
        super().__init__(mask.shape[1], mask.shape[0], kernel, padding=kernel // 2)
        self.register_buffer("mask", mask.float()[:, :, None, None], persistent=False)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class BandPrior(nn.Module):
    """Mean and log scale of every latent of one band."""

    def __init__(self, band, width, context):
        super().__init__()
        self.band = band
        latent = torch.as_tensor(band.group_of_latent)
        hidden = torch.arange(len(band.groups)).repeat_interleave(width)
        self.own = Masked(hidden[:, None] > latent, 3)
        self.same = Masked(hidden[:, None] == latent, 3) if band.phases > 1 else None
        self.context = nn.Conv2d(context, len(hidden), 1, bias=False) if context else None
        self.condition = nn.Parameter(torch.zeros(Q_OCTAVES, len(hidden)))
        self.mix = Masked(hidden[:, None] >= hidden, 1)
        self.mean = Masked(latent[:, None] >= hidden, 1)
        self.log_scale = Masked(latent[:, None] >= hidden, 1)
        self.base_log_scale = nn.Parameter(torch.zeros(Q_OCTAVES, band.latents))
        started_at_zero = [self.mean, self.log_scale] + ([self.same] if self.same is not None else [])
        for layer in started_at_zero:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, latents, context, octaves):
        """Squashed latents (B, C, h, w), context (B, CONTEXT, h, w) or None, octave weights (B, 11)."""
        h = self.own(latents) + (octaves @ self.condition)[:, :, None, None]
        if context is not None:
            h = h + self.context(context)
        if self.same is not None:
            h = h + self._same_group(latents)
        h = F.relu(h)
        h = h + F.relu(self.mix(h))
        base = (octaves @ self.base_log_scale)[:, :, None, None]
        return self.mean(h).float(), self.log_scale(h).float() + base

    def _same_group(self, latents):
        """What each block's hidden units see of their own group, in neighbours of earlier phases."""
        phase = torch.as_tensor(self.band.phase_map(*latents.shape[2:]), device=latents.device)
        return sum((phase == p) * self.same(latents * (phase < p)) for p in range(1, self.band.phases))


class Refine(nn.Sequential):
    """What is known of a band, carried to the grid of the next finer one: (B, C, h, w) to (B, CONTEXT, 2h, 2w)."""

    def __init__(self, inputs):
        super().__init__(
            nn.Conv2d(inputs, CONTEXT_HIDDEN, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(CONTEXT_HIDDEN, 4 * CONTEXT, 1),
            nn.PixelShuffle(2),
        )


def logistic_bits(latents, mean, log_scale):
    """-log2 P(latent) under a logistic distribution integrated over [latent - 1/2, latent + 1/2]."""
    distance, inverse = (latents - mean).abs(), torch.exp(-log_scale)
    p = torch.sigmoid((0.5 - distance) * inverse) - torch.sigmoid((-0.5 - distance) * inverse)
    return -torch.log2(p.clamp_min(0.0) + 1e-8)


class Prior(nn.Module):
    """The distributions, and bits, of all latents of a picture."""

    def __init__(self):
        super().__init__()
        context = (0, CONTEXT, CONTEXT)
        self.bands = nn.ModuleList(map(BandPrior, BANDS, GROUP_WIDTH, context))
        self.refine = nn.ModuleList([Refine(BANDS[0].latents), Refine(BANDS[1].latents + CONTEXT)])

    @torch.no_grad()
    def initialise(self, spread, steps):
        """Start from independent latents: `spread` root mean squares a band, `steps` (11,) at the octaves."""
        for band, rms in zip(self.bands, spread):
            band.base_log_scale.copy_(torch.log(0.55 * rms / steps[:, None] + 0.08))

    def forward(self, latents, octaves):
        """A list of (mean, log scale), each (B, C, h, w), one pair a band.

        `latents` are integer-valued floats (B, C, h, w), one a band; `octaves` are octave weights (B, 11).
        """
        laws, context = [], None
        for i, z in enumerate(latents):
            seen = squash(z)
            mean, log_scale = self.bands[i](seen, context, octaves)
            laws.append((mean, log_scale.clamp(-4.0, 6.0)))
            if i < len(self.refine):
                context = self.refine[i](seen if context is None else torch.cat([seen, context], 1))
        return laws

    def bits(self, latents, kept, octaves):
        """Bits a latent, a tuple like `latents`, zero where `kept` is 0."""
        laws = self(latents, octaves)
        return tuple(logistic_bits(z, *law) * k for z, law, k in zip(latents, laws, kept))
