"""The networks of nets/bands/transform.py as ONNX graphs without weights: of the analysis, and of each look.

There are two of each: one of the usual bands, and one of all bands, for high qualities. The weights
are external data, see models/training/onnx_graph.py. Pixels enter and leave as uint8 (H, W, 3).
"""

import numpy as np
from onnx import TensorProto, helper

from odpiece.models.interface import BANDS, GRAIN, Q_OCTAVES, USUAL_BANDS
from odpiece.models.nets.bands.transform import FINE, LOG_STEPS, MIDDLE, OVERLAP, PASSED_ON, PATCH
from odpiece.models.training.onnx_graph import Graph


class BandsGraph(Graph):
    """Nodes of the band transform's networks, of so many `bands`."""

    def __init__(self, weights, bands):
        super().__init__(weights)
        self.bands = bands

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
            h, rest = self.hidden(x, f"{name}.{i}", octaves)
            branch = self.conv(self.add("Sub", self.silu(h), self.silu(rest)), f"{name}.{i}.reduce")
            x = self.add("Add", x, branch)
        return x

    def rotated(self, x, name, channels, size, back=False):
        """The orthonormal matrix exact.`name`, or its inverse `back`, times each square of size x size of `x`.

        `x` has so many channels.
        """
        n, kernel = channels * size**2, self.weight(f"exact.{name}")
        kernel = self.add("Transpose", kernel, perm=[1, 0]) if back else kernel
        kernel = self.add("Reshape", kernel, self.constant(np.array([n, channels, size, size])))
        return self.add("Conv", x, kernel, kernel_shape=[size, size], strides=[size, size])

    def lapped(self, x, back=False):
        """Pixels `x` with every square amid four patches turned by the matrix exact.lap, or `back`; its frame stays."""
        bounds = [self.constant(np.array([n, n])) for n in (OVERLAP, -OVERLAP)]
        inner = self.add("Slice", x, *bounds, self.constant(np.array([2, 3])))
        turned = self.rotated(inner, "lap", 3, PATCH, back)
        change = self.add("Sub", self.shuffle(turned, PATCH), inner)
        frame = self.constant(np.array([0, 0, OVERLAP, OVERLAP] * 2))
        return self.add("Add", x, self.add("Pad", change, frame))

    def turned_back(self, parts, name, channels, size):
        """The inverse of `rotated` of all channels in `parts`, but the squares are not yet shuffled into place."""
        x = self.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        n = channels * size**2
        kernel = self.add("Transpose", self.weight(f"exact.{name}"), perm=[1, 0])
        kernel = self.add("Reshape", kernel, self.constant(np.array([n, n, 1, 1])))
        return self.add("Conv", x, kernel, kernel_shape=[1, 1])

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
        x = self.add("Cast", self.add("Transpose", x, perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
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
        x = _part(g, g.rotated(g.lapped(g.pixels()), "patch", 3, PATCH), FINE, 4)
        x = _part(g, g.rotated(x, "merge16", FINE, 2), MIDDLE, 3)
        x = _part(g, x, PASSED_ON, 2)
        x = _part(g, g.rotated(x, "merge32", PASSED_ON, 2), PASSED_ON, 1)
        x = g.rotated(x, "merge64", PASSED_ON, 2)
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


def synthesis(g, look):
    """Add band0, band1, .. and octaves to pixels by `look` of usual qualities, about [-1, 1]; gives the output's name.

    It is float (1, 3 * PATCH^2, H / PATCH, W / PATCH): the patches are not yet shuffled into place.
    """
    x = g.residuals("band0", "synthesis.coarse64", "octaves")
    x = g.add("Concat", g.shuffle(g.conv(x, "synthesis.split64"), 2), "band1", axis=1)
    x = g.residuals(x, "synthesis.coarse32", "octaves")
    x = g.add("Concat", g.shuffle(g.conv(x, "synthesis.split32"), 2), "band2", axis=1)
    x = g.residuals(x, "synthesis.middle", "octaves")
    x = g.residuals(_grained(g, x, look, 16), f"looks.{look}.middle", "octaves")
    x = g.shuffle(g.conv(x, f"looks.{look}.split16"), 2)
    return g.conv(g.residuals(_grained(g, x, look, 8), f"looks.{look}.fine", "octaves"), f"looks.{look}.patch")


def restored(g):
    """The pixels of high qualities, float (1, 3, H, W), of the same inputs."""
    x = g.shuffle(g.turned_back(["band0"], "merge64", PASSED_ON, 2), 2)
    x = g.shuffle(g.turned_back([x, "band1"], "merge32", PASSED_ON, 2), 2)
    x = g.shuffle(g.turned_back([x, "band2", "band3"], "merge16", FINE, 2), 2)
    x = g.add("Concat", x, "band4", axis=1)
    x = g.add("Add", x, g.in_steps(g.add("Sub", g.residuals(x, "restoration", "octaves"), x)))
    return g.lapped(g.shuffle(g.turned_back([x], "patch", 3, PATCH), PATCH), back=True)


def _grained(g, x, look, size):
    """`x` at 1/size with what the look makes of the noise grain16 or grain8, if it takes any."""
    name = f"looks.{look}.grain{size}"
    return g.add("Add", x, g.conv(f"grain{size}", name)) if f"{name}.weight" in g.weights else x


def _as_bytes(g, x):
    x = g.add("Mul", g.add("Add", x, g.constant(np.float32(1.0))), g.constant(np.float32(127.5)))
    x = g.add("Clip", g.add("Round", x), g.constant(np.float32(0)), g.constant(np.float32(255)))
    return g.add("Cast", x, to=TensorProto.UINT8)


def synthesis_graph(weights, look, bands=USUAL_BANDS):
    """Serialized graph: band0, band1, .. float32 and octaves float32 (1, 13) to pixels uint8 (H, W, 3), by one look.

    A look with grain also has the inputs grain16 and grain8, float32 (1, GRAIN, H/16, W/16) and (.., H/8, W/8).
    """
    g = BandsGraph(weights, bands)
    if g.fine:
        x = _as_bytes(g, restored(g))
    else:
        x = g.shuffle(_as_bytes(g, synthesis(g, look)), PATCH)  # bytes: a quarter of what floats would move
    x = g.add("Transpose", x, perm=[0, 2, 3, 1])
    g.add("Squeeze", x, g.constant(np.array([0])), output="pixels")
    inputs = [*band_values(bands), octaves_value()]
    for size in (16, 8) if f"looks.{look}.grain16.weight" in g.used else ():
        shape = [1, GRAIN, f"rows{size}", f"columns{size}"]
        inputs.append(helper.make_tensor_value_info(f"grain{size}", TensorProto.FLOAT, shape))
    return g.model(look, inputs, [pixel_value()]).SerializeToString(deterministic=True)
