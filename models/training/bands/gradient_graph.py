"""The gradient of the squared error in the latents, as an ONNX graph: what the encoder's search descends.

The faithful synthesis forward, then backward node for node, without torch at run time. The weights are the
synthesis's own, turned where a convolution runs backward. Two things the way back passes by, as if they were not there:
the residual blocks at 1/16, a third of all work, without which the search finds as much, and the rounding of pixels.
"""

import numpy as np
from onnx import TensorProto, helper

from odpiece.models.interface import BANDS, PIECE, USUAL_BANDS
from odpiece.models.nets.bands.transform import FINE, MIDDLE, PASSED_ON, PATCH
from odpiece.models.training.bands.graph import (
    BandsGraph,
    as_bytes,
    band_values,
    octaves_value,
    pixel_value,
    restored,
    synthesis,
)

LAST = np.iinfo(np.int64).max  # as the end of a slice: up to the last


class _Tape(BandsGraph):
    """A graph that remembers what the way back needs."""

    def __init__(self, weights, bands, integers):
        super().__init__(weights, bands, integers)
        self.hiddens = {}  # of residual blocks, by name

    def hidden(self, x, name, octaves=None):
        self.hiddens[name], rest = super().hidden(x, name, octaves)
        return self.hiddens[name], rest

    def back_conv(self, gradient, name):
        """The gradient in the input of the convolution `name`, 3x3 or 1x1, given that in its output."""
        size = self.weights[f"{name}.weight"].shape[2]
        turned = self.add("Transpose", self.weight(f"{name}.weight"), perm=[1, 0, 2, 3])
        if size == 1:
            return self.add("Conv", gradient, turned, kernel_shape=[1, 1])
        turned = self.slice(turned, [2, 2], [-4, -4], [2, 3], [-1, -1])
        return self.back_edges(self.add("Conv", gradient, turned, kernel_shape=[3, 3], pads=[2, 2, 2, 2]))

    def back_edges(self, gradient):
        """The gradient in what `edges` repeated: that of the repeated rows and columns is added to the last ones."""
        for axis in (2, 3):
            inner = self.slice(gradient, [1], [-1], [axis])
            first = self.add("Add", self.slice(gradient, [0], [1], [axis]), self.slice(inner, [0], [1], [axis]))
            inner = self.add("Concat", first, self.slice(inner, [1], [LAST], [axis]), axis=axis)
            last = self.add("Add", self.slice(gradient, [-1], [LAST], [axis]), self.slice(inner, [-1], [LAST], [axis]))
            gradient = self.add("Concat", self.slice(inner, [0], [-1], [axis]), last, axis=axis)
        return gradient

    def slice(self, x, starts, ends, axes, steps=None):
        bounds = [starts, ends, axes, steps or [1] * len(axes)]
        return self.add("Slice", x, *(self.constant(np.array(b)) for b in bounds))

    def back_residuals(self, gradient, name):
        for i in reversed(range(self.depth(name))):
            h = self.hiddens[f"{name}.{i}"]
            one, gate = self.constant(np.float32(1.0)), self.add("Sigmoid", h)
            slope = self.add("Add", self.add("Mul", h, self.add("Sub", one, gate)), one)
            inner = self.add("Mul", self.back_conv(gradient, f"{name}.{i}.reduce"), self.add("Mul", gate, slope))
            gradient = self.add("Add", gradient, self.back_conv(inner, f"{name}.{i}.expand"))
        return gradient

    def unshuffle(self, x, channels, size):
        """(1, channels, h, w) to (1, channels * size^2, h / size, w / size), the inverse of `shuffle`."""
        shape = self.add("Shape", x)
        sides = [self.add("Div", self.channels_of(shape, i), self.constant(np.array([size]))) for i in (2, 3)]
        parts = [np.array([1]), np.array([channels]), sides[0], np.array([size]), sides[1], np.array([size])]
        split = [p if isinstance(p, str) else self.constant(p) for p in parts]
        x = self.add("Reshape", x, self.add("Concat", *split, axis=0))
        x = self.add("Transpose", x, perm=[0, 1, 3, 5, 2, 4])
        joined = [self.constant(np.array([1])), self.constant(np.array([channels * size**2])), *sides]
        return self.add("Reshape", x, self.add("Concat", *joined, axis=0))

    def channels_of(self, shape, axis):
        return self.add("Slice", shape, self.constant(np.array([axis])), self.constant(np.array([axis + 1])))


def gradient_graph(weights, bands=USUAL_BANDS, integers=None):
    """Serialized graph: band0, band1, .. float32, octaves float32 (1, 13), pixels uint8 (H, W, 3) and importance
    float32 (H, W) to the sum of importance * squared error of each piece, error float32 (H/64, W/64), and the gradients
    of all of it, gradient0, gradient1, .., like the bands. The error is that of whole grey levels, in [-1, 1].
    """
    g = _Tape(weights, bands, integers)
    decoded = restored(g) if g.fine else g.shuffle(synthesis(g), PATCH)
    error = g.add("Sub", g.unit(as_bytes(g, decoded)), g.pixels())
    weighted = g.add("Mul", error, "importance")
    mean = g.add("ReduceMean", g.add("Mul", error, weighted), g.constant(np.array([0, 1])), keepdims=1)
    mean = g.add("AveragePool", mean, kernel_shape=[PIECE, PIECE], strides=[PIECE, PIECE])
    total = g.add("Mul", mean, g.constant(np.float32(3 * PIECE**2)))
    g.add("Squeeze", total, g.constant(np.array([0, 1])), output="error")
    _back(g, g.add("Mul", weighted, g.constant(np.float32(2.0))))
    importance = helper.make_tensor_value_info("importance", TensorProto.FLOAT, ["height", "width"])
    total = helper.make_tensor_value_info("error", TensorProto.FLOAT, ["h0", "w0"])
    inputs = [*band_values(bands), octaves_value(), pixel_value(), importance]
    outputs = [total, *band_values(bands, "gradient")]
    return g.model("gradient", inputs, outputs).SerializeToString(deterministic=True)


def _back(g, x):
    """Add the way from `x`, the gradient in the pixels, to the outputs gradient0, gradient1, .."""
    x = _back_restored(g, x) if g.fine else _back_look(g, x)
    for i, level in ((2, 32), (1, 64)):
        x = _back_part(g, x, PASSED_ON, i)
        if g.fine:
            x = g.merged(x, level)  # what is orthonormal runs backward as it runs forward in the analysis
        else:
            x = g.back_conv(g.unshuffle(x, PASSED_ON, 2), f"synthesis.split{level}")
            x = g.back_residuals(x, f"synthesis.coarse{level}")
    g.add("Identity", x, output="gradient0")


def _back_look(g, x):
    """From the gradient in the pixels to that in the channels at 1/16."""
    x = g.back_conv(g.unshuffle(x, 3, PATCH), "look.patch")
    x = g.unshuffle(g.back_residuals(x, "look.fine"), FINE, 2)
    return g.back_conv(x, "look.split16")


def _back_restored(g, x):
    """As `_back_look`, at high qualities; adds the outputs of bands 3 and 4."""
    x = g.merged(x, 8)
    x = g.add("Add", x, g.in_steps(g.add("Sub", g.back_residuals(x, "restoration"), x)))
    return _back_part(g, g.merged(_back_part(g, x, FINE, 4), 16), MIDDLE, 3)


def _back_part(g, x, count, band):
    """The first `count` channels of `x`; the others become the output of the band's gradient."""
    g.channels(x, count, count + BANDS[band].latents, output=f"gradient{band}")
    return g.channels(x, 0, count)
