"""The tokenizer's networks: a learned, critically sampled band transform and its synthesis.

Both are linear maps between resolutions (initialised as a hierarchical PCA, see training/bands/pca.py) with
residual branches that start at zero, so an untrained network is an orthonormal transform codec.

    analysis   pixels -> 1/8 -> 1/16 -> (180 latents of band 2, 12 channels go on)
                      -> 1/32 -> (36 latents of band 1, 12 channels go on) -> 1/64 -> 48 latents of band 0
    synthesis  the mirror image up to 1/16, each residual branch told the quality q
    looks      from there to pixels, one for each look: "faithful" is nearest to the original, "natural" has
               the texture of photographs

What the layers to 1/8 and to 1/16 leave out is in bands 4 and 3, which only high qualities have. There the picture
must come back exactly: above q = 1024 the residual branches of the analysis fade out, up to q = 2048, and each of the
synthesis has a gain that is learned.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.interface import BANDS, GRAIN, LOOKS, Q_OCTAVES, USUAL_BANDS

USUAL_OCTAVES = 11  # those up to q = 1024
PASSED_ON = 12  # channels of a band's grid that go on to the next coarser band
PATCH = 8  # pixels along the side of the finest patch
FINE = 3 * PATCH**2 - BANDS[4].latents  # channels at 1/8 that go on
MIDDLE = 4 * FINE - BANDS[3].latents  # channels at 1/16: those of band 2, and those that go on
FAITHFUL, NATURAL = LOOKS


@dataclass(frozen=True)
class Architecture:
    """Sizes of the networks; stored in the weights file's metadata."""

    fine_hidden: int = 96  # hidden channels at 1/8
    analysis_fine_blocks: int = 1
    look_fine_blocks: int = 2
    middle_hidden: int = 256  # hidden channels at 1/16
    analysis_middle_blocks: int = 2
    synthesis_middle_blocks: int = 2
    look_middle_blocks: int = 2
    coarse_hidden: int = 512  # hidden channels at 1/32 and 1/64
    analysis_coarse_blocks: int = 2
    synthesis_coarse_blocks: int = 3
    looks: tuple[str, ...] = (FAITHFUL,)

    def to_dict(self):
        return asdict(self)

    @classmethod
    def from_dict(cls, fields):
        """The Architecture of what `to_dict` gave, also after a passage through JSON."""
        return cls(**fields | {"looks": tuple(fields["looks"])})


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


class Residual(nn.Module):
    """x + gain * scale * conv(silu(conv(x / scale) + rest) - silu(rest)), (B, channels, h, w) to the same shape.

    The gain is given, or learned where `conditioned`, and 1 up to q = 1024. `rest` is a bias, which may depend on
    the quality: what a hidden unit is where it sees nothing. The branch then gives nothing, too. `scale`
    (channels,) is the spread of each channel and keeps the branch's inputs near unit size. It is ones in shipped
    weights, where `fold` has moved it into the convolutions.
    """

    def __init__(self, channels, hidden, conditioned=False):
        super().__init__()
        self.expand = conv3(channels, hidden, bias=True)
        self.reduce = conv3(hidden, channels)
        nn.init.zeros_(self.reduce.weight)
        self.condition = nn.Parameter(torch.zeros(Q_OCTAVES, hidden)) if conditioned else None
        self.gain = nn.Parameter(torch.zeros(Q_OCTAVES - USUAL_OCTAVES)) if conditioned else None
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, x, octaves=None, gain=None):
        """`octaves` are octave weights (B, 13) where conditioned, else `gain` may be given, (B,)."""
        scale = self.scale[:, None, None]
        h, rest = self.expand(x / scale), self.expand.bias[None]
        if self.condition is not None:
            condition = octaves @ self.condition
            h, rest = h + condition[:, :, None, None], rest + condition
            gain = 1 + octaves[:, USUAL_OCTAVES:] @ (self.gain - 1)
        branch = scale * self.reduce(F.silu(h) - F.silu(rest)[:, :, None, None])
        return x + (branch if gain is None else gain[:, None, None, None] * branch)

    @torch.no_grad()
    def fold(self):
        """Move `scale` into the convolutions, leaving the function unchanged."""
        self.expand.weight /= self.scale[:, None, None]
        self.reduce.weight *= self.scale[:, None, None, None]
        self.scale.fill_(1.0)

    @torch.no_grad()
    def unfold(self, scale):
        """Undo `fold`: give the branch the channel scales `scale` (channels,), leaving the function unchanged."""
        self.scale.copy_(1.0 / scale)
        self.fold()
        self.scale.copy_(scale)


def _residuals(count, channels, hidden, conditioned=False):
    return nn.ModuleList(Residual(channels, hidden, conditioned) for _ in range(count))


