"""The learned prior as it ships: an integer network, the same to the last bit on every machine.

It computes what nets/bands/prior.py computes, in fixed point. All numbers are integers carried in float64;
the export proves (`largest_sum`) that no partial sum leaves +-2**53, so every product and sum is exact and
neither the order of summation nor threads, BLAS or batch matter. Activations have ACTIVATION_BITS binary
places, weights WEIGHT_BITS; after each layer comes a floor shift. Nothing here computes a logarithm or an
exponential: inputs go through a shipped table, outputs are rows of a shipped table of probabilities.
"""

import numpy as np

from odpiece.models.conversion import converted
from odpiece.models.interface import BANDS, is_fine

ACTIVATION_BITS = 8
WEIGHT_BITS = 12
LIMIT = float(1 << 18)  # activations are clipped to +-LIMIT
EXACT = 1 << 53
OCTAVE_BITS = 6  # binary places of log2(q)
MEAN_STEPS = 16  # means are multiples of 1/16
LARGEST_MEAN = (1 << 15) - 1
SCALE_STEPS = 8  # log scales are multiples of 1/8 ...
LOWEST_SCALE = -4  # ... from here ...
SCALES = 80  # ... so many
ROWS = MEAN_STEPS * SCALES  # of the tables for usual qualities; as many follow for high ones
FIRST_WIDE, WIDER = 43, 5.5  # scales from the first on have 2 values a symbol, and twice as many every so many scales


def part_of(name):
    """What the names of the tensors of one band, or of the way to the next, begin with: "fine.bands.2." and alike."""
    return ".".join(name.split(".")[:3]) + "."


def octave_position(q):
    """floor(2**OCTAVE_BITS * log2(q)) of an int q >= 1, by integers alone."""
    return (int(q) ** (1 << OCTAVE_BITS)).bit_length() - 1


def interpolate(table, q):
    """Row of an int table (13, n) at quality `q`, linear in log2(q): float64 (n,), exact integers."""
    octave, fraction = divmod(octave_position(q), 1 << OCTAVE_BITS)
    low, high = table[octave].astype(np.float64), table[min(octave + 1, len(table) - 1)].astype(np.float64)
    return low + np.floor((high - low) * fraction / (1 << OCTAVE_BITS))


def _shift(sums):
    """From sums with ACTIVATION_BITS + WEIGHT_BITS binary places to activations, clipped."""
    return np.clip(np.floor(sums / (1 << WEIGHT_BITS)), -LIMIT, LIMIT)


def _padded(grid):
    """(C, h, w) with a border of zeros, flattened to (C, (h + 2) * (w + 2) + 2): room for every shifted view."""
    channels, h, w = grid.shape
    flat = np.zeros((channels, (h + 2) * (w + 2) + 2))
    flat[:, : (h + 2) * (w + 2)].reshape(channels, h + 2, w + 2)[:, 1:-1, 1:-1] = grid
    return flat


def _conv3(weight, flat, h, w):
    """3x3 convolution: weight (O, C, 3, 3), `flat` as _padded gives it, to sums (O, h, w)."""
    span = h * (w + 2)
    total = np.zeros((len(weight), span))
    for dy in range(3):
        for dx in range(3):
            start = dy * (w + 2) + dx
            total += np.ascontiguousarray(weight[:, :, dy, dx]) @ flat[:, start : start + span]
    return total.reshape(len(weight), h, w + 2)[:, :, :w]


def _mix(weight, grid):
    """1x1 convolution: weight (O, C), grid (C, h, w), to sums (O, h, w)."""
    return (weight @ grid.reshape(len(grid), -1)).reshape(len(weight), *grid.shape[1:])


def shift_of_rows():
    """int64 (2 * ROWS,): the binary logarithm of the values that a symbol stands for, in each table row."""
    beyond = np.arange(SCALES) - FIRST_WIDE
    return np.tile(np.where(beyond < 0, 0, 1 + np.floor(beyond / WIDER)).astype(np.int64), 2 * MEAN_STEPS)


class IntegerPrior:
    """The network's tensors, as float64 integers; `predictor` starts the coding of one picture.

    `tensors` is a dict of names without the prefix "prior." and integer arrays, see training/bands/quantized_prior.py.
    Weights are asked of it when they are first needed: those of bands that no quality reached may be missing.
    """

    def __init__(self, tensors):
        self.squash_table = tensors.pop("squash").astype(np.float64)
        self.tables = tensors.pop("tables", None)  # uint32 (2 * ROWS, symbols)
        self.shifts = shift_of_rows()
        self.lengths = tensors.pop("lengths", None)  # uint32 (13, lengths)
        self._tensors, self._weights = tensors, {}

    def weight(self, name):
        """The weights `name`, as float64."""
        if name not in self._weights:
            self._tensors[name]  # has all of its part read
            part = part_of(name)
            members = {other: t for other, t in self._tensors.items() if other.startswith(part)}
            self._weights |= converted(members, np.float64)
        return self._weights[name]

    def squash(self, latents):
        """sign(k) * log(1 + |k|) of int latents, in fixed point, by table."""
        magnitude = np.minimum(np.abs(latents), len(self.squash_table) - 1)
        return np.sign(latents) * self.squash_table[magnitude]

    def predictor(self, q):
        """A Predictor at quality `q`."""
        return Predictor(self, q)


