"""The networks of nets/bands/ as ONNX graphs without weights: of the analysis, and of each look.

There are two of each: one of the usual bands, and one of all bands, for high qualities. The weights
are external data, see models/training/onnx_graph.py. Pixels enter and leave as uint8 (H, W, 3).
"""

import numpy as np
from onnx import TensorProto, helper

from odpiece.models.integers import BYTES, EXPAND, REDUCE, SCALES, STEPS, WEIGHT
from odpiece.models.interface import BANDS, GRAIN_SIZES, Q_OCTAVES, USUAL_BANDS
from odpiece.models.nets.bands.grain import UNIT
from odpiece.models.nets.bands.transform import FAITHFUL, FINE, LOG_STEPS, MIDDLE, PASSED_ON, PATCH, SQUARES
from odpiece.models.training.onnx_graph import Graph


class BandsGraph(Graph):
    """Nodes of the band transform's networks, of so many `bands`.

    `integers` is what nets/bands/integers.py tells of the convolutions of 8-bit integers, if there are any.
    """

    def __init__(self, weights, bands, integers=None):
        super().__init__(weights)
        self.bands, self.integers = bands, integers or {}

    @property
    def fine(self):
        """Whether this is a graph of all bands."""
        return self.bands > USUAL_BANDS

    def conv(self, x, name):
        """The convolution `name`: 3x3 over repeated edges, other sizes in strides of their kernel."""
        size = self.weights[f"{name}.weight"].shape[2:]
        inputs = [self.weight(f"{name}.{part}") for part in ("weight", "bias") if f"{name}.{part}" in self.weights]
        if size == (3, 3):
            return self.add("Conv", self.edges(x), *inputs, kernel_shape=size)
        return self.add("Conv", x, *inputs, kernel_shape=size, strides=size)

    def edges(self, x):
        """`x` with its edge repeated once on each side."""
        return self.add("Pad", x, self.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])), mode="edge")

    def residuals(self, x, name, octaves=None):
        for i in range(self.depth(name)):
            x = self.add("Add", x, self.branch(x, f"{name}.{i}", octaves))
        return x

    def branch(self, x, name, octaves=None):
        if f"{name}.expand" in self.integers:
            return self.integer_branch(x, name, octaves)
        h, rest = self.hidden(x, name, octaves)
        return self.conv(self.add("Sub", self.silu(h), self.silu(rest)), f"{name}.reduce")

    def integer_branch(self, x, name, octaves):
        """`branch` with convolutions of integers, between channels over their spread."""
        rest = self.add("MatMul", octaves, self.weight(f"{name}.condition"))
        rest = self.add("Add", rest, self.weight(f"{name}.expand.bias"))
        rest = self.add("Reshape", rest, self.constant(np.array([1, -1, 1, 1])))
        spread = self.weights[f"{SCALES}{name}"]
        h = self.add("Add", self.integer_conv(x, f"{name}.{EXPAND}", before=spread), rest)
        x = self.add("Sub", self.silu(h), self.silu(rest))
        return self.integer_conv(x, f"{name}.{REDUCE}", after=spread)

    def integer_conv(self, x, name, before=1, after=1):
        """The 3x3 convolution `name` without bias, as nets/bands/integers.py tells.

        Inputs are divided by `before` and outputs multiplied by `after`, numbers or one a channel.

        onnxruntime makes one of integers of it where it optimizes the graph. Elsewhere it is computed in floats.
        """
        (step, zero), (step_after, zero_after) = (self.integers[name][key] for key in ("input", "output"))
        x = self.add("QuantizeLinear", self.edges(x), *self.grid(step * before, zero), axis=1)
        x = self.add("DequantizeLinear", x, *self.grid(step, zero))
        x = self.add("Conv", x, self.integer_weights(name), kernel_shape=[3, 3])
        x = self.add("QuantizeLinear", x, *self.grid(step_after, zero_after))
        return self.add("DequantizeLinear", x, *self.grid(step_after * after, zero_after), axis=1)

    def integer_weights(self, name):
        shape = self.weights[name + WEIGHT].shape
        weight = self.external(name + BYTES, shape, TensorProto.INT8)
        return self.add("DequantizeLinear", weight, self.external(name + STEPS, shape[:1]), axis=0)

    def grid(self, scale, zero):
        scale = np.asarray(scale, np.float32)
        return self.constant(scale), self.constant(np.full(scale.shape, zero, np.uint8))

    def enlarged(self, x, times):
        """`x` interpolated to so many times its height and width."""
        scales = self.constant(np.array([1, 1, times, times], np.float32))
        return self.add("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")

    def rotated(self, x, name, channels, side, back=False, frame=0):
        """The orthonormal matrix exact.`name`, or its inverse `back`, times each square of side x side of `x`.

        `x` has so many channels, and gets a `frame` of zeros before.
        """
        n, kernel = channels * side**2, self.weight(f"exact.{name}")
        kernel = self.add("Transpose", kernel, perm=[1, 0]) if back else kernel
        kernel = self.add("Reshape", kernel, self.constant(np.array([n, channels, side, side])))
        return self.add("Conv", x, kernel, kernel_shape=[side, side], strides=[side, side], pads=[frame] * 4)

    def lapped(self, x, level, back=False):
        """`x` with every square amid four turned by the matrix of the `level`, or `back`; its frame stays.

        Squares that reach into a frame of zeros are turned, too, and left out: a convolution of nothing is an error.
        """
        channels, side = SQUARES[level]
        frame = side // 2
        turned = self.shuffle(self.rotated(x, f"lap{level}", channels, side, back, frame), side)
        change = self.add("Sub", self.inner(turned, side), self.inner(x, frame))
        return self.add("Add", x, self.add("Pad", change, self.constant(np.array([0, 0, frame, frame] * 2))))

    def inner(self, x, frame):
        """`x` without so many rows and columns on each side."""
        bounds = [self.constant(np.array([n, n])) for n in (frame, -frame)]
        return self.add("Slice", x, *bounds, self.constant(np.array([2, 3])))

    def merged(self, x, level):
        """`x` with every square of the `level` turned into one place, after those amid four."""
        return self.rotated(self.lapped(x, level), f"merge{level}", *SQUARES[level])

    def split(self, parts, level):
        """The inverse of `merged`, of all channels in `parts`."""
        channels, side = SQUARES[level]
        x = self.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        x = self.rotated(x, f"merge{level}", channels * side**2, 1, back=True)
        return self.lapped(self.shuffle(x, side), level, back=True)

    def in_steps(self, x):
        """`x` times the quantization step."""
        step = self.add("Exp", self.add("MatMul", "octaves", self.constant(LOG_STEPS[:, None])))
        return self.add("Mul", x, step)

    def silu(self, x):
        return self.add("Mul", x, self.add("Sigmoid", x))

    def depth(self, name):
        """How many residual blocks there are under `name`."""
        return sum(key.startswith(f"{name}.") and key.endswith(".expand.weight") for key in self.weights)

    def hidden(self, x, name, octaves=None):
        """What the residual block `name` gives to its nonlinearity, and what it gives where it sees nothing."""
        column = self.constant(np.array([1, -1, 1, 1]))
        h, rest = self.conv(x, f"{name}.expand"), self.add("Reshape", self.weight(f"{name}.expand.bias"), column)
        if octaves:
            condition = self.add("Reshape", self.add("MatMul", octaves, self.weight(f"{name}.condition")), column)
            h, rest = self.add("Add", h, condition), self.add("Add", rest, condition)
        return h, rest

    def channels(self, x, first, last, output=None):
        bounds = [self.constant(np.array([n])) for n in (first, last, 1)]
        return self.add("Slice", x, *bounds, output=output)

    def pixels(self):
        """The input "pixels", uint8 (H, W, 3), as float (1, 3, H, W) in [-1, 1]."""
        x = self.add("Unsqueeze", "pixels", self.constant(np.array([0])))
        return self.unit(self.add("Transpose", x, perm=[0, 3, 1, 2]))

    def unit(self, x):
        """Bytes `x` as floats in [-1, 1]."""
        x = self.add("Cast", x, to=TensorProto.FLOAT)
        return self.add("Sub", self.add("Mul", x, self.constant(np.float32(1 / 127.5))), self.constant(np.float32(1.0)))

    def shuffle(self, x, size):
        return self.add("DepthToSpace", x, blocksize=size, mode="CRD")


