"""Convolutions of 8-bit integers, as the shipped graphs of usual qualities have them, emulated in floats.

Inputs and outputs are rounded to multiples of a scale and cut to what 8 bits hold; weights to 7 bits, with a scale for
each output: with more, an instruction of processors without VNNI overflows. Sums of products are exact everywhere, so
backends differ only where floats near the middle between two integers are rounded.

    NAME.integers.json     {name of a convolution: {"input": [scale, zero point], "output": [scale, zero point]}}
"""

import torch.nn.functional as F
from torch import nn

LARGEST_WEIGHT = 63
LARGEST_BYTE = 255
SCALES = "scales."  # before the names of blocks: tensors (channels,) of the weights file, their channels' spread
SMALLEST = 1e-9  # of what scales are made of, so that none is zero


def rounded(x, scale, zero):
    """The whole numbers, as floats from -zero to 255 - zero, that stand for `x` in units of `scale`."""
    return (x / scale).round().clamp(-zero, LARGEST_BYTE - zero)


def integer_weights(weight):
    """`weight` (outputs, inputs, h, w) as (whole numbers as floats, the scales of the outputs)."""
    scales = weight.abs().amax((1, 2, 3)).clamp(min=SMALLEST) * (1 / LARGEST_WEIGHT)
    return (weight / scales[:, None, None, None]).round(), scales


class IntegerConv(nn.Module):
    """The 3x3 convolution `conv` in integers; `grids` are the entry of it in NAME.integers.json.

    The gradient is that of the convolution in floats, as in the graph "gradient".
    """

    def __init__(self, conv, grids):
        super().__init__()
        self.conv, self.grids = conv, grids
        self.weight, self.scales = integer_weights(conv.weight)

    @property
    def bias(self):
        return self.conv.bias

    def forward(self, x):
        if x.requires_grad:
            return self.conv(x)
        (step, zero), grid = self.grids["input"], self.grids["output"]
        x = F.pad(rounded(x, step, zero), (1, 1, 1, 1), mode="replicate")
        x = F.conv2d(x, self.weight) * (step * self.scales)[:, None, None]
        x = rounded(x, *grid) * grid[0]
        return x if self.bias is None else x + self.bias[:, None, None]


def to_integers(network, integers, scales):
    """Make the convolutions of `network`, a Tokenizer, that `integers` names IntegerConvs.

    `integers` is what NAME.integers.json holds, `scales` are {SCALES + name of a block: (channels,)}.
    """
    for name in dict.fromkeys(conv.rpartition(".")[0] for conv in integers):
        block = network.get_submodule(name)
        block.unfold(scales[f"{SCALES}{name}"])
        for part in ("expand", "reduce"):
            setattr(block, part, IntegerConv(block.get_submodule(part), integers[f"{name}.{part}"]))