class Predictor:
    """Predicts group after group of one picture; must be asked in coding order."""

    def __init__(self, prior, q):
        self.prior, self.q = prior, q
        self.chain, self.first_row = ("fine", ROWS) if is_fine(q) else ("usual", 0)
        self.band, self.group, self.context = -1, -1, None

    def predict(self, band, group, phase, bands):
        """(rows, centres), int64 (members, h, w): the table row of each latent of a group, and the integer
        to subtract from it before it is coded.

        `bands` holds what is coded so far, int32 (latents, h, w) a band, zero elsewhere.
        """
        if band != self.band:
            self._enter(band, bands)
        if group != self.group:
            self._start_group(group, bands[band])
        hidden = self._hidden(group, phase, bands[band])
        rows, centres = self._rows(group, hidden, self._neighbours(group, phase, bands[band]))
        return rows + self.first_row, centres

    def _weight(self, name):
        return self.prior.weight(f"{self.chain}.bands.{self.band}.{name}")

    def _enter(self, band, bands):
        while self.band < band:
            if self.band >= 0:
                self.context = self._refine(bands[self.band])
            self.band += 1
        h, w = bands[band].shape[1:]
        self.group = -1
        groups = 1 + BANDS[band].group_of_latent[len(self._weight("mean.weight")) - 1]  # which are coded at such q
        self.width = len(self._weight("mix.weight")) // groups
        self.first, self.second = (np.zeros((len(self._weight("mix.weight")), h, w)) for _ in range(2))
        self.phases = BANDS[band].phase_map(h, w)

    def _refine(self, latents):
        """The context that the band just coded hands to the next one."""
        w = {
            name: self.prior.weight(f"{self.chain}.refine.{self.band}.{name}")
            for name in ("0.weight", "0.bias", "2.weight", "2.bias")
        }
        seen = self.prior.squash(latents)
        if self.context is not None:
            seen = np.concatenate([seen, self.context])
        h, width = latents.shape[1:]
        hidden = _shift(np.maximum(_conv3(w["0.weight"], _padded(seen), h, width) + w["0.bias"][:, None, None], 0))
        n = BANDS[self.band].block // BANDS[self.band + 1].block
        fine = _shift(_mix(w["2.weight"], hidden) + w["2.bias"][:, None, None])
        return fine.reshape(-1, n, n, h, width).transpose(0, 3, 1, 4, 2).reshape(-1, n * h, n * width)

    def _start_group(self, group, latents):
        """Sums that all phases of the group share: earlier groups, coarser bands, the quality."""
        self.group = group
        block = slice(group * self.width, (group + 1) * self.width)
        known = int(np.searchsorted(BANDS[self.band].group_of_latent, group))
        bias = self._weight("own.bias")[block] + interpolate(self._weight("condition"), self.q)[block]
        self.sums = np.broadcast_to(bias[:, None, None], (self.width, *latents.shape[1:]))
        if known:
            seen, size = _padded(self.prior.squash(latents[:known])), latents.shape[1:]
            self.sums = self.sums + _conv3(self._weight("own.weight")[block, :known], seen, *size)
            if self.chain == "fine":
                self.sums = self.sums + _conv3(self._weight("magnitude.weight")[block, :known], np.abs(seen), *size)
        if self.context is not None:
            self.sums = self.sums + _mix(self._weight("context.weight")[block], self.context)

    def _hidden(self, group, phase, latents):
        """The second hidden layer of all groups up to this one, (units, h, w)."""
        block, upto = slice(group * self.width, (group + 1) * self.width), (group + 1) * self.width
        sums = self.sums
        if phase:
            members = BANDS[self.band].members(group)
            seen = _padded(self.prior.squash(latents[members] * (self.phases < phase)))
            sums = sums + self._weight("same.bias")[block, None, None]
            sums = sums + _conv3(self._weight("same.weight")[block][:, members], seen, *latents.shape[1:])
        here = self.phases == phase
        self.first[block] = np.where(here, _shift(np.maximum(sums, 0)), self.first[block])
        mixed = _mix(self._weight("mix.weight")[block, :upto], self.first[:upto])
        mixed = _shift(np.maximum(mixed + self._weight("mix.bias")[block, None, None], 0))
        self.second[block] = np.clip(self.first[block] + mixed, -LIMIT, LIMIT)
        return self.second[:upto]

    def _neighbours(self, group, phase, latents):
        """The linear prediction of a group's means from neighbours of earlier phases, as sums; 0 in the first."""
        if phase == 0:
            return 0.0
        members = BANDS[self.band].members(group)
        seen = _padded(latents[members] * (self.phases < phase))
        sums = _conv3(self._weight("linear.weight")[np.ix_(members, members)], seen, *latents.shape[1:])
        return sums * (1 << ACTIVATION_BITS)

    def _rows(self, group, hidden, neighbours):
        members = BANDS[self.band].members(group)
        mean, log_scale = (
            _mix(self._weight(f"{head}.weight")[members, : len(hidden)], hidden)
            + self._weight(f"{head}.bias")[members, None, None]
            for head in ("mean", "log_scale")
        )
        log_scale = log_scale + interpolate(self._weight("base_log_scale"), self.q)[members, None, None]
        return table_rows(mean + neighbours, log_scale)


def table_rows(mean, log_scale):
    """(rows, centres) int64 from sums with ACTIVATION_BITS + WEIGHT_BITS binary places."""
    one = 1 << (ACTIVATION_BITS + WEIGHT_BITS)
    mean = np.clip(np.floor(mean * MEAN_STEPS / one + 0.5), -LARGEST_MEAN * MEAN_STEPS, LARGEST_MEAN * MEAN_STEPS)
    centres = np.floor(mean / MEAN_STEPS + 0.5)
    scale = np.clip(np.floor((log_scale / one - LOWEST_SCALE) * SCALE_STEPS + 0.5), 0, SCALES - 1)
    rows = (mean - MEAN_STEPS * centres + MEAN_STEPS // 2) * SCALES + scale
    return rows.astype(np.int64), centres.astype(np.int64)
