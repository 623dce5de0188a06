"""What a decoded picture has and should not have, a mesh, and what it should have, the texture of its original.

Both take lightness, float (H, W) of 0 to 255, of a picture and its original.
"""

import numpy as np

STRIP = 128, 16  # pixels along and across: of a piece of a line whose spectrum is taken
PERIODS = 16, 8  # pixels: those of a mesh, whose harmonics are multiples of their frequencies
NEIGHBOURS = (-4, -3, 3, 4)  # frequencies beside a line of the spectrum that its window does not reach
REGION = 32  # pixels along the side of a region with a contrast of its own
FLAT = 2.0  # levels: the deviation of high frequencies below which a region of the original is flat
FINEST = 1 / 12  # power that rounding alone gives: weaker lines are not seen


def lightness(pixels):
    """float64 (H, W), luma by ITU-R BT.601, of uint8 (H, W, 3)."""
    return pixels.astype(np.float64) @ (0.299, 0.587, 0.114)


def mesh_spectrum(picture, original):
    """(float64 (65,), int): summed power spectrum of lines over flat strips of the original, and the strips' number."""
    power, count = np.zeros(STRIP[0] // 2 + 1), 0
    for x, y in ((picture, original), (picture.T, original.T)):
        strips = _strips(x)[_deviations(_strips(_high_pass(y))) < FLAT]
        power += _line_power(strips).sum(0)
        count += len(strips)
    return power, count


def mesh_lines(power, count):
    """{period: float}: the strongest of each period's lines, over the mean of what lies beside it; nan without strips.

    `power` and `count` are sums of what `mesh_spectrum` gives for pictures.
    """
    if not count:
        return dict.fromkeys(PERIODS, np.nan)
    power = power / count + FINEST
    return {period: max(_over_neighbours(power, line) for line in _lines(period)) for period in PERIODS}


def _lines(period):
    first = STRIP[0] // period
    return range(first, STRIP[0] // 2 - max(NEIGHBOURS), first)


def _over_neighbours(power, line):
    return power[line] / np.mean([power[line + n] for n in NEIGHBOURS])


def _line_power(strips):
    """float64 (strips, 65): the power spectrum of the lines of (strips, across, along), their mean."""
    window = np.hanning(STRIP[0])
    lines = (strips - strips.mean(axis=2, keepdims=True)) * window
    return (np.abs(np.fft.rfft(lines)) ** 2).mean(axis=1) / np.square(window).sum()


def _strips(x):
    """(strips, across, along) of the whole strips of `x`."""
    along, across = STRIP
    rows, columns = x.shape[0] // across, x.shape[1] // along
    x = x[: rows * across, : columns * along].reshape(rows, across, columns, along)
    return x.transpose(0, 2, 1, 3).reshape(-1, across, along)


def contrasts(picture, original):
    """float64 (2, regions): the deviation of high frequencies in each region of the picture, and of its original."""
    return np.stack([_deviations(_regions(_high_pass(x))) for x in (picture, original)])


def _regions(x):
    rows, columns = (side // REGION for side in x.shape)
    x = x[: rows * REGION, : columns * REGION].reshape(rows, REGION, columns, REGION)
    return x.transpose(0, 2, 1, 3).reshape(-1, REGION, REGION)


def _deviations(x):
    return np.sqrt(np.square(x).mean((1, 2)))


def _high_pass(x):
    """`x` less what a binomial filter of nine values along each axis leaves of it: periods below about 10 pixels."""
    low = x
    for axis in (0, 1):
        for _ in range(4):
            padded = np.pad(low, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            before, after = (np.take(padded, range(n, n + x.shape[axis]), axis) for n in (0, 2))
            low = (before + 2 * low + after) / 4
    return x - low
