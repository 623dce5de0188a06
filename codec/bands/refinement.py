"""The encoder's search: latents corrected in a closed loop through the synthesis.

The analysis only estimates which latents reproduce a picture best. Each round codes the picture, takes the
gradient of the decoded picture's squared error in the latents, moves the latents against it, and rounds them
again by what they cost: proximal gradient descent on D + lambda * R, as in iterative shrinkage (Daubechies,
Defrise and De Mol 2004). What latents cost those coded after them, rounding does not see: that is part of the gradient,
too. Pieces whose error a move has made larger go back to where it should be least, by the
parabola through the errors before and after and the slope before, and go on in smaller moves. The file with the
least D + lambda * R of all rounds is kept. At last blocks whose mean colour is off are given what they lack.
"""

import numpy as np

from odpiece.codec.bands.masking import CELL
from odpiece.codec.bands.quantization import LAMBDA, dequantize
from odpiece.codec.bands.shown import GREY, as_picture, missing_means, piece_errors, worth_mending
from odpiece.codec.bands.windows import area, crop, crop_tokens, padded_pixels, windows
from odpiece.models.interface import BANDS, LOOKS, PIECE, USUAL_BANDS, is_fine, step_size

ROUNDS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24)  # by effort, 0..9
TILE, MARGIN = 24, 2  # pieces: larger pictures go through the synthesis in overlapping squares, to bound memory
PACE, PACE_GROWTH, MOST_PACE = 0.09, 0.29, 0.5  # see `pace`
OVERSHOT = 1.1  # times its least error so far: a piece above has gone too far. Cheaper tokens cost less error than that
MOST_KEPT, LEAST_KEPT = 0.5, 0.02  # of a move that went too far


def refine(search, q, slope, code, rounds):
    """The cheapest of the files that `code` makes of the latents of `search`, a Search or alike, in so many rounds.

    `code(latents)` gives (the bytes of a file, its Tokens). Where the last round went too far there is one more, and
    where means of the last picture are off, the file in which they are mended is taken, whatever it costs, but for
    pictures that the search led astray as a whole, as it can those of exact patterns.
    """
    data, tokens = code(search.latents)
    best, least, nearest = data, np.inf, np.inf
    for number in range(rounds + 2 if rounds else 0):
        distance = search.measure(tokens, move=number < rounds)
        nearest = min(nearest, distance)
        cost = distance / step_size(q) ** 2 + slope * LAMBDA * 8 * len(data)
        if cost < least:
            best, least = data, cost
        if number >= rounds:
            back = number == rounds and search.step_back()
            if distance <= OVERSHOT * nearest and search.even_out():
                return code(search.latents)[0]
            if not back:
                break
        del tokens  # before others take as much memory
        data, tokens = code(search.latents)
    return best


