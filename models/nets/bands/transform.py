"""The tokenizer's networks: a learned, critically sampled band transform and its synthesis.

Both are linear maps between resolutions (initialised as a hierarchical PCA, see training/bands/pca.py) with
residual branches that start at zero, so an untrained network is an orthonormal transform codec.

    analysis   pixels -> 1/8 -> 1/16 -> (180 latents of band 2, 12 channels go on)
                      -> 1/32 -> (36 latents of band 1, 12 channels go on) -> 1/64 -> 48 latents of band 0
    synthesis  the mirror image up to 1/16, each residual branch told the quality q
    look       from there to pixels. That is the faithful look, nearest to the original
    grain      what the natural look adds to it: noise as strong as the texture that the faithful one leaves out

High qualities need the picture back exactly. They have networks of their own: orthonormal matrices (`Exact`), with
bands 3 and 4 for what the linear layers leave out, and on the way back a `restoration`, residual branches at 1/8,
which removes what it can of the error of quantization. They have one look.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.interface import BANDS, LOOKS, STEP_AT_OCTAVE, USUAL_BANDS
from odpiece.models.nets.bands.blocks import Linear, conv3, residuals, run
from odpiece.models.nets.bands.grain import Grain

PASSED_ON = 12  # channels of a band's grid that go on to the next coarser band
PATCH = 8  # pixels along the side of the finest patch
FINE = 3 * PATCH**2 - BANDS[4].latents  # channels at 1/8 that go on
MIDDLE = 4 * FINE - BANDS[3].latents  # channels at 1/16: those of band 2, and those that go on
JOIN = 4 * PASSED_ON  # channels at 1/32 and 1/64
SQUARES = {8: (3, PATCH), 16: (FINE, 2), 32: (PASSED_ON, 2), 64: (PASSED_ON, 2)}  # by level: channels, side of a square
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
    grain_hidden: int = 0  # hidden channels at 1/8; 0 where there is no natural look
    restoration_hidden: int = 128  # hidden channels at 1/8
    restoration_blocks: int = 2

    @property
    def looks(self):
        """Those of LOOKS that there are."""
        return LOOKS if self.grain_hidden else (FAITHFUL,)

    def to_dict(self):
        return asdict(self)

    @classmethod
    def from_dict(cls, fields):
        """The Architecture of what `to_dict` gave, also after a passage through JSON."""
        return cls(**fields)


class Exact(nn.Module):
    """The analysis of high qualities, and its inverse: at each level a rotation of every square of the grid.

    Before it comes a rotation of every square amid four of them, so that what goes on across their borders is taken
    out (a lapped transform, Malvar 1989; in this form Tran, Liang and Tu 2003). All matrices are orthonormal, see
    training/bands/exact.py.
    """

    def __init__(self):
        super().__init__()
        for level, (channels, side) in SQUARES.items():
            self.register_buffer(f"lap{level}", torch.eye(channels * side**2))
            self.register_buffer(f"merge{level}", torch.eye(channels * side**2))

    def forward(self, pixels):
        """The latents of all bands of float (B, 3, H, W)."""
        x, band4 = self._merged(pixels, 8).split([FINE, BANDS[4].latents], 1)
        x, band3 = self._merged(x, 16).split([MIDDLE, BANDS[3].latents], 1)
        x, band2 = x.split([PASSED_ON, BANDS[2].latents], 1)
        x, band1 = self._merged(x, 32).split([PASSED_ON, BANDS[1].latents], 1)
        return self._merged(x, 64), band1, band2, band3, band4

    def patches(self, latents):
        """What `latents` are of: float (B, 3 * PATCH^2, H / PATCH, W / PATCH), rotated patches."""
        x, band1, band2, band3, band4 = latents
        x = torch.cat([self._split(x, 64), band1], 1)
        x = torch.cat([self._split(x, 32), band2, band3], 1)
        return torch.cat([self._split(x, 16), band4], 1)

    def pixels(self, patches):
        """float (B, 3, H, W)."""
        return self._split(patches, 8)

    def _merged(self, x, level):
        side = SQUARES[level][1]
        return _rotated(lapped(x, self.get_buffer(f"lap{level}"), side), self.get_buffer(f"merge{level}"), side)

    def _split(self, x, level):
        """The inverse of `_merged`."""
        side = SQUARES[level][1]
        x = _turned_back(x, self.get_buffer(f"merge{level}"), side)
        return lapped(x, self.get_buffer(f"lap{level}").T, side)


def lapped(x, matrix, side):
    """`x` (B, C, h, w) with every square of side x side amid four turned by `matrix` (n, n); its frame stays."""
    frame = side // 2
    inner = x[..., frame:-frame, frame:-frame]
    if not inner.numel():
        return x
    change = F.pixel_shuffle(_rotated(inner, matrix, side), side) - inner
    return x + F.pad(change, (frame,) * 4)


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
        self.fine = residuals(a.analysis_fine_blocks, FINE, a.fine_hidden)
        self.merge16 = Linear(FINE, MIDDLE, 2)
        self.middle = residuals(a.analysis_middle_blocks, MIDDLE, a.middle_hidden)
        self.merge32 = Linear(PASSED_ON, JOIN, 2)
        self.coarse32 = residuals(a.analysis_coarse_blocks, JOIN, a.coarse_hidden)
        self.merge64 = Linear(PASSED_ON, JOIN, 2)
        self.coarse64 = residuals(a.analysis_coarse_blocks, JOIN, a.coarse_hidden)

    def forward(self, x):
        x = self.patch(x)
        x = run(self.fine, x)
        x = run(self.middle, self.merge16(x))
        x, band2 = x[:, :PASSED_ON], x[:, PASSED_ON:]
        x = run(self.coarse32, self.merge32(x))
        x, band1 = x[:, :PASSED_ON], x[:, PASSED_ON:]
        band0 = run(self.coarse64, self.merge64(x))
        return band0, band1, band2


class Synthesis(nn.Module):
    """Latents as `Analysis` gives them and octave weights (B, 13) to float (B, MIDDLE, H/16, W/16)."""

    def __init__(self, arch):
        super().__init__()
        a = arch
        self.coarse64 = residuals(a.synthesis_coarse_blocks, JOIN, a.coarse_hidden, True)
        self.split64 = Linear(JOIN, JOIN)
        self.coarse32 = residuals(a.synthesis_coarse_blocks, JOIN, a.coarse_hidden, True)
        self.split32 = Linear(JOIN, JOIN)
        self.middle = residuals(a.synthesis_middle_blocks, MIDDLE, a.middle_hidden, True)

    def forward(self, latents, octaves):
        band0, band1, band2 = latents
        x = F.pixel_shuffle(self.split64(run(self.coarse64, band0, octaves)), 2)
        x = run(self.coarse32, torch.cat([x, band1], 1), octaves)
        x = F.pixel_shuffle(self.split32(x), 2)
        return run(self.middle, torch.cat([x, band2], 1), octaves)


class Look(nn.Module):
    """What `Synthesis` gives, and octave weights (B, 13), to float (B, 3, H, W), about [-1, 1]."""

    def __init__(self, arch):
        super().__init__()
        a = arch
        self.middle = residuals(a.look_middle_blocks, MIDDLE, a.middle_hidden, True)
        self.split16 = Linear(MIDDLE, 4 * FINE)
        self.fine = residuals(a.look_fine_blocks, FINE, a.fine_hidden, True)
        self.patch = conv3(FINE, 3 * PATCH**2)

    def forward(self, x, octaves):
        return self.pixels(self.features(x, octaves))

    def features(self, x, octaves):
        """What the pixels are made of, (B, FINE, H / PATCH, W / PATCH)."""
        x = F.pixel_shuffle(self.split16(run(self.middle, x, octaves)), 2)
        return run(self.fine, x, octaves)

    def pixels(self, features):
        return F.pixel_shuffle(self.patch(features), PATCH)


class Tokenizer(nn.Module):
    """Analysis, synthesis and looks of one architecture, and what high qualities have in their place."""

    def __init__(self, arch):
        super().__init__()
        self.arch = arch
        self.analysis = Analysis(arch)
        self.synthesis = Synthesis(arch)
        self.look = Look(arch)
        self.grain = Grain(FINE, arch.grain_hidden, PATCH) if arch.grain_hidden else None
        self.exact = Exact()
        self.restoration = residuals(arch.restoration_blocks, 3 * PATCH**2, arch.restoration_hidden, True)

    def analyze(self, pixels, fine=False):
        """Latents of float (B, 3, H, W), a tuple: of the usual bands, or of all, for high qualities, where `fine`."""
        return self.exact(pixels) if fine else self.analysis(pixels)

    def decode(self, latents, octaves, noise=None):
        """Latents as `analyze` gives them and octave weights (B, 13) to float (B, 3, H, W), by the faithful look.

        With `noise` (see interface.grain), by the natural one. High qualities have one look.
        """
        if len(latents) > USUAL_BANDS:
            return self.exact.pixels(self.restored(self.exact.patches(latents), octaves))
        features = self.look.features(self.synthesis(latents, octaves), octaves)
        pixels = self.look.pixels(features)
        return pixels if noise is None else pixels + self.grain(features, octaves, noise)

    def restored(self, patches, octaves):
        """`patches` as Exact gives them, less the error that the restoration sees, which is counted in steps."""
        step = torch.exp(octaves @ torch.as_tensor(LOG_STEPS, device=octaves.device).to(octaves.dtype))
        return patches + step[:, None, None, None] * (run(self.restoration, patches, octaves) - patches)
