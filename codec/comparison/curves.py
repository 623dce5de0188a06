"""Rate-distortion curves: envelopes, values at a size, Bjontegaard delta rate.

Points are pairs (bytes, score). Scores grow with quality here: negate those of a metric where less is better.
"""

import numpy as np


def envelope(points):
    """float (n, 2): the points that no other point beats with as few bytes, by bytes; both columns grow strictly."""
    best = []
    for size, score in sorted(points, key=lambda point: (point[0], -point[1])):
        if np.isfinite(score) and (not best or score > best[-1][1]):
            best.append((size, score))
    return np.array(best, dtype=np.float64).reshape(-1, 2)


def score_at(points, size):
    """The score of the envelope of `points` at `size` bytes, between points linear in log bytes.

    nan where every point has more bytes; at more bytes than all points, the best score.
    """
    curve = envelope(points)
    if not len(curve) or size < curve[0, 0]:
        return float("nan")
    return float(np.interp(np.log(size), np.log(curve[:, 0]), curve[:, 1]))


def bd_rate(anchor, test):
    """How many percent more bytes `test` needs than `anchor` for the same score: less than 0 where it is better.

    The mean difference of log bytes over the scores that both envelopes reach (Bjontegaard, VCEG-M33),
    interpolated by monotone cubics (PCHIP). nan where they have no range of scores in common.
    """
    a, b = envelope(anchor), envelope(test)
    if len(a) < 2 or len(b) < 2:
        return float("nan")
    low, high = max(a[0, 1], b[0, 1]), min(a[-1, 1], b[-1, 1])
    if high <= low:
        return float("nan")
    difference = _integral(b, low, high) - _integral(a, low, high)
    return float(100 * np.expm1(difference / (high - low)))


def _integral(curve, low, high):
    """The integral of log bytes over scores from `low` to `high`, both within the curve."""
    x, y = curve[:, 1], np.log(curve[:, 0])
    inner = x[(x > low) & (x < high)]
    knots = np.concatenate([[low], inner, [high]])
    middle, half = (knots[1:] + knots[:-1]) / 2, (knots[1:] - knots[:-1]) / 2
    offset = half / np.sqrt(3)  # Gauss-Legendre of two points is exact for cubics
    return float(np.sum(half * (_pchip(x, y, middle - offset) + _pchip(x, y, middle + offset))))


def _pchip(x, y, at):
    """Piecewise cubic Hermite interpolation that stays monotone (Fritsch and Butland, 1984)."""
    h, slope = np.diff(x), np.diff(y) / np.diff(x)
    tangent = _tangents(h, slope)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(h) - 1)
    t = (at - x[i]) / h[i]
    left = y[i] * (1 + 2 * t) + tangent[i] * h[i] * t
    right = y[i + 1] * (3 - 2 * t) - tangent[i + 1] * h[i] * (1 - t)
    return left * (1 - t) ** 2 + right * t**2


def _tangents(h, slope):
    """At inner points the weighted harmonic mean of both slopes, at the ends that of the parabola, kept in bounds."""
    if len(h) == 1:
        return np.array([slope[0], slope[0]])
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    inner = (w1 + w2) / (w1 / slope[:-1] + w2 / slope[1:])
    return np.concatenate([[_end(h[0], h[1], *slope[:2])], inner, [_end(h[-1], h[-2], *slope[:-3:-1])]])


def _end(h0, h1, slope0, slope1):
    return np.clip(((2 * h0 + h1) * slope0 - h0 * slope1) / (h0 + h1), 0, 3 * slope0)
