"""The One-D-Piece networks as ONNX graphs without weights, as nets/one_d_piece has them: encoder and decoder.

Weights are external data under the names of the state dict, see models/training/onnx_graph.py. Inside, rows of all
tiles are one matrix (tiles * rows, width). Tiles enter and leave as uint8 (n, 256, 256, 3).
"""

import numpy as np
from onnx import TensorProto, helper

from odpiece.models.nets.one_d_piece.architecture import CHANNELS, CODE, GRID, PATCH, SIDE, TOKENS
from odpiece.models.training.onnx_graph import Graph

PATCHES = GRID**2
NORM_EPSILON, GROUP_NORM_EPSILON, LENGTH_EPSILON = 1e-5, 1e-6, 1e-12
TILES, PIXELS = "tiles", [SIDE, SIDE, 3]


class TileGraph(Graph):
    """Nodes of the One-D-Piece networks of one Architecture."""

    def __init__(self, weights, arch):
        super().__init__(weights)
        self.arch = arch

    def integers(self, *values):
        return self.constant(np.array(values, dtype=np.int64))

    def number(self, value):
        return self.constant(np.float32(value))

    def reshape(self, x, *shape):
        return self.add("Reshape", x, self.integers(*shape))

    def rows(self, x, first, last):
        """Rows first..last - 1 of (n, rows, width)."""
        return self.add("Slice", x, *(self.integers(n) for n in (first, last, 1)))

    def repeated(self, name, *shape, tiles):
        """The weight `name` of this shape for each tile: (n, *shape)."""
        target = self.add("Concat", tiles, self.integers(*shape), axis=0)
        return self.add("Expand", self.weight(name), target)

    def linear(self, x, weight, bias):
        return self.add("Gemm", x, self.weight(weight), self.weight(bias), transB=1)

    def norm(self, x, name):
        both = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", x, *both, axis=-1, epsilon=NORM_EPSILON)

    def unit(self, x):
        """`x` with its last axis scaled to length 1."""
        length = self.add("ReduceL2", x, self.integers(-1), keepdims=1)
        return self.add("Div", x, self.add("Max", length, self.number(LENGTH_EPSILON)))

    def transformer(self, patches, latents, name, tiles, count):
        """The layers over patches (n, 256, width) and latents (n, k, width): (n, 257 + k, width).

        `tiles` and `count` name n and k, each int64 (1,).
        """
        width, heads = self.arch.width, self.arch.heads
        first = self.repeated(f"{name}.class_embedding", 1, width, tiles=tiles)
        grid = self.add("Concat", first, patches, axis=1)
        grid = self.add("Add", grid, self.weight(f"{name}.positional_embedding"))
        places = self.weight(f"{name}.latent_token_positional_embedding")
        places = self.add("Slice", places, self.integers(0), count, self.integers(0))
        x = self.add("Concat", grid, self.add("Add", latents, places), axis=1)
        total = self.add("Add", count, self.integers(PATCHES + 1))
        whole = self.add("Concat", tiles, total, self.integers(width), axis=0)
        split = self.add("Concat", tiles, total, self.integers(3, heads, width // heads), axis=0)
        x = self.norm(self.reshape(x, -1, width), f"{name}.ln_pre")
        for i in range(self.arch.layers):
            block = f"{name}.transformer.{i}"
            x = self.add("Add", x, self.attention(self.norm(x, f"{block}.ln_1"), f"{block}.attn", split))
            x = self.add("Add", x, self.mlp(self.norm(x, f"{block}.ln_2"), f"{block}.mlp"))
        return self.add("Reshape", x, whole)

    def attention(self, x, name, split):
        width, heads = self.arch.width, self.arch.heads
        parts = self.linear(x, f"{name}.in_proj_weight", f"{name}.in_proj_bias")
        parts = self.add("Transpose", self.add("Reshape", parts, split), perm=[2, 0, 3, 1, 4])
        q, k, v = (self.add("Gather", parts, self.constant(np.int64(i)), axis=0) for i in range(3))
        q = self.add("Mul", q, self.number((width // heads) ** -0.5))
        weights = self.add("Softmax", self.add("MatMul", q, self.add("Transpose", k, perm=[0, 1, 3, 2])), axis=-1)
        x = self.add("Transpose", self.add("MatMul", weights, v), perm=[0, 2, 1, 3])
        return self.linear(self.reshape(x, -1, width), f"{name}.out_proj.weight", f"{name}.out_proj.bias")

    def mlp(self, x, name):
        h = self.linear(x, f"{name}.c_fc.weight", f"{name}.c_fc.bias")
        erf = self.add("Erf", self.add("Mul", h, self.number(0.5**0.5)))
        h = self.add("Mul", self.add("Mul", h, self.number(0.5)), self.add("Add", erf, self.number(1)))
        return self.linear(h, f"{name}.c_proj.weight", f"{name}.c_proj.bias")

    def silu_norm(self, x, name, channels):
        """Group normalisation, then SiLU, of (n, channels, h, w)."""
        groups, shape = self.arch.groups, self.add("Shape", x)
        ones, zeros = (self.constant(np.full(groups, value, np.float32)) for value in (1, 0))
        flat = self.reshape(x, 0, groups, -1)
        flat = self.add("InstanceNormalization", flat, ones, zeros, epsilon=GROUP_NORM_EPSILON)
        scale, bias = (self.reshape(self.weight(f"{name}.{part}"), channels, 1, 1) for part in ("weight", "bias"))
        x = self.add("Add", self.add("Mul", self.add("Reshape", flat, shape), scale), bias)
        return self.add("Mul", x, self.add("Sigmoid", x))

    def conv(self, x, name, **attributes):
        """The convolution `name`, padded so that a stride of 1 keeps the size."""
        size = self.weights[f"{name}.weight"].shape[2:]
        names = [self.weight(f"{name}.{part}") for part in ("weight", "bias") if f"{name}.{part}" in self.weights]
        return self.add("Conv", x, *names, **{"kernel_shape": size, "pads": [size[0] // 2] * 4} | attributes)

    def residual(self, x, name, inputs, outputs):
        h = self.conv(self.silu_norm(x, f"{name}.norm1", inputs), f"{name}.conv1")
        h = self.conv(self.silu_norm(h, f"{name}.norm2", outputs), f"{name}.conv2")
        return self.add("Add", h, x if inputs == outputs else self.conv(h, f"{name}.nin_shortcut"))

    def pixel_decoder(self, x):
        name, widths = "pixel_decoder", [c * self.arch.hidden for c in CHANNELS]
        x = self.conv(x, f"{name}.conv_in")
        for i in range(2):
            x = self.residual(x, f"{name}.mid.{i}", widths[-1], widths[-1])
        for level, inputs in reversed(list(enumerate([*widths[1:], widths[-1]]))):
            x = self.residual(x, f"{name}.up.{level}.block.0", inputs, widths[level])
            x = self.residual(x, f"{name}.up.{level}.block.1", widths[level], widths[level])
            if level:
                scales = self.constant(np.array([1, 1, 2, 2], np.float32))
                doubling = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
                x = self.conv(self.add("Resize", x, "", scales, **doubling), f"{name}.up.{level}.upsample_conv")
        return self.conv(self.silu_norm(x, f"{name}.norm_out", widths[0]), f"{name}.conv_out")


def encoder_graph(weights, arch):
    """Serialized graph: tiles uint8 (n, 256, 256, 3) to tokens int32 (n, 256); `weights` are {name: array}."""
    g = TileGraph(weights, arch)
    n, width = g.add("Shape", TILES, start=0, end=1), arch.width
    x = g.add("Transpose", g.add("Cast", TILES, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    x = g.add("Div", x, g.number(255))
    x = g.conv(x, "encoder.patch_embed", strides=[PATCH, PATCH], pads=[0] * 4)
    patches = g.add("Transpose", g.reshape(x, 0, width, PATCHES), perm=[0, 2, 1])
    latents = g.repeated("latent_tokens", TOKENS, width, tiles=n)
    x = g.transformer(patches, latents, "encoder", n, g.integers(TOKENS))
    x = g.norm(g.rows(x, PATCHES + 1, PATCHES + 1 + TOKENS), "encoder.ln_post")
    z = g.conv(g.reshape(x, -1, width, 1, TOKENS), "encoder.conv_out")  # read without transposing, see nets/
    z = g.unit(g.add("Transpose", g.add("Squeeze", z, g.integers(2)), perm=[0, 2, 1]))
    codes = g.add("Transpose", g.unit(g.weight("quantize.embedding.weight")), perm=[1, 0])
    nearest = g.add("ArgMax", g.add("MatMul", z, codes), axis=-1, keepdims=0)
    g.add("Cast", nearest, to=TensorProto.INT32, output="tokens")
    return _serialized(g, "encoder", [_tiles()], [_tokens(TOKENS)])


def decoder_graph(weights, arch):
    """Serialized graph: tokens int32 (n, k), k = 1..256, to tiles uint8 (n, 256, 256, 3)."""
    g = TileGraph(weights, arch)
    n, k, width = g.add("Shape", "tokens", start=0, end=1), g.add("Shape", "tokens", start=1, end=2), arch.width
    codes = g.unit(g.add("Gather", g.weight("quantize.embedding.weight"), "tokens", axis=0))
    rows = g.linear(g.reshape(codes, -1, CODE), "decoder.decoder_embed.weight", "decoder.decoder_embed.bias")
    latents = g.add("Reshape", rows, g.add("Concat", n, k, g.integers(width), axis=0))
    patches = g.repeated("decoder.mask_token", PATCHES, width, tiles=n)
    x = g.rows(g.transformer(patches, latents, "decoder", n, k), 1, PATCHES + 1)
    x = g.add("Transpose", g.norm(x, "decoder.ln_post"), perm=[0, 2, 1])
    x = g.conv(g.reshape(x, 0, width, GRID, GRID), "decoder.ffn.0")
    logits = g.conv(g.add("Tanh", x), "decoder.ffn.2")
    shares = g.add("Softmax", g.add("Transpose", logits, perm=[0, 2, 3, 1]), axis=-1)
    x = g.add("MatMul", shares, g.weight("pixel_quantize.embedding.weight"))
    x = g.pixel_decoder(g.add("Transpose", x, perm=[0, 3, 1, 2]))
    x = g.add("Clip", x, g.number(0), g.number(1))
    x = g.add("Cast", g.add("Round", g.add("Mul", x, g.number(255))), to=TensorProto.UINT8)
    g.add("Transpose", x, perm=[0, 2, 3, 1], output=TILES)
    return _serialized(g, "decoder", [_tokens("k")], [_tiles()])


def _tiles():
    return helper.make_tensor_value_info(TILES, TensorProto.UINT8, ["n", *PIXELS])


def _tokens(count):
    return helper.make_tensor_value_info("tokens", TensorProto.INT32, ["n", count])


def _serialized(g, name, inputs, outputs):
    return g.model(name, inputs, outputs).SerializeToString(deterministic=True)
