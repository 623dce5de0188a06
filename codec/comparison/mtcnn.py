"""A detector of faces, MTCNN: three small networks, one after the other (Zhang and others, arXiv 1604.02878).

The first proposes squares all over a pyramid of the picture; the other two look at each closer, judge it and move its
sides. The weights are those of the package mtcnn (MIT), which itself is not imported: it needs TensorFlow.
"""

import math
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
import torch
import torch.nn.functional as F

SMALLEST, STEP = 20, 0.709  # pixels along a side of the smallest face, and from each scale of the pyramid to the next
CELL, STRIDE = 12, 2  # pixels that a place of the first network's output sees, and from each to the next
SIDES = (24, 48)  # pixels along a side, of what the other two see
LIKELY = (0.6, 0.7, 0.7)  # what each network has to think of a square that is kept
POOLS = {"pnet": (2,), "rnet": (3, 3), "onet": (3, 3, 2)}  # the sizes of the windows of maxima
LAYERS = {"pnet": 3, "rnet": 4, "onet": 5}  # before the heads


class Network:
    """One of the three: float (B, 3, h, w) in [-1, 1] to float (B, h', w'), how likely each place is a face, and
    float (B, 4, h', w'), by which part of its size the left, upper, right and lower side are to be moved.
    """

    def __init__(self, name):
        arrays = [torch.as_tensor(a) for a in joblib.load(_weights_folder() / f"{name}.lz4")]
        self.pools, self.layers, channels = POOLS[name], [], 3
        for i in range(0, 3 * LAYERS[name], 3):
            kernel, bias, slope = arrays[i : i + 3]
            self.layers.append((_kernel(kernel, channels), bias, slope.flatten()))
            channels = len(bias)
        heads = arrays[3 * LAYERS[name] :]
        self.sides, self.judge = ((_kernel(k, channels), b) for k, b in (heads[:2], heads[-2:]))

    def __call__(self, x):
        for i, (kernel, bias, slope) in enumerate(self.layers):
            x = F.prelu(F.conv2d(x, kernel, bias), slope)
            if i < len(self.pools):
                x = F.max_pool2d(x, self.pools[i], 2, ceil_mode=True)
        return F.conv2d(x, *self.judge).softmax(1)[:, 1], F.conv2d(x, *self.sides)


def _weights_folder():
    package = find_spec("mtcnn")
    if package is None:
        raise ImportError("the package mtcnn is missing")
    return Path(package.submodule_search_locations[0]) / "assets" / "weights"


def _kernel(array, channels):
    """(outputs, channels, h, w) of a kernel (h, w, channels, outputs), or of a matrix, (w * h * channels, outputs)."""
    if array.ndim == 4:
        return array.permute(3, 2, 0, 1).contiguous()
    side = math.isqrt(len(array) // channels)
    return array.reshape(side, side, channels, -1).permute(3, 2, 1, 0).contiguous()


class Mtcnn:
    """Finds faces; ImportError without the package mtcnn."""

    def __init__(self):
        self.first, *self.others = map(Network, LAYERS)

    @torch.inference_mode()
    def __call__(self, pixels):
        """float64 (n, 5) of uint8 (H, W, 3): left, upper, right and lower side in pixels, how likely, likely first."""
        x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32))
        x = (x - 127.5) / 128
        boxes = self._proposed(x)
        for network, side, likely, smaller in zip(self.others, SIDES, LIKELY[1:], (False, True)):
            if len(boxes):
                boxes = best(_judged(network, x, _squares(boxes), side, likely), 0.7, smaller)
        return boxes

    def _proposed(self, x):
        height, width = x.shape[2:]
        scale, found = CELL / SMALLEST, [np.zeros((0, 5))]
        while min(height, width) * scale >= CELL:
            size = math.ceil(height * scale), math.ceil(width * scale)
            likely, moves = self.first(F.interpolate(x, size, mode="area"))
            found.append(best(_places(likely[0].numpy(), moves[0].numpy(), scale), 0.5))
            scale *= STEP
        return best(np.concatenate(found), 0.7)


def _places(likely, moves, scale):
    """The boxes of the first network's output at one scale."""
    rows, columns = np.nonzero(likely > LIKELY[0])
    cells = STRIDE * np.stack([columns, rows, columns, rows], axis=1) + [0, 0, CELL, CELL]
    sides = (cells + CELL * moves[:, rows, columns].T) / scale
    return np.column_stack([sides, likely[rows, columns]])


def _judged(network, x, squares, side, likely):
    """Those of `squares`, int (n, 4), that the network thinks likely, as boxes with their sides moved."""
    crops = torch.cat([F.interpolate(_crop(x, *square), (side, side), mode="area") for square in squares])
    score, moves = (values.flatten(1).numpy() for values in network(crops))
    keep = score[:, 0] > likely
    sizes = squares[keep, 2:3] - squares[keep, :1]
    return np.column_stack([squares[keep] + sizes * moves[keep], score[keep]])


def _squares(boxes):
    """int (n, 4): the squares of the longer sides around the same middles."""
    middles = (boxes[:, :2] + boxes[:, 2:4]) / 2
    sides = np.maximum((boxes[:, 2:4] - boxes[:, :2]).max(axis=1, keepdims=True).round(), 1)
    corners = (middles - sides / 2).round()
    return np.concatenate([corners, corners + sides], axis=1).astype(int)


def _crop(x, left, upper, right, lower):
    """A part of (1, 3, H, W); beyond its sides, their pixels go on."""
    rows, columns = np.arange(upper, lower).clip(0, x.shape[2] - 1), np.arange(left, right).clip(0, x.shape[3] - 1)
    return x[:, :, rows][:, :, :, columns]


def best(boxes, most, smaller=False):
    """Of `boxes`, (n, 5), the likely ones, likely first, without those that overlap one of them by more than `most`."""
    left, kept = boxes[np.argsort(-boxes[:, 4], kind="stable")], []
    while len(left):
        kept.append(left[0])
        left = left[overlaps(left[:1], left, smaller)[0] <= most]
    return np.array(kept).reshape(-1, 5)


def overlaps(a, b, smaller=False):
    """float (n, m): what boxes (n, 4 or more) and (m, 4 or more) have in common, as part of the area that both cover;
    with `smaller`, of the area of the smaller one.
    """
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    common = (high - low).clip(0).prod(axis=2)
    areas_a, areas_b = ((boxes[:, 2:4] - boxes[:, :2]).prod(axis=1) for boxes in (a, b))
    areas = np.minimum(areas_a[:, None], areas_b) if smaller else areas_a[:, None] + areas_b - common
    return common / np.maximum(areas, 1e-9)
