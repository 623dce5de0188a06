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


def _shift(sums, lowest=-LIMIT):
    """Turn sums with ACTIVATION_BITS + WEIGHT_BITS binary places, in place, to activations, clipped; gives them."""
    sums *= 1 / (1 << WEIGHT_BITS)
    return np.clip(np.floor(sums, out=sums), lowest, LIMIT, out=sums)


def _padded(channels, h, w):
    """Zeros (channels, (h + 2) * (w + 2) + 2): grids with a border, flat, and room for every shifted view; and the
    view of the grids, (channels, h, w).
    """
    size = (h + 2) * (w + 2)
    flat = np.zeros((channels, size + 2))
    return flat, flat[:, :size].reshape(channels, h + 2, w + 2)[:, 1:-1, 1:-1]


def _conv3(weight, flat, h, w):
    """3x3 convolution: weight (O, C, 3, 3), `flat` as _padded gives it, to sums (O, h, w)."""
    outputs, span = len(weight), h * (w + 2)
    lines = np.concatenate([flat[:, dy * (w + 2) :][:, : span + 2] for dy in range(3)])  # (3C, span + 2)
    kernels = weight.transpose(3, 0, 2, 1).reshape(3 * outputs, len(lines))
    columns = (kernels @ lines).reshape(3, outputs, span + 2)
    total = columns[0, :, :span]
    total += columns[1, :, 1:-1]
    total += columns[2, :, 2:]
    return total.reshape(outputs, h, w + 2)[:, :, :w]


def _turned(tensor):
    """Kernels (O, C, 3, 3) with their axes in the order in which _conv3 takes them, others as they are."""
    return tensor.transpose(3, 0, 2, 1) if tensor.ndim == 4 else tensor


def _turned_back(tensor):
    return tensor.transpose(1, 3, 2, 0) if tensor.ndim == 4 else tensor


def mix(weight, grid):
    """1x1 convolution: weight (O, C), grid (C, h, w), to sums (O, h, w)."""
    return (weight @ grid.reshape(len(grid), -1)).reshape(len(weight), *grid.shape[1:])