def band_values(bands, name="band"):
    return [
        helper.make_tensor_value_info(f"{name}{i}", TensorProto.FLOAT, [1, b.latents, f"h{i}", f"w{i}"])
        for i, b in enumerate(BANDS[:bands])
    ]


def pixel_value():
    return helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["height", "width", 3])


def octaves_value():
    return helper.make_tensor_value_info("octaves", TensorProto.FLOAT, [1, Q_OCTAVES])


def analysis_graph(weights, bands=USUAL_BANDS):
    """Serialized graph: pixels uint8 (H, W, 3) to band0, band1, .. float32 (1, latents, h, w)."""
    g = BandsGraph(weights, bands)
    if g.fine:
        x = _part(g, g.merged(g.pixels(), 8), FINE, 4)
        x = _part(g, g.merged(x, 16), MIDDLE, 3)
        x = _part(g, x, PASSED_ON, 2)
        x = g.merged(_part(g, g.merged(x, 32), PASSED_ON, 1), 64)
    else:
        x = g.residuals(g.conv(g.pixels(), "analysis.patch"), "analysis.fine")
        x = _part(g, g.residuals(g.conv(x, "analysis.merge16"), "analysis.middle"), PASSED_ON, 2)
        x = g.residuals(g.conv(x, "analysis.merge32"), "analysis.coarse32")
        x = g.residuals(g.conv(_part(g, x, PASSED_ON, 1), "analysis.merge64"), "analysis.coarse64")
    g.add("Identity", x, output="band0")
    return g.model("analysis", [pixel_value()], band_values(bands)).SerializeToString(deterministic=True)


