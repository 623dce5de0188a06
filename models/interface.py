"""What the codec and the networks must agree on: the token layout, the quantization step, the model object.

A picture, padded to whole 64x64 pieces, has five bands of latents, coarse to fine. A token is three
neighbouring latents of a block. The tokens of a piece are ordered by band, then by importance rank, then by
block in raster order: 4096 tokens a piece, as many latents as it has values.

    band  block    blocks a piece  latents a block  ranks  tokens
    0     64x64    1               48               16     0..15
    1     32x32    4               36               12     16..63
    2     16x16    16              180              60     64..1023
    3     16x16    16              192              64     1024..2047
    4     8x8      64              96               32     2048..4095
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

PIECE = 64  # pixels
TOKENS = 4096  # tokens a piece
LATENTS_PER_TOKEN = 3
LOOKS = ("faithful", "natural")  # decoders of the same tokens: nearest to the original, or that with grain
GRAIN_SIZES = (4, 2, 1)  # pixels along the side of a grain of the natural look's noise
Q_OCTAVES = 13  # q = 1, 2, 4, ..., 4096: the knots of everything that varies with q


@dataclass(frozen=True)
class Band:
    """The latents of one scale: `latents` integers for each `block` x `block` pixels.

    `groups` are counts of ranks: one group is coded in one step, small groups first. Where `phases` is 3,
    a group is coded in three steps instead, so that most blocks see the same latents of their neighbours.
    """

    block: int
    latents: int
    first_token: int
    groups: tuple[int, ...]
    phases: int = 1

    @property
    def side(self):
        """Blocks along one side of a piece."""
        return PIECE // self.block

    @property
    def ranks(self):
        return self.latents // LATENTS_PER_TOKEN

    @cached_property
    def token_index(self):
        """int64 (latents, side, side): the token, 0..4095, to which each latent of each block belongs."""
        rank = np.arange(self.latents) // LATENTS_PER_TOKEN
        block = np.arange(self.side**2).reshape(self.side, self.side)
        return self.first_token + rank[:, None, None] * self.side**2 + block

    @cached_property
    def group_of_latent(self):
        """int64 (latents,): the index into `groups` of each latent."""
        return np.repeat(np.arange(len(self.groups)), [LATENTS_PER_TOKEN * n for n in self.groups])

    def members(self, group):
        """int64 (n,): the latents of a group, an index into `groups`."""
        return np.flatnonzero(self.group_of_latent == group)

    def up_to(self, count):
        """The Band of the groups that have tokens below `count`, and of their latents alone."""
        firsts = self.first_token + self.side**2 * np.cumsum([0, *self.groups[:-1]])
        groups = self.groups[: np.searchsorted(firsts, count)]
        return replace(self, groups=groups, latents=LATENTS_PER_TOKEN * sum(groups))

    def phase_map(self, rows, columns):
        """int64 (rows, columns): the phase, 0..phases - 1, of each block of a grid of blocks.

        Of three phases the first has the blocks of even row and column, the second those of odd row and
        column, amid four of the first, and the third the rest, each beside four of the others.
        """
        if self.phases == 1:
            return np.zeros((rows, columns), dtype=np.int64)
        odd_row, odd_column = np.arange(rows)[:, None] % 2, np.arange(columns) % 2
        return np.where(odd_row == odd_column, odd_row, 2)


BANDS_FAMILY, ONE_D_PIECE = "bands", "one-d-piece"  # families of models: which tokens they make
FACTS = "model"  # key of the JSON object in a weights file's metadata, where it is not of the bands

LAMBDA = 0.15  # the classical slope -dD/dR of a uniform quantizer, in squared steps a bit: training uses it

BANDS = (
    Band(block=64, latents=48, first_token=0, groups=(1, 1, 2, 4, 8), phases=3),
    Band(block=32, latents=36, first_token=16, groups=(1, 1, 2, 4, 4)),
    Band(block=16, latents=180, first_token=64, groups=(1, 1, 2, 4, 8, 12, 16, 16)),
    Band(block=16, latents=192, first_token=1024, groups=(8, 8, 16, 16, 16)),
    Band(block=8, latents=96, first_token=2048, groups=(4, 4, 8, 8, 8)),
)
USUAL_BANDS = 3  # those that the usual networks have
USUAL_QUALITY = 512  # the largest that they serve
CODED_USUAL = tuple(band.up_to(USUAL_QUALITY) for band in BANDS[:USUAL_BANDS])  # of those bands, what is coded then
FINE_SUFFIX = ".fine"  # of the names of the graphs that take all bands
INTEGERS = ".integers.json"  # beside a weights file: what its graphs compute in integers, see nets/bands/integers.py


def is_fine(q):
    """Whether quality `q` is a high one: of all bands, by the exact analysis, in place of the usual one."""
    return q > USUAL_QUALITY


def bands_of(q):
    """The Bands that latents of quality `q` are given for."""
    return BANDS if is_fine(q) else BANDS[:USUAL_BANDS]


# Quantization steps at q = 1, 2, 4, ..., 4096: at each the step at which q tokens a piece are no longer
# what limits the picture, falling faster from octave to octave (measured, see docs/decisions/transform.md).
STEP_AT_OCTAVE = (11.0, 10.1, 9.2, 7.8, 6.4, 5.0, 3.8, 2.74, 1.9, 1.26, 0.8, 0.3, 0.08)
# Steps of the mean colour, the first token, as parts of those
MEAN_STEP_AT_OCTAVE = (1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)


def step_size(q):
    """Quantization step for quality `q` (1..4096, scalar or array), in units of the latents."""
    return np.exp(octave_weights(q).astype(np.float64) @ np.log(STEP_AT_OCTAVE))


def latent_steps(q):
    """The step of each latent at quality `q` (1..4096, scalar or array): float64 (..., latents), one array a band.

    The mean colour of a piece has a finer one: its error is seen as a mesh of squares.
    """
    weights = octave_weights(q).astype(np.float64)
    steps = [np.repeat(step_size(q)[..., None], band.latents, axis=-1) for band in BANDS]
    steps[0][..., :LATENTS_PER_TOKEN] *= np.exp(weights @ np.log(MEAN_STEP_AT_OCTAVE))[..., None]
    return tuple(steps)


def octave_weights(q):
    """float32 (..., 13): linear interpolation weights of `q` (1..4096) between the octaves 1, 2, 4, ..., 4096."""
    octave = np.log2(np.asarray(q, dtype=np.float64))[..., None]
    return np.maximum(0.0, 1.0 - np.abs(octave - np.arange(Q_OCTAVES))).astype(np.float32)


def grain(size, rows, columns, top=0, left=0):
    """uint8 (rows, columns) of uniform noise: a hash of each place, the same on every machine.

    `size` is one of GRAIN_SIZES, `top` and `left` are the place of its first row and column.
    """
    row, column = np.ogrid[top : top + rows, left : left + columns]
    x = row.astype(np.uint32) * np.uint32(0x85EBCA77) ^ np.uint32(size * 0x9E3779B1 & 0xFFFFFFFF)
    x = x ^ column.astype(np.uint32) * np.uint32(0xC2B2AE3D)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    return ((x ^ x >> np.uint32(16)) >> np.uint32(24)).astype(np.uint8)


def grains(pieces, place):
    """{size: uint8 (1, 1, rows, columns)} of the `grain` of all sizes for (rows, columns) of `pieces` from the piece at
    `place` on, as networks take it.
    """
    return {n: grain(n, *(PIECE // n * i for i in (*pieces, *place)))[None, None] for n in GRAIN_SIZES}


class Transform(Protocol):
    """The float half of a model: pictures to latents and back, on any backend.

    Pictures are uint8 (H, W, 3) sRGB with H and W multiples of 64; latents are a tuple of float32
    arrays (latents, H / block, W / block), one a band, not yet divided by the step: of the USUAL_BANDS first, or
    of all for qualities that are fine (see `is_fine`), which are others. `look` is one of LOOKS, `place` the
    (row, column) of the latents' first piece in the picture: noise depends on it. Any may be called by several threads.
    `error` gives the faithful look's squared errors, of whole grey levels in [-1, 1] and each weighted by its
    `importance` (float32 (H, W)), summed over each piece, float32 (H / 64, W / 64), and the gradients of their sum in
    the latents, past what training/bands/gradient_graph.py passes by. `prepare_for` may begin to load what so many
    pieces of quality `q` need of `part`, "gradient" (for `error`) or a look.
    """

    def prepare_for(self, part: str, q: int, pieces: int) -> None: ...

    def analyze(self, pixels: np.ndarray, fine: bool = False) -> tuple[np.ndarray, ...]: ...

    def synthesize(
        self, latents: tuple[np.ndarray, ...], q: int, look: str, place: tuple[int, int] = (0, 0)
    ) -> np.ndarray: ...

    def error(
        self, latents: tuple[np.ndarray, ...], q: int, pixels: np.ndarray, importance: np.ndarray
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]: ...


class TileTokenizer(Protocol):
    """The One-D-Piece networks: tiles to tokens and back, on any backend.

    Tiles are uint8 (n, 256, 256, 3) sRGB; tokens are int32 (n, 256), each 0..4095, of which `decode` takes any
    number of the first, (n, k) with k from 1.
    """

    def encode(self, tiles: np.ndarray) -> np.ndarray: ...

    def decode(self, tokens: np.ndarray) -> np.ndarray: ...
