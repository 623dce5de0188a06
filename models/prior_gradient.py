"""What latents cost those that are coded after them: the gradient of their bits in what the prior sees.

The integer prior (models/prior.py) as a float network, forward for all groups at once, then backward layer for layer.
Only an encoder's search asks for it, so it need not be the same everywhere.
"""

import numpy as np

from odpiece.models.interface import BANDS, is_fine
from odpiece.models.prior import (
    ACTIVATION_BITS,
    LOWEST_SCALE,
    SCALE_STEPS,
    SCALES,
    WEIGHT_BITS,
    interpolate,
    mix,
    to_finer,
)

HIGHEST_SCALE = LOWEST_SCALE + SCALES / SCALE_STEPS
PARTS = 4  # in which distributions are judged, to bound memory
LEAST, LOWEST = 1e-8, -80.0  # of probabilities, and of their logits


def later_bits_gradient(prior, q, bands):
    """float32 arrays like the int `bands` (latents, h, w): bits that one more in each costs latents coded later.

    `prior` is an IntegerPrior. What quality `q` does not code costs nothing.
    """
    layers = [_Layer(prior, q, i) for i, band in enumerate(BANDS) if band.first_token < q]
    found, passed = [np.zeros(z.shape, np.float32) for z in bands], None
    for layer, latents in zip(layers, bands):
        passed = layer.forward(latents, passed)
    passed = None
    for layer, gradient in reversed(list(zip(layers, found))):
        gradient[: layer.count], passed = layer.backward(passed)
    return tuple(found)