def _part(g, x, count, band):
    """The first `count` channels of `x`; the others become the output of the band."""
    g.channels(x, count, count + BANDS[band].latents, output=f"band{band}")
    return g.channels(x, 0, count)


def synthesis(g):
    """Add band0, band1, .. and octaves to pixels by the faithful look, about [-1, 1]; gives the output's name.

    It is float (1, 3 * PATCH^2, H / PATCH, W / PATCH): the patches are not yet shuffled into place.
    """
    return g.conv(_features(g), "look.patch")


def _features(g):
    """What the pixels of usual qualities are made of."""
    x = g.residuals("band0", "synthesis.coarse64", "octaves")
    x = g.add("Concat", g.shuffle(g.conv(x, "synthesis.split64"), 2), "band1", axis=1)
    x = g.residuals(x, "synthesis.coarse32", "octaves")
    x = g.add("Concat", g.shuffle(g.conv(x, "synthesis.split32"), 2), "band2", axis=1)
    x = g.residuals(x, "synthesis.middle", "octaves")
    x = g.residuals(x, "look.middle", "octaves")
    return g.residuals(g.shuffle(g.conv(x, "look.split16"), 2), "look.fine", "octaves")


def restored(g):
    """The pixels of high qualities, float (1, 3, H, W), of the same inputs."""
    x = g.split([g.split(["band0"], 64), "band1"], 32)
    x = g.split([x, "band2", "band3"], 16)
    x = g.add("Concat", x, "band4", axis=1)
    x = g.add("Add", x, g.in_steps(g.add("Sub", g.residuals(x, "restoration", "octaves"), x)))
    return g.split([x], 8)


def _grain(g, features):
    """What the natural look adds: the noise of all sizes, with the deviations that it predicts."""
    deviations = g.silu(g.branch(g.add("Abs", features), "grain.deviation", "octaves"))
    deviations = g.add("Mul", deviations, g.constant(np.float32(UNIT)))
    total = None
    for i, size in enumerate(GRAIN_SIZES):
        maps = g.enlarged(g.channels(deviations, i, i + 1), PATCH // size)
        added = g.add("Mul", g.unit(f"noise{size}"), maps)
        total = g.add("Add", g.enlarged(total, 2), added) if total else added
    return total


def as_bytes(g, x):
    """Pixels `x` about [-1, 1] as uint8, in whole grey levels."""
    x = g.add("Mul", g.add("Add", x, g.constant(np.float32(1.0))), g.constant(np.float32(127.5)))
    x = g.add("Clip", g.add("Round", x), g.constant(np.float32(0)), g.constant(np.float32(255)))
    return g.add("Cast", x, to=TensorProto.UINT8)


def synthesis_graph(weights, look, bands=USUAL_BANDS, integers=None):
    """Serialized graph: band0, band1, .. float32 and octaves float32 (1, 13) to pixels uint8 (H, W, 3), by one look.

    The natural look also has the inputs noise4, noise2 and noise1, uint8 (1, 1, H / size, W / size). Convolutions that
    `integers` names are in 8-bit integers, see nets/bands/integers.py.
    """
    g = BandsGraph(weights, bands, integers)
    inputs = [*band_values(bands), octaves_value()]
    if g.fine:
        x = as_bytes(g, restored(g))
    elif look == FAITHFUL:
        x = g.shuffle(as_bytes(g, synthesis(g)), PATCH)  # bytes: a quarter of what floats would move
    else:
        features = _features(g)
        pixels = g.shuffle(g.conv(features, "look.patch"), PATCH)
        x = as_bytes(g, g.add("Add", pixels, _grain(g, features)))
        inputs += [_noise_value(size) for size in GRAIN_SIZES]
    x = g.add("Transpose", x, perm=[0, 2, 3, 1])
    g.add("Squeeze", x, g.constant(np.array([0])), output="pixels")
    return g.model(look, inputs, [pixel_value()]).SerializeToString(deterministic=True)


def _noise_value(size):
    shape = [1, 1, f"rows{size}", f"columns{size}"]
    return helper.make_tensor_value_info(f"noise{size}", TensorProto.UINT8, shape)
