"""Weights for convolutions of 8-bit integers (see nets/bands/integers.py), made of those stored when these are read.

    NAME.bytes, NAME.steps     of the convolution NAME: int8 (outputs, inputs, 3, 3) and float32 (outputs,)

Their product is NAME.weight where inputs and outputs are over the spread of their channels.
"""

import numpy as np

from odpiece.models.conversion import converted

LARGEST_WEIGHT = 63  # of 7 bits: with 8, an instruction of processors without VNNI overflows
SCALES = "scales."  # before the names of blocks: tensors (channels,) of the weights file, their channels' spread
SMALLEST = 1e-9  # of steps, so that none is zero
EXPAND, REDUCE = "expand", "reduce"  # the convolutions of a block, which has as many outputs as inputs
WEIGHT, BYTES, STEPS = ".weight", ".bytes", ".steps"


def integer_weights(tensors, names):
    """{NAME.bytes: .., NAME.steps: ..} of the convolutions `names`; `tensors` has their weights and spreads."""
    found = {}
    for name in names:
        block, _, part = name.rpartition(".")
        weight, spread = converted({WEIGHT: tensors[name + WEIGHT]}, np.float32)[WEIGHT], tensors[SCALES + block]
        if part == EXPAND:
            weight *= spread[:, None, None]
        found[name + BYTES], steps = _rounded(weight)
        found[name + STEPS] = steps if part == EXPAND else steps / spread
    return found


def _rounded(weight):
    """float32 (outputs, ..), which it spoils, as int8 in -63..63, and float32 (outputs,), the value of 1 in each."""
    rows = weight.reshape(len(weight), -1)
    steps = np.maximum(np.maximum(rows.max(1), -rows.min(1)) * np.float32(1 / LARGEST_WEIGHT), np.float32(SMALLEST))
    rows /= steps[:, None]
    return np.rint(rows, out=rows).astype(np.int8).reshape(weight.shape), steps
