"""Large pictures through a Transform in overlapping windows, so that memory stays bounded.

Small pictures are one window. Else windows part the picture; the networks see MARGIN pieces of what lies beyond a
window's borders, and the picture is that of one piece within a grey level (docs/decisions/speed.md).
"""

from dataclasses import dataclass

import numpy as np

from odpiece.codec.bands.quantization import dequantize, whole_pieces
from odpiece.codec.bands.tokens import Tokens
from odpiece.models.interface import BANDS, PIECE, TOKENS, bands_of, is_fine

SIDE, MARGIN = 48, 4  # pieces
WHOLE = (SIDE + 2 * MARGIN) ** 2  # pieces that go in one run


@dataclass(frozen=True)
class Window:
    """Slices of rows and columns of pieces: of the window itself, `inner`, and with what is seen around, `outer`."""

    inner: tuple[slice, slice]
    outer: tuple[slice, slice]

    @property
    def inside(self):
        """`inner`, counted from the corner of `outer`."""
        return tuple(slice(i.start - o.start, i.stop - o.start) for i, o in zip(self.inner, self.outer))

    @property
    def place(self):
        """(row, column) of the first piece of `outer`."""
        return tuple(o.start for o in self.outer)


def windows(rows, columns, side, margin):
    """The Windows of a picture of rows x columns pieces in raster order, of sides of at most `side`, near to equal."""
    spans = [_spans(count, side, margin) for count in (rows, columns)]
    return [Window((top, left), (above, before)) for top, above in spans[0] for left, before in spans[1]]


def _spans(count, side, margin):
    """Pairs of slices that part `count` pieces: (inner, outer)."""
    parts = -(-count // side)
    borders = [i * count // parts for i in range(parts + 1)]
    return [(slice(a, b), slice(max(0, a - margin), min(count, b + margin))) for a, b in zip(borders, borders[1:])]


def crop(grid, band, pieces):
    """The part of a band's grid (latents, h, w) in a rectangle of pieces, a pair of slices."""
    return grid[:, *(slice(s.start * band.side, s.stop * band.side) for s in pieces)]


def crop_tokens(tokens, pieces):
    """Tokens of a rectangle of pieces."""
    return Tokens(tokens.lengths[pieces], tuple(crop(z, band, pieces) for z, band in zip(tokens.bands, BANDS)))


def area(pieces):
    """The pixels of a rectangle of pieces: a pair of slices, which may reach beyond the picture's edges."""
    return tuple(slice(s.start * PIECE, s.stop * PIECE) for s in pieces)


def padded_pixels(pixels, pieces):
    """uint8 (H, W, 3), contiguous, of a rectangle of pieces of `pixels`, (H, W, 3) or grey (H, W).

    Beyond the picture's edges are its edge pixels.
    """
    part = pixels[area(pieces)]
    return whole_pieces(part if part.ndim == 3 else part[..., None].repeat(3, axis=2))


def analyze(transform, pixels, q=TOKENS):
    """Latents of `pixels`, (H, W, 3) or grey (H, W), for quality `q` as Transform.analyze gives them.

    In place of bands that `q` does not reach are zeros that take no memory and cannot be written to.
    """
    rows, columns = (-(-n // PIECE) for n in pixels.shape[:2])
    runs = _runs(rows, columns)
    if len(runs) == 1:
        parts = [np.asarray(z, np.float32) for z in transform.analyze(padded_pixels(pixels, runs[0].outer), is_fine(q))]
        return tuple(z if b.first_token < q else np.broadcast_to(np.float32(0), z.shape) for b, z in zip(BANDS, parts))
    found = []
    for band in bands_of(q):
        shape = band.latents, rows * band.side, columns * band.side
        found.append(np.empty(shape, np.float32) if band.first_token < q else np.broadcast_to(np.float32(0), shape))
    for window in runs:
        parts = transform.analyze(padded_pixels(pixels, window.outer), is_fine(q))
        for band, whole, part in zip(BANDS, found, parts):
            if band.first_token < q:
                crop(whole, band, window.inner)[:] = crop(part, band, window.inside)
    return tuple(found)


def synthesize(transform, tokens, q, look, size, grey=False):
    """uint8 (H, W, 3), or grey (H, W), of `size` (H, W): the picture of Tokens at quality `q` by one of LOOKS."""
    picture = np.empty(size if grey else (*size, 3), np.uint8)
    for window in _runs(*tokens.lengths.shape):
        latents = dequantize(crop_tokens(tokens, window.outer), q)
        pixels = transform.synthesize(latents, q, look, window.place)
        target = picture[area(window.inner)]
        pixels = pixels[area(window.inside)][: target.shape[0], : target.shape[1]]
        target[:] = (pixels.sum(axis=2, dtype=np.uint16) + 1) // 3 if grey else pixels
    return picture


def _runs(rows, columns):
    if rows * columns <= WHOLE:
        return windows(rows, columns, max(rows, columns), 0)
    return windows(rows, columns, SIDE, MARGIN)
