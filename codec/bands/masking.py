"""What an error counts for the eye: less where there is much texture, which hides it (visual masking).

As in SSIM (Wang et al. 2004) squared errors count less where the local variance is high, here less steeply:
docs/decisions/tuning.md.
"""

import numpy as np

from odpiece.codec.bands.windows import padded_pixels
from odpiece.models.interface import BANDS, PIECE

CELL = 8  # pixels
AROUND = 5  # cells along the side of the square whose variance counts
FLOOR = 200.0  # squared grey levels: less variance does not show an error more
POWER = -0.75
LIGHTNESS = np.float32([0.299, 0.587, 0.114])


def masking(pixels):
    """float32 (rows * 8, columns * 8), in each piece 8 x 8 cells: how much a squared error counts there.

    `pixels` are uint8 (H, W, 3) or grey (H, W). The geometric mean is 1, so that the bits stay about the same.
    """
    means, squares = (_around(values) for values in _cells(pixels))
    counts = (np.maximum(squares - means**2, 0) + FLOOR) ** POWER
    return (counts / np.exp(np.log(counts).mean())).astype(np.float32)


def by_band(counts):
    """One float32 (1, rows * side, columns * side) a band: means of `counts`, as of `masking`, over its blocks."""
    return tuple(_pooled(counts, band.block // CELL)[None] for band in BANDS)


def _cells(pixels):
    """float64 (rows * 8, columns * 8), twice: means over cells of the lightness, and of its square."""
    rows, columns = (-(-side // PIECE) for side in pixels.shape[:2])
    means, squares = [], []
    for row in range(rows):  # in turn, for memory
        light = padded_pixels(pixels, (slice(row, row + 1), slice(0, columns))) @ LIGHTNESS
        means.append(_pooled(light, CELL))
        squares.append(_pooled(light**2, CELL))
    return np.concatenate(means, dtype=np.float64), np.concatenate(squares, dtype=np.float64)


def _pooled(values, side):
    """Means of (H, W) over squares of `side`."""
    height, width = values.shape
    return values.reshape(height // side, side, width // side, side).mean((1, 3))


def _around(cells):
    """Means of the AROUND x AROUND cells around each, those beyond the edges being the edge's."""
    for axis in (0, 1):
        padded = np.pad(cells, [(AROUND // 2, AROUND // 2) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        parts = (padded.take(range(i, i + cells.shape[axis]), axis) for i in range(AROUND))
        cells = sum(parts) / AROUND
    return cells
