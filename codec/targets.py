"""Encoding to a target instead of a quality: the best file of a size, the smallest file of a quality.

What is turned is one number, the position: log(q) at whole q, and between them the next q at a higher price of
a bit (a slope above 1). Along it the logarithm of the bytes and the PSNR grow, but for small steps, about
linearly. So a few encodings of the same latents find the target: the rule of false position, from a first guess
by what is typical. Where several scales are to choose from the smallest picture, which costs least, is searched first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import ceil, exp, floor, inf, log
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from odpiece.codec.family import EFFORT
from odpiece.codec.files import scaled
from odpiece.formats.errors import OptionError
from odpiece.models.interface import LOOKS, TOKENS

if TYPE_CHECKING:
    from odpiece.formats.pixels import AnyPicture

STEEPNESS = 2.0  # the slope is (q / exp(position))^STEEPNESS: bytes fall with it about as fast as with q
LOWEST, HIGHEST = -log(2.0), log(TOKENS)  # positions; the lowest is q = 1 at a slope of 4
TRIALS = 12
PATIENCE = 5  # trials by false position, then every other one halves the interval

# What is typical of photographs: bytes a pixel at q = 1, and how log(bytes) grows with the position.
FIRST_BYTES, BYTES_GROWTH = 2.4e-4, 0.62
HEADER_BYTES = 14
OVERSHOOT = 1.2  # of steps beyond all trials
MORE = 1.001  # times the q that was found is what a scale must have tokens for: at its end a larger one is wanted
NEAR_SIZE = 0.006  # half of what a file may be below its size, in log(bytes)
ANY_SIZE = 1 << 40  # bytes: no file of ours is larger


@dataclass(frozen=True)
class Measure:
    """A measure of quality that grows: typical at q = 1, growth with the position, half of what may be too much.

    `shown` is how a message gives a value of it, to `decimals` that are reached.
    """

    first: float
    growth: float
    near: float
    shown: str
    decimals: int

    def reached(self, value):
        """`value` for a message, rounded to what is worse: asked for it, the encoder reaches it."""
        return self.shown.format(abs(floor(value * 10**self.decimals) / 10**self.decimals))


PSNR = Measure(18.0, 1.6, 0.01, "{:.2f} dB", 2)
MS_SSIM = Measure(0.5, 0.065, 0.001, "an MS-SSIM of {:.4f}", 4)
ST_LPIPS = Measure(-0.75, 0.08, 0.002, "an ST-LPIPS of {:.4f}", 4)  # negated, since 0 is the best


@dataclass(frozen=True)
class Trial:
    """A file made on the way, with the value that the target is about."""

    position: float
    value: float
    data: bytes


def encode_to_size(pixels: AnyPicture, size: int, *, effort: int = EFFORT, **options: Any) -> bytes:
    """The bytes of the best .odp file of at most `size` bytes, 1 or more; arguments as of `encode`.

    Raises OptionError where no quality makes a file so small.
    """
    size = check_target(size, "size", least=1)
    return _best_of_size(scaled(pixels, **options), min(size, ANY_SIZE), effort)


def encode_to_bpp(pixels: AnyPicture, bits: float, *, effort: int = EFFORT, **options: Any) -> bytes:
    """The bytes of the best .odp file of at most `bits` a pixel, more than 0; arguments as of `encode`.

    Raises OptionError where no quality makes a file so small.
    """
    bits = min(check_target(bits, "bpp", above=0), 8 * ANY_SIZE)
    picture = scaled(pixels, **options)
    height, width = picture.pixels.shape[:2]
    return _best_of_size(picture, max(1, int(bits * height * width / 8)), effort)


def _best_of_size(picture, size, effort):
    """The bytes of the best file of the Scaled `picture` of at most `size` bytes. Raises OptionError."""

    def attempt(scale, position):
        data = _encode(picture.at(scale), position, effort)
        return Trial(position, log(len(data)), data)

    near, count = max(NEAR_SIZE, 0.6 / size), picture.pixels.shape[0] * picture.pixels.shape[1]
    target, plain = log(size) - near, HEADER_BYTES + FIRST_BYTES * count
    searches = _climb(picture, attempt, target, near, (target - log(plain)) / BYTES_GROWTH, BYTES_GROWTH)
    fitting = ([trial for trial in trials if len(trial.data) <= size] for trials in searches)
    fitting = next(filter(None, fitting), None) or [attempt(picture.scales[-1], LOWEST)]
    best = max(fitting, key=lambda trial: len(trial.data)).data
    if len(best) > size:
        bits = ceil(8e5 * len(best) / count) / 1e5
        least = f"{len(best)} bytes, {bits} bits a pixel"
        raise OptionError(f"the smallest file of this picture has {least}: give at least that")
    return best


def encode_to_psnr(pixels: AnyPicture, decibels: float, **options: Any) -> bytes:
    """The bytes of the smallest .odp file of at least this PSNR in dB; arguments as of `encode`.

    Raises OptionError where no quality reaches it.
    """
    return encode_to_score(pixels, decibels, partial(partial, psnr), PSNR, **options)


def encode_to_score(pixels, target, scorer, measure, *, look=LOOKS[0], effort=EFFORT, **options):
    """The bytes of the smallest .odp file that reaches `target` when it is decoded with `look`.

    `scorer(original)` gives a function from decoded pixels to a float that grows with quality, as `measure` says;
    other arguments as of `encode`. Raises OptionError where no quality reaches it.
    """
    check_target(target, "the quality to reach")
    picture = scaled(pixels, **options)
    score = scorer(picture.pixels)

    def attempt(scale, position):
        data = _encode(picture.at(scale), position, effort)
        return Trial(position, score(picture.at(scale).decoded(data, look)), data)

    middle, growth = target + measure.near, measure.growth
    searches = _climb(picture, attempt, middle, measure.near, (middle - measure.first) / growth, growth)
    fitting = [trial for trials in searches for trial in trials if trial.value >= target]
    fitting = fitting or [attempt(picture.scales[0], HIGHEST)]
    best = min(fitting, key=lambda trial: len(trial.data))
    if best.value < target:
        raise OptionError(f"this picture reaches {measure.reached(best.value)} at best, ask for no more")
    return best.data


def check_target(value, name, least=-inf, above=-inf):
    """`value`. Raises OptionError, with its `name`, unless it is a finite number from `least` and above `above`."""
    if isinstance(value, Real) and above < value < inf and value >= least:
        return value
    bound = f" of at least {least}" * (least > -inf) + f" above {above}" * (above > -inf)
    raise OptionError(f"{name} is {value}, give a number{bound}")


def psnr(a, b):
    """Peak signal-to-noise ratio in dB of two uint8 arrays of one shape, over all channels."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _encode(picture, position, effort):
    q = min(picture.highest, max(1, ceil(exp(position) - 1e-9)))
    return picture.encode(q, effort=effort, slope=(q / exp(position)) ** STEEPNESS)