class Analysis(nn.Module):
    """float (B, 3, H, W) in [-1, 1], H and W multiples of 64, to a tuple of latents (B, C, H/block, W/block).

    They are the usual ones, or those of all bands where a `gain` of the residual branches is given, float (B,).
    """

    def __init__(self, arch):
        super().__init__()
        a, join = arch, 4 * PASSED_ON
        self.patch = Linear(3, FINE, PATCH)
        self.patch_rest = Linear(3, BANDS[4].latents, PATCH)
        self.fine = _residuals(a.analysis_fine_blocks, FINE, a.fine_hidden)
        self.merge16 = Linear(FINE, MIDDLE, 2)
        self.merge16_rest = Linear(FINE, BANDS[3].latents, 2)
        self.middle = _residuals(a.analysis_middle_blocks, MIDDLE, a.middle_hidden)
        self.merge32 = Linear(PASSED_ON, join, 2)
        self.coarse32 = _residuals(a.analysis_coarse_blocks, join, a.coarse_hidden)
        self.merge64 = Linear(PASSED_ON, join, 2)
        self.coarse64 = _residuals(a.analysis_coarse_blocks, join, a.coarse_hidden)

    def forward(self, pixels, gain=None):
        fine = _run(self.fine, self.patch(pixels), gain=gain)
        x = _run(self.middle, self.merge16(fine), gain=gain)
        usual = *self.coarse(x[:, :PASSED_ON], gain), x[:, PASSED_ON:]
        return usual if gain is None else (*usual, self.merge16_rest(fine), self.patch_rest(pixels))

    def coarse(self, x, gain=None):
        """Bands 0 and 1 of the channels that go on at 1/16, float (B, PASSED_ON, H/16, W/16)."""
        x = _run(self.coarse32, self.merge32(x), gain=gain)
        return _run(self.coarse64, self.merge64(x[:, :PASSED_ON]), gain=gain), x[:, PASSED_ON:]


class Synthesis(nn.Module):
    """The usual latents as `Analysis` gives them and octave weights (B, 13) to float (B, MIDDLE, H/16, W/16)."""

    def __init__(self, arch):
        super().__init__()
        a, join = arch, 4 * PASSED_ON
        self.coarse64 = _residuals(a.synthesis_coarse_blocks, join, a.coarse_hidden, True)
        self.split64 = Linear(join, join)
        self.coarse32 = _residuals(a.synthesis_coarse_blocks, join, a.coarse_hidden, True)
        self.split32 = Linear(join, join)
        self.middle = _residuals(a.synthesis_middle_blocks, MIDDLE, a.middle_hidden, True)

    def forward(self, latents, octaves):
        *coarse, band2 = latents
        return _run(self.middle, torch.cat([self.coarse(coarse, octaves), band2], 1), octaves)

    def coarse(self, latents, octaves):
        """Bands 0 and 1 to the channels that went on at 1/16, float (B, PASSED_ON, H/16, W/16)."""
        band0, band1 = latents
        x = _run(self.coarse64, band0, octaves)
        x = torch.cat([F.pixel_shuffle(self.split64(x), 2), band1], 1)
        return F.pixel_shuffle(self.split32(_run(self.coarse32, x, octaves)), 2)


class Look(nn.Module):
    """What `Synthesis` gives, and octave weights (B, 13), to float (B, 3, H, W), about [-1, 1].

    `finest` are the latents of bands 3 and 4, or nothing where they are zero.
    A look with grain also takes a pair of noise (see interface.grain), (B, GRAIN, H/16, W/16) and (B, GRAIN,
    H/8, W/8): where the latents say nothing, texture can be made of nothing else but a repeated pattern.
    """

    def __init__(self, arch, grain=False):
        super().__init__()
        a = arch
        self.middle = _residuals(a.look_middle_blocks, MIDDLE, a.middle_hidden, True)
        self.split16 = Linear(MIDDLE, 4 * FINE)
        self.split16_rest = Linear(BANDS[3].latents, 4 * FINE)
        self.fine = _residuals(a.look_fine_blocks, FINE, a.fine_hidden, True)
        self.patch = conv3(FINE, 3 * PATCH**2)
        self.patch_rest = Linear(BANDS[4].latents, 3 * PATCH**2)
        self.grain16 = Linear(GRAIN, MIDDLE) if grain else None
        self.grain8 = Linear(GRAIN, FINE) if grain else None
        for layer in (self.grain16, self.grain8) if grain else ():
            nn.init.zeros_(layer.weight)

    def forward(self, x, octaves, finest=(), grain=None):
        if self.grain16 is not None:
            x = x + self.grain16(grain[0])
        x = self.split16(_run(self.middle, x, octaves))
        x = F.pixel_shuffle(x + self.split16_rest(finest[0]) if finest else x, 2)
        if self.grain8 is not None:
            x = x + self.grain8(grain[1])
        x = self.patch(_run(self.fine, x, octaves))
        return F.pixel_shuffle(x + self.patch_rest(finest[1]) if finest else x, PATCH)


def _run(blocks, x, octaves=None, gain=None):
    for block in blocks:
        x = block(x, octaves, gain)
    return x


class Tokenizer(nn.Module):
    """Analysis, synthesis and looks of one architecture."""

    def __init__(self, arch):
        super().__init__()
        self.arch = arch
        self.analysis = Analysis(arch)
        self.synthesis = Synthesis(arch)
        self.looks = nn.ModuleDict({look: Look(arch, grain=look == NATURAL) for look in arch.looks})

    def decode(self, latents, octaves):
        """Latents as `analysis` gives them and octave weights (B, 13) to float (B, 3, H, W): the faithful look."""
        x = self.synthesis(latents[:USUAL_BANDS], octaves)
        return self.looks[FAITHFUL](x, octaves, latents[USUAL_BANDS:])