def to_finer(grid, times):
    """(times^2 * C, h, w) to (C, times * h, times * w): a block's channels are those of the finer blocks in it."""
    _, h, w = grid.shape
    return grid.reshape(-1, times, times, h, w).transpose(0, 3, 1, 4, 2).reshape(-1, times * h, times * w)


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
        self._squashed = np.concatenate([-self.squash_table[:0:-1], self.squash_table])
        self.tables = tensors.pop("tables", None)  # uint32 (2 * ROWS, symbols)
        self.shifts = shift_of_rows()
        self.lengths = tensors.pop("lengths", None)  # uint32 (13, lengths)
        self._tensors, self._weights = tensors, {}

    def weight(self, name):
        """The weights `name`, as float64."""
        if name not in self._weights:
            self._tensors[name]  # has all of its part read
            part = part_of(name)
            members = {other: _turned(t) for other, t in self._tensors.items() if other.startswith(part)}
            self._weights |= {other: _turned_back(t) for other, t in converted(members, np.float64).items()}
        return self._weights[name]

    def squash(self, latents):
        """sign(k) * log(1 + |k|) of int latents, in fixed point, by table."""
        return self._squashed.take(np.add(latents, len(self.squash_table) - 1, dtype=np.intp), mode="clip")

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
        """(rows int64, centres int32), (members, h, w): the table row of each latent of a group, and the integer
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
        size = bands[band].shape[1:]
        latents, units = self._weight("mean.weight").shape
        groups = 1 + BANDS[band].group_of_latent[latents - 1]  # which are coded at such q
        self.group, self.width, self.known = -1, units // groups, 0
        self.seen, self.seen_grid = _padded(latents, *size)
        self.magnitudes = np.zeros_like(self.seen) if self.chain == "fine" else None
        self.sums, self.second = self._first_sums(units, size), np.zeros((units, *size))
        self.phases = BANDS[band].phase_map(*size)
        self.first = self.sums if BANDS[band].phases == 1 else np.zeros_like(self.sums)

    def _first_sums(self, units, size):
        """What the sums of all groups start from, (units, h, w): coarser bands and the quality."""
        bias = self._weight("own.bias") + interpolate(self._weight("condition"), self.q)
        sums = np.zeros((units, *size)) if self.context is None else mix(self._weight("context.weight"), self.context)
        sums += bias[:, None, None]
        return sums

    def _refine(self, latents):
        """The context that the band just coded hands to the next one."""
        w = {
            name: self.prior.weight(f"{self.chain}.refine.{self.band}.{name}")
            for name in ("0.weight", "0.bias", "2.weight", "2.bias")
        }
        count, h, width = latents.shape
        flat, grid = _padded(w["0.weight"].shape[1], h, width)
        grid[:count] = self.prior.squash(latents)
        if self.context is not None:
            grid[count:] = self.context
        hidden = _shift(_conv3(w["0.weight"], flat, h, width) + w["0.bias"][:, None, None], lowest=0)
        n = BANDS[self.band].block // BANDS[self.band + 1].block
        fine = _shift(mix(w["2.weight"], hidden) + w["2.bias"][:, None, None])
        return to_finer(fine, n)

    def _start_group(self, group, latents):
        """Add to the group's sums what all its phases share: earlier groups."""
        self.group = group
        block = slice(group * self.width, (group + 1) * self.width)
        before, known = self.known, int(np.searchsorted(BANDS[self.band].group_of_latent, group))
        if known:
            self.seen_grid[before:known] = self.prior.squash(latents[before:known])
            self.sums[block] += self._own("own.weight", block, self.seen[:known], latents)
        if known and self.chain == "fine":
            np.abs(self.seen[before:known], out=self.magnitudes[before:known])
            self.sums[block] += self._own("magnitude.weight", block, self.magnitudes[:known], latents)
        self.known = known

    def _own(self, name, block, seen, latents):
        return _conv3(self._weight(name)[block, : len(seen)], seen, *latents.shape[1:])

    def _hidden(self, group, phase, latents):
        """The second hidden layer of all groups up to this one, (units, h, w)."""
        block, upto = slice(group * self.width, (group + 1) * self.width), (group + 1) * self.width
        if self.first is self.sums:
            _shift(self.sums[block], lowest=0)  # in place: no other phase needs the sums
        else:
            sums = _shift(self._phase_sums(group, block, phase, latents), lowest=0)
            np.copyto(self.first[block], sums, where=self.phases == phase)
        mixed = mix(self._weight("mix.weight")[block, :upto], self.first[:upto])
        mixed += self._weight("mix.bias")[block, None, None]
        second = np.add(self.first[block], _shift(mixed, lowest=0), out=self.second[block])
        np.minimum(second, LIMIT, out=second)
        return self.second[:upto]

    def _phase_sums(self, group, block, phase, latents):
        """The sums of a group with what its earlier phases add."""
        if phase == 0:
            return self.sums[block].copy()
        members = BANDS[self.band].members(group)
        seen, grid = _padded(len(members), *latents.shape[1:])
        grid[:] = self.prior.squash(latents[members] * (self.phases < phase))
        sums = _conv3(self._weight("same.weight")[block][:, members], seen, *latents.shape[1:])
        return sums + (self.sums[block] + self._weight("same.bias")[block, None, None])

    def _neighbours(self, group, phase, latents):
        """The linear prediction of a group's means from neighbours of earlier phases, as sums; 0 in the first."""
        if phase == 0:
            return 0.0
        members = BANDS[self.band].members(group)
        seen, grid = _padded(len(members), *latents.shape[1:])
        grid[:] = latents[members] * (self.phases < phase)
        sums = _conv3(self._weight("linear.weight")[np.ix_(members, members)], seen, *latents.shape[1:])
        return sums * (1 << ACTIVATION_BITS)

    def _rows(self, group, hidden, neighbours):
        members = BANDS[self.band].members(group)
        heads = [self._weight(f"{head}.weight")[members, : len(hidden)] for head in ("mean", "log_scale")]
        mean, log_scale = np.split(mix(np.concatenate(heads), hidden), 2)
        mean += self._weight("mean.bias")[members, None, None] + neighbours
        base = self._weight("log_scale.bias") + interpolate(self._weight("base_log_scale"), self.q)
        log_scale += base[members, None, None]
        return table_rows(mean, log_scale)


def table_rows(mean, log_scale):
    """(rows int64, centres int32) from sums with ACTIVATION_BITS + WEIGHT_BITS binary places."""
    one = 1 << (ACTIVATION_BITS + WEIGHT_BITS)
    mean = mean * (MEAN_STEPS / one)
    mean += 0.5
    np.clip(np.floor(mean, out=mean), -LARGEST_MEAN * MEAN_STEPS, LARGEST_MEAN * MEAN_STEPS, out=mean)
    scale = log_scale * (SCALE_STEPS / one)
    scale += 0.5 - LOWEST_SCALE * SCALE_STEPS
    np.clip(scale, 0, SCALES - 1, out=scale)
    offset = mean.astype(np.int32)
    offset += MEAN_STEPS // 2
    centres = offset // MEAN_STEPS
    offset -= MEAN_STEPS * centres
    return np.add(SCALES * offset, scale.astype(np.int32), dtype=np.int64), centres
