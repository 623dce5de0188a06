"""The tokenizer's networks: a learned, critically sampled band transform and its synthesis.

Both are linear maps between resolutions (initialised as a hierarchical PCA, see training/bands/pca.py) with
residual branches that start at zero, so an untrained network is an orthonormal transform codec.

    analysis   pixels -> 1/8 -> 1/16 -> (180 latents of band 2, 12 channels go on)
                      -> 1/32 -> (36 latents of band 1, 12 channels go on) -> 1/64 -> 48 latents of band 0
    synthesis  the mirror image up to 1/16, each residual branch told the quality q
    looks      from there to pixels, one for each look: "faithful" is nearest to the original, "natural" has
               the texture of photographs

High qualities need the picture back exactly. They have networks of their own: orthonormal matrices (`Exact`), with
bands 3 and 4 for what the linear layers leave out, and on the way back a `restoration`, residual branches at 1/8,
which removes what it can of the error of quantization. They have one look.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.interface import BANDS, GRAIN, LOOKS, Q_OCTAVES, STEP_AT_OCTAVE, USUAL_BANDS

PASSED_ON = 12  # channels of a band's grid that go on to the next coarser band
PATCH = 8  # pixels along the side of the finest patch
OVERLAP = PATCH // 2  # pixels to each side of its border, at high qualities
FINE = 3 * PATCH**2 - BANDS[4].latents  # channels at 1/8 that go on
MIDDLE = 4 * FINE - BANDS[3].latents  # channels at 1/16: those of band 2, and those that go on
JOIN = 4 * PASSED_ON  # channels at 1/32 and 1/64
LOG_STEPS = np.log(np.array(STEP_AT_OCTAVE, np.float32))  # (13,): with octave weights the log of a quality's step
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
    coarse_hidden: int = 256  # hidden channels at 1/32 and 1/64
    analysis_coarse_blocks: int = 1
    synthesis_coarse_blocks: int = 3
    restoration_hidden: int = 128  # hidden channels at 1/8
    restoration_blocks: int = 2
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
    """x + scale * conv(silu(conv(x / scale) + rest) - silu(rest)), (B, channels, h, w) to the same shape.

    `rest` is a bias, which may depend on the quality: what a hidden unit is where it sees nothing. The branch then
    gives nothing, too. `scale` (channels,) is the spread of each channel and keeps the branch's inputs near unit size.
    It is ones in shipped weights, where `fold` has moved it into the convolutions.
    """

    def __init__(self, channels, hidden, conditioned=False):
        super().__init__()
        self.expand = conv3(channels, hidden, bias=True)
        self.reduce = conv3(hidden, channels)
        nn.init.zeros_(self.reduce.weight)
        self.condition = nn.Parameter(torch.zeros(Q_OCTAVES, hidden)) if conditioned else None
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, x, octaves=None):
        """`octaves` are octave weights (B, 13) where conditioned."""
        scale = self.scale[:, None, None]
        h, rest = self.expand(x / scale), self.expand.bias[None]
        if self.condition is not None:
            condition = octaves @ self.condition
            h, rest = h + condition[:, :, None, None], rest + condition
        return x + scale * self.reduce(F.silu(h) - F.silu(rest)[:, :, None, None])

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


class Exact(nn.Module):
    """The analysis of high qualities, and its inverse: a rotation of every patch of the picture, level by level.

    First comes a rotation of every square amid four patches, so that what goes on across their borders is taken out
    (a lapped transform, Malvar 1989; in this form Tran, Liang and Tu 2003). All matrices are orthonormal, see
    training/bands/exact.py.
    """

    def __init__(self):
        super().__init__()
        for name, size in (
            ("lap", 3 * PATCH**2),
            ("patch", 3 * PATCH**2),
            ("merge16", 4 * FINE),
            ("merge32", JOIN),
            ("merge64", JOIN),
        ):
            self.register_buffer(name, torch.eye(size))

    def forward(self, pixels):
        """The latents of all bands of float (B, 3, H, W)."""
        x, band4 = _rotated(lapped(pixels, self.lap), self.patch, PATCH).split([FINE, BANDS[4].latents], 1)
        x, band3 = _rotated(x, self.merge16, 2).split([MIDDLE, BANDS[3].latents], 1)
        x, band2 = x.split([PASSED_ON, BANDS[2].latents], 1)
        x, band1 = _rotated(x, self.merge32, 2).split([PASSED_ON, BANDS[1].latents], 1)
        return _rotated(x, self.merge64, 2), band1, band2, band3, band4

    def patches(self, latents):
        """What `latents` are of: float (B, 3 * PATCH^2, H / PATCH, W / PATCH), rotated patches."""
        x, band1, band2, band3, band4 = latents
        x = torch.cat([_turned_back(x, self.merge64, 2), band1], 1)
        x = torch.cat([_turned_back(x, self.merge32, 2), band2, band3], 1)
        return torch.cat([_turned_back(x, self.merge16, 2), band4], 1)

    def pixels(self, patches):
        """float (B, 3, H, W)."""
        return lapped(_turned_back(patches, self.patch, PATCH), self.lap.T)


def lapped(pixels, matrix):
    """`pixels` (B, 3, H, W) with every square amid four patches turned by `matrix` (n, n); their frame stays."""
    inner = pixels[..., OVERLAP:-OVERLAP, OVERLAP:-OVERLAP]
    change = F.pixel_shuffle(_rotated(inner, matrix, PATCH), PATCH) - inner
    return pixels + F.pad(change, (OVERLAP,) * 4)


def _rotated(x, matrix, size):
    """`matrix` (n, n) times each square of size x size of `x` (B, n / size^2, h, w)."""
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(x.to(matrix.dtype), matrix.view(len(matrix), x.shape[1], size, size), stride=size)


def _turned_back(x, matrix, size):
    """The inverse of `_rotated`."""
    with torch.autocast(x.device.type, enabled=False):
        return F.pixel_shuffle(F.conv2d(x.to(matrix.dtype), matrix.T[:, :, None, None]), size)


class Analysis(nn.Module):
    """float (B, 3, H, W) in [-1, 1], H and W multiples of 64, to a tuple of latents (B, C, H/block, W/block).

    They are those of the usual bands, for usual qualities.
    """

    def __init__(self, arch):
        super().__init__()
        a = arch
        self.patch = Linear(3, FINE, PATCH)
        self.fine = _residuals(a.analysis_fine_blocks, FINE, a.fine_hidden)
        self.merge16 = Linear(FINE, MIDDLE, 2)
        self.middle = _residuals(a.analysis_middle_blocks, MIDDLE, a.middle_hidden)
        self.merge32 = Linear(PASSED_ON, JOIN, 2)
        self.coarse32 = _residuals(a.analysis_coarse_blocks, JOIN, a.coarse_hidden)
        self.merge64 = Linear(PASSED_ON, JOIN, 2)
        self.coarse64 = _residuals(a.analysis_coarse_blocks, JOIN, a.coarse_hidden)

    def forward(self, x):
        x = self.patch(x)
        x = _run(self.fine, x)
        x = _run(self.middle, self.merge16(x))
        x, band2 = x[:, :PASSED_ON], x[:, PASSED_ON:]
        x = _run(self.coarse32, self.merge32(x))
        x, band1 = x[:, :PASSED_ON], x[:, PASSED_ON:]
        band0 = _run(self.coarse64, self.merge64(x))
        return band0, band1, band2


class Synthesis(nn.Module):
    """Latents as `Analysis` gives them and octave weights (B, 13) to float (B, MIDDLE, H/16, W/16)."""

    def __init__(self, arch):
        super().__init__()
        a = arch
        self.coarse64 = _residuals(a.synthesis_coarse_blocks, JOIN, a.coarse_hidden, True)
        self.split64 = Linear(JOIN, JOIN)
        self.coarse32 = _residuals(a.synthesis_coarse_blocks, JOIN, a.coarse_hidden, True)
        self.split32 = Linear(JOIN, JOIN)
        self.middle = _residuals(a.synthesis_middle_blocks, MIDDLE, a.middle_hidden, True)

    def forward(self, latents, octaves):
        band0, band1, band2 = latents
        x = F.pixel_shuffle(self.split64(_run(self.coarse64, band0, octaves)), 2)
        x = _run(self.coarse32, torch.cat([x, band1], 1), octaves)
        x = F.pixel_shuffle(self.split32(x), 2)
        return _run(self.middle, torch.cat([x, band2], 1), octaves)


class Look(nn.Module):
    """What `Synthesis` gives, and octave weights (B, 13), to float (B, 3, H, W), about [-1, 1].

    A look with grain also takes a pair of noise (see interface.grain), (B, GRAIN, H/16, W/16) and (B, GRAIN,
    H/8, W/8): where the latents say nothing, texture can be made of nothing else but a repeated pattern.
    """

    def __init__(self, arch, grain=False):
        super().__init__()
        a = arch
        self.middle = _residuals(a.look_middle_blocks, MIDDLE, a.middle_hidden, True)
        self.split16 = Linear(MIDDLE, 4 * FINE)
        self.fine = _residuals(a.look_fine_blocks, FINE, a.fine_hidden, True)
        self.patch = conv3(FINE, 3 * PATCH**2)
        self.grain16 = Linear(GRAIN, MIDDLE) if grain else None
        self.grain8 = Linear(GRAIN, FINE) if grain else None
        for layer in (self.grain16, self.grain8) if grain else ():
            nn.init.zeros_(layer.weight)

    def forward(self, x, octaves, grain=None):
        if self.grain16 is not None:
            x = x + self.grain16(grain[0])
        x = F.pixel_shuffle(self.split16(_run(self.middle, x, octaves)), 2)
        if self.grain16 is not None:
            x = x + self.grain8(grain[1])
        return F.pixel_shuffle(self.patch(_run(self.fine, x, octaves)), PATCH)


def _run(blocks, x, octaves=None):
    for block in blocks:
        x = block(x, octaves)
    return x


class Tokenizer(nn.Module):
    """Analysis, synthesis and looks of one architecture, and what high qualities have in their place."""

    def __init__(self, arch):
        super().__init__()
        self.arch = arch
        self.analysis = Analysis(arch)
        self.synthesis = Synthesis(arch)
        self.looks = nn.ModuleDict({look: Look(arch, grain=look == NATURAL) for look in arch.looks})
        self.exact = Exact()
        self.restoration = _residuals(arch.restoration_blocks, 3 * PATCH**2, arch.restoration_hidden, True)

    def analyze(self, pixels, fine=False):
        """Latents of float (B, 3, H, W), a tuple: of the usual bands, or of all, for high qualities, where `fine`."""
        return self.exact(pixels) if fine else self.analysis(pixels)

    def decode(self, latents, octaves, look=FAITHFUL, grain=None):
        """Latents as `analyze` gives them and octave weights (B, 13) to float (B, 3, H, W), by one of the looks.

        High qualities have one look, whichever is asked for.
        """
        if len(latents) > USUAL_BANDS:
            return self.exact.pixels(self.restored(self.exact.patches(latents), octaves))
        return self.looks[look](self.synthesis(latents, octaves), octaves, grain)

    def restored(self, patches, octaves):
        """`patches` as Exact gives them, less the error that the restoration sees, which is counted in steps."""
        step = torch.exp(octaves @ torch.as_tensor(LOG_STEPS, device=octaves.device).to(octaves.dtype))
        return patches + step[:, None, None, None] * (_run(self.restoration, patches, octaves) - patches)