class _Layer:
    """The prior of one band, and what it hands to the next."""

    def __init__(self, prior, q, number):
        self._prior, self._q, self._number, self._band = prior, q, number, BANDS[number]
        self._fine, self._chain = is_fine(q), "fine" if is_fine(q) else "usual"
        self._goes_on = number + 1 < len(BANDS) and BANDS[number + 1].first_token < q
        self.count = len(self._weight("mean.weight"))  # of latents that are coded at such q

    def forward(self, latents, context):
        """The context of the next band from that of this one, where there are any."""
        self._k, self._context = latents[: self.count].astype(np.float32), context
        self._phase = self._band.phase_map(*latents.shape[1:])
        seen = np.sign(self._k) * np.log1p(np.abs(self._k))
        self._sums = self._seen_by("own", seen) + self._bias("own.bias") + self._bias("condition")
        if self._fine:
            self._sums += self._seen_by("magnitude", np.abs(seen))
        if context is not None:
            self._sums += mix(self._weight("context.weight"), context)
        if self._band.phases > 1:
            self._sums += self._neighbours("same", seen) + self._bias("same.bias") * (self._phase > 0)
        first = np.maximum(self._sums, 0)
        self._mixed = mix(self._weight("mix.weight"), first) + self._bias("mix.bias")
        self._judge(first + np.maximum(self._mixed, 0))
        return self._refine(seen) if self._goes_on else None

    def _judge(self, hidden):
        """Find the gradients of bits in the means and log scales that `hidden` gives."""
        mean, log_scale = (
            mix(self._weight(f"{head}.weight"), hidden) + self._bias(f"{head}.bias") for head in ("mean", "log_scale")
        )
        if self._band.phases > 1:
            mean += self._neighbours("linear", self._k)
        rows, columns = (n // self._band.side for n in mean.shape[1:])
        coded = np.tile(self._band.token_index[: self.count] < self._q, (1, rows, columns))
        log_scale += self._bias("base_log_scale")
        found = map(_slopes, *(np.array_split(values, PARTS) for values in (self._k - mean, log_scale)))
        self._slopes = [np.concatenate(parts) * coded for parts in zip(*found)]

    def _refine(self, seen):
        self._all = seen if self._context is None else np.concatenate([seen, self._context])
        self._hidden = _conv3(self._weight("0.weight", "refine"), self._all) + self._bias("0.bias", "refine")
        x = mix(self._weight("2.weight", "refine"), np.maximum(self._hidden, 0)) + self._bias("2.bias", "refine")
        return to_finer(x, self._times)

    def backward(self, passed):
        """The gradients in the latents and in the context, given the one `passed` in the next band's context."""
        mean, log_scale = self._slopes
        x = mix(self._weight("mean.weight").T, mean) + mix(self._weight("log_scale.weight").T, log_scale)
        x = x + mix(self._weight("mix.weight").T, x * (self._mixed > 0))
        x = x * (self._sums > 0)
        seen = _back_conv3(self._weight("own.weight"), x)
        if self._fine:
            seen += np.sign(self._k) * _back_conv3(self._weight("magnitude.weight"), x)
        context = None if self._context is None else mix(self._weight("context.weight").T, x)
        if passed is not None:
            more = self._back_refine(passed)
            seen += more[: self.count]
            context = more[self.count :] if context is None else context + more[self.count :]
        if self._band.phases > 1:
            seen += self._back_neighbours("same", x)
        gradient = seen / (1 + np.abs(self._k))
        return gradient + (self._back_neighbours("linear", mean) if self._band.phases > 1 else 0), context

    def _back_refine(self, passed):
        (_, h, w), n = passed.shape, self._times
        x = passed.reshape(-1, h // n, n, w // n, n).transpose(0, 2, 4, 1, 3).reshape(-1, h // n, w // n)
        x = mix(self._weight("2.weight", "refine").T, x) * (self._hidden > 0)
        return _back_conv3(self._weight("0.weight", "refine"), x)

    @property
    def _times(self):
        return self._band.block // BANDS[self._number + 1].block

    def _seen_by(self, name, x):
        return _conv3(self._weight(f"{name}.weight"), x)

    def _neighbours(self, name, x):
        """What the layer `name` makes of blocks of earlier phases."""
        phase = self._phase
        return sum((phase == p) * self._seen_by(name, x * (phase < p)) for p in range(1, self._band.phases))

    def _back_neighbours(self, name, x):
        weight, phase = self._weight(f"{name}.weight"), self._phase
        return sum((phase < p) * _back_conv3(weight, x * (phase == p)) for p in range(1, self._band.phases))

    def _tensor(self, name, part):
        return self._prior.weight(f"{self._chain}.{part}.{self._number}.{name}")

    def _weight(self, name, part="bands"):
        return self._tensor(name, part).astype(np.float32) / np.float32(1 << WEIGHT_BITS)

    def _bias(self, name, part="bands"):
        """A bias, or the row of a table for the quality, float32 (n, 1, 1)."""
        values = self._tensor(name, part)
        values = values if values.ndim == 1 else interpolate(values, self._q)
        return (values / (1 << WEIGHT_BITS + ACTIVATION_BITS)).astype(np.float32)[:, None, None]


def _slopes(distance, log_scale):
    """The gradients in the mean and the log scale of the bits of latents so far from the mean, under a logistic law."""
    inverse = np.exp(-np.clip(log_scale, LOWEST_SCALE, HIGHEST_SCALE))
    ends = [(half - np.abs(distance)) * inverse for half in (0.5, -0.5)]  # on the side where differences are exact
    (upper, steep), (lower, flat) = ((s, s * (1 - s)) for s in map(_sigmoid, ends))
    factor = 1 / ((upper - lower + LEAST) * np.log(np.float32(2)))
    inside = (log_scale > LOWEST_SCALE) & (log_scale < HIGHEST_SCALE)
    outwards = -np.sign(distance) * inverse * (steep - flat)
    return factor * outwards, factor * inside * (ends[0] * steep - ends[1] * flat)


def _sigmoid(x):
    return 1 / (1 + np.exp(-np.maximum(x, LOWEST)))


def _conv3(weight, grid):
    """3x3 convolution: weight (O, C, 3, 3), grid (C, h, w), to (O, h, w); beyond the edges is nothing."""
    _, h, w = grid.shape
    padded = np.pad(grid, ((0, 0), (1, 1), (1, 1)))
    return sum(mix(weight[:, :, y, x], padded[:, y : y + h, x : x + w]) for y, x in np.ndindex(3, 3))


def _back_conv3(weight, gradient):
    """The gradient in the input of `_conv3`, given that in its output."""
    return _conv3(weight.swapaxes(0, 1)[:, :, ::-1, ::-1], gradient)
