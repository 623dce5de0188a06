"""What the codec and the networks must agree on: the token layout, the quantization step, the model object.

A picture, padded to whole 64x64 pieces, has three bands of latents, one for each scale. A token is
three neighbouring latents of a block. The tokens of a piece are ordered by scale (coarse first), then
by importance rank, then by block in raster order: 1024 tokens a piece.

    band  block    blocks a piece  latents a block  ranks  tokens
    0     64x64    1               48               16     0..15
    1     32x32    4               36               12     16..63
    2     16x16    16              180              60     64..1023
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

PIECE = 64  # pixels
TOKENS = 1024  # tokens a piece
LATENTS_PER_TOKEN = 3
Q_OCTAVES = 11  # q = 1, 2, 4, ..., 1024: the knots of everything that varies with q


@dataclass(frozen=True)
class Band:
    """The latents of one scale: `latents` integers for each `block` x `block` pixels.

    `groups` are counts of ranks: one group is coded in one step, small groups first.
    """

    block: int
    latents: int
    first_token: int
    groups: tuple[int, ...]

    @property
    def side(self):
        """Blocks along one side of a piece."""
        return PIECE // self.block

    @property
    def ranks(self):
        return self.latents // LATENTS_PER_TOKEN

    @cached_property
    def token_index(self):
        """int64 (latents, side, side): the token, 0..1023, to which each latent of each block belongs."""
        rank = np.arange(self.latents) // LATENTS_PER_TOKEN
        block = np.arange(self.side**2).reshape(self.side, self.side)
        return self.first_token + rank[:, None, None] * self.side**2 + block

    @cached_property
    def group_of_latent(self):
        """int64 (latents,): the index into `groups` of each latent."""
        return np.repeat(np.arange(len(self.groups)), [LATENTS_PER_TOKEN * n for n in self.groups])


BANDS = (
    Band(block=64, latents=48, first_token=0, groups=(1, 1, 2, 4, 8)),
    Band(block=32, latents=36, first_token=16, groups=(1, 1, 2, 4, 4)),
    Band(block=16, latents=180, first_token=64, groups=(1, 1, 2, 4, 8, 12, 16, 16)),
)


def step_size(q):
    """Quantization step for quality `q` (1..1024, scalar or array), in units of the latents."""
    return 9.0 * np.asarray(q, dtype=np.float64) ** -0.32


def octave_weights(q):
    """float32 (..., 11): linear interpolation weights of `q` (1..1024) between the octaves 1, 2, 4, ..., 1024."""
    octave = np.log2(np.asarray(q, dtype=np.float64))[..., None]
    return np.maximum(0.0, 1.0 - np.abs(octave - np.arange(Q_OCTAVES))).astype(np.float32)


class Transform(Protocol):
    """The float half of a model: pictures to latents and back, on any backend.

    Pictures are uint8 (H, W, 3) sRGB with H and W multiples of 64; latents are a tuple of float32
    arrays (latents, H / block, W / block), one a band, not yet divided by the step.
    """

    def analyze(self, pixels: np.ndarray) -> tuple[np.ndarray, ...]: ...

    def synthesize(self, latents: tuple[np.ndarray, ...], q: int) -> np.ndarray: ...