class Search:
    """Latents of a picture, moved in place towards those of the least squared error, by Transform.error.

    `pixels` are uint8 (H, W, 3) or grey (H, W); those whose `alpha` (H, W) is 0 do not count, others as often as
    `counts` says, as of masking.py (default: once). Large pictures are seen in tiles; near their borders the synthesis
    sees MARGIN pieces of what lies beyond. Pixels at `scale`, one of SCALES, are those of a smaller picture.
    `toll(tokens)` gives what latents cost those coded later, see quantization.toll.
    """

    def __init__(self, transform, latents, q, pixels, alpha=None, scale=1, toll=None, counts=None):
        self.latents, self._before = latents, None
        self._transform, self._q, self._pixels, self._alpha, self._toll = transform, q, pixels, alpha, toll
        self._counts = counts
        self._used = [band for band in BANDS if band.first_token < q]
        pieces = latents[0].shape[1:]
        self._errors, self._descent = np.full(pieces, np.inf), np.zeros(pieces)  # of each piece before its last move
        self._pace = np.full(pieces, pace(q))
        self._kept = np.ones(pieces)  # what is kept of the last move, below 1 where it went too far
        (self._means,) = (band for band in BANDS[:USUAL_BANDS] if band.block * scale == PIECE)  # whose blocks have them
        self._missing = np.zeros((3, *(n * self._means.side for n in pieces)), np.float32)

    def measure(self, tokens, move=False):
        """The sum of squared errors of the picture of Tokens, in whole grey levels.

        With `move` the latents follow its gradient, without the means of the picture are noted, in less time.
        """
        if move and self._before is None:
            self._before = tuple(z.copy() for z, _ in zip(self.latents, self._used))
        total = 0.0
        for window, part, *seen in self._windows(tokens):
            decoded = dequantize(part, self._q)
            if move:
                errors, gradients = self._transform.error(decoded, self._q, *seen)
            else:
                errors = self._look(window, decoded, *seen)
            found = errors[window.inside]
            total += float(found.sum(dtype=np.float64))
            self._judge(window.inner, found)
            if move:
                self._move(window, self._cheapened(part, decoded), gradients)
        return total

    def step_back(self):
        """Take pieces that the last move led astray back, part of the way. Returns whether there are any."""
        if (self._kept == 1).all():
            return False
        for band, z, before in zip(self._used, self.latents, self._before):
            z[:] = before + _grid(self._kept, band) * (z - before)
        return True

    def even_out(self):
        """Give blocks whose mean colour was off when it was noted what it lacks. Returns whether there are any.

        What is piecewise flat goes through the transform as through a linear one: its latents can be added.
        """
        missing = worth_mending(self._missing, self._q)
        if missing.any():
            self._add(missing)
        return missing.any()

    def _windows(self, tokens):
        """Each Window of the picture, the Tokens in it, its pixels, and their importance."""
        for window in windows(*tokens.lengths.shape, TILE, MARGIN):
            importance = _importance(self._pixels, self._alpha, self._counts, window.outer)
            yield window, crop_tokens(tokens, window.outer), padded_pixels(self._pixels, window.outer), importance

    def _cheapened(self, tokens, decoded):
        """The latents `decoded` of Tokens, moved to where those coded later cost less."""
        if self._toll is None:
            return decoded
        return tuple(z - t / 2 for z, t in zip(decoded, self._toll(tokens)))

    def _look(self, window, decoded, wanted, importance):
        """The errors, as of Transform.error, of the pieces of a Window, whose means are noted."""
        shown = self._transform.synthesize(decoded, self._q, LOOKS[0])
        missing = missing_means(shown, wanted, np.float32(importance > 0), self._means.block)
        crop(self._missing, self._means, window.inner)[:] = crop(missing, self._means, window.inside)
        return piece_errors(shown, wanted, importance)

    def _add(self, levels):
        """Add to the latents those of blocks of so many `levels`, float32 (3, rows, columns)."""
        nothing = self._transform.analyze(np.full((PIECE, PIECE, 3), GREY, np.uint8), is_fine(self._q))
        for window in windows(*self._kept.shape, TILE, MARGIN):
            here = crop(levels, self._means, window.outer)
            if not here.any():
                continue
            parts = self._transform.analyze(as_picture(here, self._means.block), is_fine(self._q))
            for band, z, part, rest in zip(self._used, self.latents, parts, nothing):
                crop(z, band, window.inner)[:] += crop(part, band, window.inside) - rest[:, :1, :1]

    def _judge(self, pieces, found):
        """Settle from the errors `found` of some pieces what they keep of their last move, and the pace of the next."""
        errors, descent, pace = (values[pieces] for values in (self._errors, self._descent, self._pace))
        astray = found > OVERSHOT * errors
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            least = descent / (2 * (found - errors + descent))  # of the parabola
        kept = np.where(astray, np.clip(np.nan_to_num(least), LEAST_KEPT, MOST_KEPT), 1.0)
        self._kept[pieces] = kept
        pace *= kept
        errors[:] = np.where(astray, errors, found)
        descent *= np.where(astray, kept, 0.0)

    def _move(self, window, decoded, gradients):
        inner = window.inner
        kept, pace, descent = (values[inner] for values in (self._kept, self._pace, self._descent))
        for band, z, old, d, g in zip(self._used, self.latents, self._before, decoded, gradients):
            here, before = crop(z, band, inner), crop(old, band, inner)
            back = before + _grid(kept, band) * (here - before)
            slope = crop(g, band, window.inside)
            step = _grid(pace, band) * (crop(d, band, window.inside) - slope / 2 - here)
            stay = _grid(kept, band) < 1
            before[:] = np.where(stay, before, here)
            here[:] = np.where(stay, back, here + step)
            descent -= np.where(kept < 1, 0.0, _by_piece(slope * step, band))


def pace(q):
    """How far latents go in a round: part of the way to what the gradient asks for, were the synthesis orthonormal.

    Less at low qualities, whose latents are in the coarse bands, which many layers turn into pixels.
    """
    return min(MOST_PACE, PACE * q**PACE_GROWTH)


def _by_piece(values, band):
    """Sums over pieces (rows, columns) of values on the band's grid, (latents, h, w)."""
    _, h, w = values.shape
    return values.reshape(-1, h // band.side, band.side, w // band.side, band.side).sum((0, 2, 4), dtype=np.float64)


def _grid(pieces, band):
    """Values of pieces (rows, columns) on the band's grid of blocks."""
    return pieces.repeat(band.side, 0).repeat(band.side, 1)


def _importance(pixels, alpha, counts, pieces):
    """float32 (H, W) of a rectangle of pieces: 0 where nothing is seen, beyond the edges or behind alpha 0, else how
    often errors count.
    """
    height, width = pixels[area(pieces)].shape[:2]
    importance = np.zeros([(s.stop - s.start) * PIECE for s in pieces], dtype=np.float32)
    importance[:height, :width] = 1 if alpha is None else alpha[area(pieces)] > 0
    if counts is not None:
        part = counts[tuple(slice(s.start * PIECE // CELL, s.stop * PIECE // CELL) for s in pieces)]
        importance *= part.repeat(CELL, 0).repeat(CELL, 1)
    return importance
