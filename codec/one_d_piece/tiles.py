"""Pictures to tiles of 256x256 pixels and back: resized to one, or cut with an overlap that is blended away."""

import numpy as np

from odpiece.formats.images import resized
from odpiece.formats.tiles import TILE

CUT_BATCH = 8  # tiles that the encoder is given at once: bounds its memory
JOIN_BATCH = 2  # tiles that are asked for at once: the decoder takes 0.3 GB for each
NO_TOKENS = 128  # grey level of a tile of which nothing is known


def cut(pixels, layout):
    """uint8 (tiles, 256, 256, 3) in raster order of a picture, uint8 (H, W, 3), by a Layout: an iterator of batches.

    Sides below 256 are extended by their last line or column.
    """
    if layout.overlap is None:
        yield resized(pixels, TILE, TILE)[None]
        return
    height, width = pixels.shape[:2]
    missing = [(0, max(0, TILE - side)) for side in (height, width)]
    padded = np.pad(pixels, [*missing, (0, 0)], mode="edge")
    corners = [(y, x) for y in layout.starts(height) for x in layout.starts(width)]
    for first in range(0, len(corners), CUT_BATCH):
        yield np.stack([padded[y : y + TILE, x : x + TILE] for y, x in corners[first : first + CUT_BATCH]])


def join(tiles_of, layout, height, width):
    """The picture, uint8 (height, width, 3), of its tiles.

    `tiles_of` gives uint8 (n, 256, 256, 3) of n numbers, int (n,), of tiles in raster order; each is asked for once.
    """
    if layout.overlap is None:
        return resized(tiles_of(np.zeros(1, dtype=int))[0], height, width)
    numbers = np.arange(layout.count(height) * layout.count(width)).reshape(layout.count(height), -1)
    if width <= height:
        return _join(tiles_of, numbers, layout, height, width)
    # column by column, so that the lines in work are along the shorter side
    turned = _join(lambda some: tiles_of(some).transpose(0, 2, 1, 3), numbers.T, layout, width, height)
    return turned.transpose(1, 0, 2)


def _join(tiles_of, numbers, layout, height, width):
    down, across = (_weights(layout.starts(side)) for side in (height, width))
    tops, lefts = layout.starts(height), layout.starts(width)
    picture = np.empty((height, width, 3), dtype=np.uint8)
    band = np.zeros((TILE, max(width, TILE), 3), dtype=np.float32)  # lines that further rows of tiles may add to
    for i, row in enumerate(numbers):
        for first in range(0, len(row), JOIN_BATCH):
            batch = slice(first, first + JOIN_BATCH)
            for left, tile, weights in zip(lefts[batch], tiles_of(row[batch]), across[batch]):
                band[:, left : left + TILE] += tile * weights[:, None] * down[i][:, None, None]
        end = min(height, tops[i] + TILE) if i + 1 == len(tops) else tops[i + 1]
        done = end - tops[i]
        picture[tops[i] : end] = np.rint(band[:done, :width])
        band = np.concatenate([band[done:], np.zeros_like(band[:done])])
    return picture


def _weights(starts):
    """float32 (tiles, 256): the share of each tile in each of its pixels along one side, ramps over what overlaps."""
    shares = np.ones((len(starts), TILE))
    ramp = np.arange(TILE) + 0.5
    for i in range(1, len(starts)):
        shared = starts[i - 1] + TILE - starts[i]
        rising = np.minimum(1, ramp / max(shared, 1))
        shares[i] = np.minimum(shares[i], rising)
        shares[i - 1] = np.minimum(shares[i - 1], rising[::-1])
    total = np.zeros(starts[-1] + TILE)
    for start, share in zip(starts, shares):
        total[start : start + TILE] += share
    return np.stack([share / total[s : s + TILE] for s, share in zip(starts, shares)]).astype(np.float32)