def _climb(picture, attempt, target, near, position, growth):
    """Searches of a Scaled, lists of Trials, the last first: at its smallest scale, then at the larger one that suits
    the q that was found, if it does, and so on.

    `attempt` takes a scale and a position, other arguments are as of `_search`.
    """
    searches, scale, suits = [], np.inf, picture.scales[-1]
    while suits < scale:
        scale = suits
        shift = 2 * log(scale)  # from log(q) of the true size to that of the pieces
        searches.insert(0, _search(partial(attempt, scale), target, near, position + shift, growth))
        position = searches[0][-1].position - shift
        suits = picture.best(MORE * exp(position))
    return searches


def _search(attempt, target, near, position, growth):
    """The Trials made on the way to one whose value is within `near` of `target`, or to where no better one is.

    `position` is a first guess, `growth` how much the value grows with it.
    """
    bottom, top, trials = LOWEST, HIGHEST, []
    low = high = None
    for number in range(TRIALS):
        position = min(max(position, bottom), top)
        trial = attempt(position)
        trials.append(trial)
        if abs(trial.value - target) <= near:
            break
        if trial.value < target:
            low, bottom = trial, position
        else:
            high, top = trial, position
        if bottom == top:
            break
        if not (low and high):
            position += OVERSHOOT * (target - trial.value) / growth
        elif number > PATIENCE and number % 2:
            position = (bottom + top) / 2
        else:
            position = bottom + (top - bottom) * (target - low.value) / (high.value - low.value)
    return trials
