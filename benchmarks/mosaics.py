"""Pictures of any size, made of photographs side by side, for the other benchmarks."""

from pathlib import Path

import numpy as np

from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image


def read_folder(folder):
    """uint8 (H, W, 3) pixels of the pictures in `folder`."""
    return [read_image(read_bytes(path), path.name).pixels for path in sorted(Path(folder).iterdir()) if path.is_file()]


def mosaic(pictures, width, height):
    """uint8 (height, width, 3): squares of the pictures in turn, row after row."""
    side = min(min(p.shape[:2]) for p in pictures)
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    columns = -(-width // side)
    for number in range(-(-height // side) * columns):
        top, left = (side * n for n in divmod(number, columns))
        place = pixels[top : top + side, left : left + side]
        place[:] = pictures[number % len(pictures)][: place.shape[0], : place.shape[1]]
    return pixels
