"""From the float prior (nets/bands/prior.py) to the integer one (models/prior.py), with a proof of its bounds."""

import numpy as np
import torch

from odpiece.models.nets.bands.prior import Masked
from odpiece.models.prior import (
    ACTIVATION_BITS,
    EXACT,
    LIMIT,
    LOWEST_SCALE,
    MEAN_STEPS,
    ROWS,
    SCALE_STEPS,
    SCALES,
    WEIGHT_BITS,
    shift_of_rows,
)

SQUASH_SIZE = 1024  # magnitudes with an entry of their own
SQUASHED_INPUTS = ("own.weight", "magnitude.weight", "same.weight")  # layers that read squashed latents alone
LARGEST_LATENT = 1 << 15


@torch.no_grad()
def quantize_prior(prior):
    """{name: integer array} of a float Prior, masks applied: int16 weights, int32 biases, the squash table."""
    tensors = {"squash": np.rint(np.log1p(np.arange(SQUASH_SIZE)) * (1 << ACTIVATION_BITS)).astype(np.uint16)}
    for name, value in _masked_state(prior).items():
        value = value.double().numpy()
        if name.endswith("weight"):
            value = value if value.shape[-1] == 3 else value[:, :, 0, 0]
            tensors[name] = _to_integers(value, WEIGHT_BITS, np.int16)
        else:
            tensors[name] = _to_integers(value, WEIGHT_BITS + ACTIVATION_BITS, np.int32)
    check_bounds(tensors)
    return tensors


def dequantized(tensors, state):
    """A state dict like `state` of the float Prior that the integer torch tensors prior.NAME stand for."""
    values = {}
    for name, like in state.items():
        places = WEIGHT_BITS if name.endswith("weight") else WEIGHT_BITS + ACTIVATION_BITS
        values[name] = tensors[f"prior.{name}"].reshape(like.shape).float() / (1 << places)
    return values


def _masked_state(prior):
    state = prior.state_dict()
    for name, module in prior.named_modules():
        if isinstance(module, Masked):
            state[f"{name}.weight"] = module.weight * module.mask
    return state


def _to_integers(value, places, dtype):
    scaled = np.rint(value * (1 << places))
    if np.abs(scaled).max(initial=0) > np.iinfo(dtype).max:
        raise ValueError(f"a weight of {np.abs(value).max():.1f} does not fit {np.dtype(dtype).name}")
    return scaled.astype(dtype)


def largest_sum(tensors):
    """The largest magnitude that any partial sum of any layer can take, whatever the picture: an int.

    Inputs are at most LIMIT, or the squash table's last entry; what a layer adds (biases, the quality,
    other layers' sums) is counted in full.
    """
    total = 0
    for name, weight in tensors.items():
        if not name.endswith("weight"):
            continue
        inputs = int(tensors["squash"].max()) if name.endswith(SQUASHED_INPUTS) else int(LIMIT)
        if name.endswith("linear.weight"):
            inputs = LARGEST_LATENT << ACTIVATION_BITS
        rows = np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1)
        total += int(rows.max()) * inputs
    biases = (np.abs(t.astype(np.int64)).max() for n, t in tensors.items() if t.dtype == np.int32)
    return total + 2 * sum(map(int, biases))


def check_bounds(tensors):
    """Raise ValueError unless every sum stays exact in float64."""
    if largest_sum(tensors) * MEAN_STEPS >= EXACT:
        raise ValueError(f"sums of up to {largest_sum(tensors)} are not exact in float64")


def logistic_table(symbols):
    """float64 (2 * ROWS, symbols), the same twice: probabilities of a logistic law at each mean and scale of the
    prior's grid; the last symbol is everything beyond the others, which are centred on zero."""
    largest = (symbols - 2) // 2
    offset = (np.arange(MEAN_STEPS) - MEAN_STEPS // 2)[:, None, None] / MEAN_STEPS
    scale = np.exp(LOWEST_SCALE + np.arange(SCALES) / SCALE_STEPS)[:, None]
    values = 1 << shift_of_rows()[:ROWS].reshape(MEAN_STEPS, SCALES, 1)  # that a symbol stands for
    middle = np.arange(-largest, largest + 1) * values - (values > 1) / 2
    distance = np.abs(middle - offset)
    upper, lower = (values / 2 - distance) / scale, (-values / 2 - distance) / scale
    p = 1 / (1 + np.exp(-upper.clip(-500, 500))) - 1 / (1 + np.exp(-lower.clip(-500, 500)))
    p = np.concatenate([p, np.maximum(1 - p.sum(axis=-1, keepdims=True), 0)], axis=-1)
    return np.tile(p.reshape(-1, symbols), (2, 1))
