"""Convolutions of 8-bit integers, as the shipped graphs of usual qualities have them, emulated in floats.

Inputs and outputs are rounded to multiples of a scale and cut to what 8 bits hold; weights to 7 bits, with a scale for
each output: with more, an instruction of processors without VNNI overflows. Sums of products are exact everywhere, so
backends differ only where floats near the middle between two integers are rounded.

    NAME.integers.json     {name of a convolution: {"input": [scale, zero point], "output": [scale, zero point]}}
"""

import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.integers import BYTES, EXPAND, REDUCE, SCALES, STEPS, integer_weights

LARGEST_BYTE = 255


def rounded(x, scale, zero):
    """The whole numbers, as floats from -zero to 255 - zero, that stand for `x` in units of `scale`."""
    return (x / scale).round().clamp(-zero, LARGEST_BYTE - zero)


class IntegerConv(nn.Module):
    """The 3x3 convolution `conv` in integers.

    `grids` are the entry of it in NAME.integers.json, `weight` and `steps` as in models/integers.py.
    """

    def __init__(self, conv, grids, weight, steps):
        super().__init__()
        self.bias, self.grids = conv.bias, grids
        self.register_buffer("weight", torch.from_numpy(weight).float(), persistent=False)
        self.register_buffer("steps", torch.from_numpy(steps), persistent=False)

    def forward(self, x):
        (step, zero), grid = self.grids["input"], self.grids["output"]
        x = F.pad(rounded(x, step, zero), (1, 1, 1, 1), mode="replicate")
        x = F.conv2d(x, self.weight) * (step * self.steps)[:, None, None]
        x = rounded(x, *grid) * grid[0]
        return x if self.bias is None else x + self.bias[:, None, None]


def to_integers(network, integers, tensors):
    """Make the convolutions of `network`, a Tokenizer, that `integers` names IntegerConvs.

    `integers` is what NAME.integers.json holds, `tensors` are the float32 arrays of the weights file.
    """
    found = integer_weights(tensors, integers)
    for name in dict.fromkeys(conv.rpartition(".")[0] for conv in integers):
        block = network.get_submodule(name)
        block.unfold(torch.from_numpy(tensors[f"{SCALES}{name}"]))
        for part in (EXPAND, REDUCE):
            conv, key = block.get_submodule(part), f"{name}.{part}"
            setattr(block, part, IntegerConv(conv, integers[key], found[key + BYTES], found[key + STEPS]))
