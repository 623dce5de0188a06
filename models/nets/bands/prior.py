"""The autoregressive prior over quantized latents, in float: it gives the rate term of the training loss.

Bands are coded coarse to fine, each band in groups of ranks. The distribution of a latent sees all
coarser bands and, of its own band, the earlier groups of its block and of the eight neighbours; in the
coarsest band also its own group in neighbours of earlier phases. All groups are computed at once by
masked convolutions: hidden units belong to a group and see only what is coded before it.

High qualities have other latents, and a chain of networks of their own. These also see the magnitudes of what is coded
before: there most of the bits say how large latents are, and neighbours are about as large.
"""

import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.interface import BANDS, CODED_USUAL, LATENTS_PER_TOKEN, Q_OCTAVES, USUAL_BANDS

CONTEXT = 64  # channels of what a band hands to the next finer one
CONTEXT_HIDDEN = (256, 256, 128, 128)  # on the way from each band to the next
NEIGHBOURS = 0.7
GROUP_WIDTH = (64, 64, 48, 48, 32)  # hidden units a group, by band


def squash(latents):
    """Compress integers of any size to a few units: sign(k) * log(1 + |k|)."""
    return latents.sign() * latents.abs().log1p()


class Masked(nn.Conv2d):
    """A convolution whose weight is multiplied by a fixed mask (outputs, inputs)."""

    def __init__(self, mask, kernel, bias=True):
        super().__init__(mask.shape[1], mask.shape[0], kernel, padding=kernel // 2, bias=bias)
        self.register_buffer("mask", mask.float()[:, :, None, None], persistent=False)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class BandPrior(nn.Module):
    """Mean and log scale of every latent of one band; `magnitudes` says whether it sees those, too."""

    def __init__(self, band, width, context, magnitudes):
        super().__init__()
        self.band = band
        latent = torch.as_tensor(band.group_of_latent)
        hidden = torch.arange(len(band.groups)).repeat_interleave(width)
        self.own = Masked(hidden[:, None] > latent, 3)
        self.magnitude = Masked(hidden[:, None] > latent, 3, bias=False) if magnitudes else None
        self.same = Masked(hidden[:, None] == latent, 3) if band.phases > 1 else None
        self.linear = Masked(latent[:, None] == latent, 3, bias=False) if band.phases > 1 else None
        self.context = nn.Conv2d(context, len(hidden), 1, bias=False) if context else None
        self.condition = nn.Parameter(torch.zeros(Q_OCTAVES, len(hidden)))
        self.mix = Masked(hidden[:, None] >= hidden, 1)
        self.mean = Masked(latent[:, None] >= hidden, 1)
        self.log_scale = Masked(latent[:, None] >= hidden, 1)
        self.base_log_scale = nn.Parameter(torch.zeros(Q_OCTAVES, band.latents))
        for layer in (self.mean, self.log_scale, self.same, self.linear, self.magnitude):
            for parameter in layer.parameters() if layer is not None else ():
                nn.init.zeros_(parameter)
        if self.linear is not None:
            self._predict_from_neighbours()

    def forward(self, latents, context, octaves):
        """Latents (B, C, h, w), context (B, CONTEXT, h, w) or None, octave weights (B, 13)."""
        seen = squash(latents)
        h = self.own(seen) + (octaves @ self.condition)[:, :, None, None]
        if self.magnitude is not None:
            h = h + self.magnitude(seen.abs())
        if context is not None:
            h = h + self.context(context)
        if self.same is not None:
            h = h + self._by_phase(self.same, seen)
        h = F.relu(h)
        h = h + F.relu(self.mix(h))
        mean = self.mean(h).float()
        if self.linear is not None:
            mean = mean + self._by_phase(self.linear, latents).float()
        base = (octaves @ self.base_log_scale)[:, :, None, None]
        return mean, self.log_scale(h).float() + base

    def _by_phase(self, layer, latents):
        """What `layer` makes of each block's own group, in neighbours of earlier phases."""
        phase = torch.as_tensor(self.band.phase_map(*latents.shape[2:]), device=latents.device)
        return sum((phase == p) * layer(latents * (phase < p)) for p in range(1, self.band.phases))

    @torch.no_grad()
    def _predict_from_neighbours(self):
        """Start with the first group as NEIGHBOURS times the mean of its four neighbours, diagonal or beside."""
        for latent in range(LATENTS_PER_TOKEN * self.band.groups[0]):
            self.linear.weight[latent, latent] = NEIGHBOURS / 4
            self.linear.weight[latent, latent, 1, 1] = 0


class Refine(nn.Sequential):
    """What is known of the bands up to `band`, carried to the grid of the `finer` one.

    (B, C, h, w) to (B, CONTEXT, factor * h, factor * w), where the finer grid has `factor` times as many blocks a side.
    """

    def __init__(self, band, finer, hidden):
        factor = band.block // finer.block
        super().__init__(
            nn.Conv2d(band.latents + (CONTEXT if band.first_token else 0), hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, factor**2 * CONTEXT, 1),
            nn.PixelShuffle(factor),
        )


def logistic_bits(latents, mean, log_scale):
    """-log2 P(latent) under a logistic distribution integrated over [latent - 1/2, latent + 1/2]."""
    distance, inverse = (latents - mean).abs(), torch.exp(-log_scale)
    p = torch.sigmoid((0.5 - distance) * inverse) - torch.sigmoid((-0.5 - distance) * inverse)
    return -torch.log2(p.clamp_min(0.0) + 1e-8)


class Chain(nn.Module):
    """The distributions of all latents of some bands, coarse to fine."""

    def __init__(self, bands, magnitudes):
        super().__init__()
        context = [CONTEXT if band.first_token else 0 for band in bands]
        self.bands = nn.ModuleList(BandPrior(*sizes, magnitudes) for sizes in zip(bands, GROUP_WIDTH, context))
        self.refine = nn.ModuleList(map(Refine, bands, bands[1:], CONTEXT_HIDDEN))

    @torch.no_grad()
    def initialise(self, spread, steps):
        """Start from independent latents: `spread` root mean squares a band, `steps` (13,) at the octaves."""
        for band, rms in zip(self.bands, spread):
            rms = rms[: band.band.latents]
            band.base_log_scale.copy_(torch.log(0.55 * rms / steps[:, None] + 0.08))

    def forward(self, latents, octaves):
        """As of Prior."""
        laws, context = [], None
        for i, (band, z) in enumerate(zip(self.bands, latents)):
            mean, log_scale = band(z[:, : band.band.latents], context, octaves)
            laws.append((_filled(mean, z), _filled(log_scale.clamp(-4.0, 6.0), z)))
            if i + 1 < len(latents):
                seen = squash(z)
                context = self.refine[i](seen if context is None else torch.cat([seen, context], 1))
        return laws


def _filled(law, latents):
    """`law` with zeros for those of the `latents`, both (B, C, h, w), that are never coded."""
    return F.pad(law, (0, 0, 0, 0, 0, latents.shape[1] - law.shape[1]))


class Prior(nn.Module):
    """The distributions, and bits, of all latents of a picture: of the usual bands, or of all, for high qualities."""

    def __init__(self):
        super().__init__()
        self.usual = Chain(CODED_USUAL, magnitudes=False)
        self.fine = Chain(BANDS, magnitudes=True)

    def initialise(self, spread, steps):
        """As of Chain, with the `spread` of all bands."""
        self.usual.initialise(spread, steps)
        self.fine.initialise(spread, steps)

    def forward(self, latents, octaves):
        """A list of (mean, log scale), each (B, C, h, w), one pair a band.

        `latents` are integer-valued floats (B, C, h, w), of the usual bands or of all; `octaves` are weights (B, 13).
        """
        chain = self.fine if len(latents) > USUAL_BANDS else self.usual
        return chain(latents, octaves)

    def bits(self, latents, kept, octaves):
        """Bits a latent, a tuple like `latents`, zero where `kept` is 0."""
        laws = self(latents, octaves)
        return tuple(logistic_bits(z, *law) * k for z, law, k in zip(latents, laws, kept))
