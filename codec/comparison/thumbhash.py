"""ThumbHash (Evan Wallace, evanw.github.io/thumbhash) of opaque pictures: the lowest cosines of luminance and two
colour differences, 4 bits each. Its packages either decode wrongly or refuse today's Pillow, so it is written anew.

    3 bytes   mean of L (6 bits), P (6), Q (6), scale of L's cosines (5), 1 bit for transparency
    2 bytes   cosines of L along the shorter side (3 bits), scales of P (6) and Q (6), 1 bit for landscape
    the rest  cosines of L, P and Q, two a byte, low half first
"""

import numpy as np

SIDE = 100  # pixels: the most that may be encoded
LONG = 7  # cosines of L along the longer side
COLOUR = (3, 3)  # cosines of P and Q
SATURATION = 1.25  # by which decoders make up for the coarse cosines of colour
FROM_RGB = np.array([[1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, -1.0], [1.0, -1.0, 0.0]])


def pack(pixels):
    """The bytes of uint8 (H, W, 3) pixels, H and W at most SIDE."""
    height, width, _ = pixels.shape
    counts = [max(1, round(LONG * side / max(height, width))) for side in (width, height)]
    planes = np.moveaxis(pixels / 255 @ FROM_RGB.T, -1, 0)
    channels = [_analyze(plane, *_at_least_3(counts)) for plane in planes[:1]] + [
        _analyze(p, *COLOUR) for p in planes[1:]
    ]
    (l_mean, l_scale, _), (p_mean, p_scale, _), (q_mean, q_scale, _) = channels
    first = round(63 * l_mean) | round(31.5 + 31.5 * p_mean) << 6 | round(31.5 + 31.5 * q_mean) << 12
    landscape = width > height
    second = counts[landscape] | round(63 * p_scale) << 3 | round(63 * q_scale) << 9 | landscape << 15
    halves = np.concatenate([cosines for _, _, cosines in channels])
    halves = np.pad(halves, (0, len(halves) % 2))
    head = (first | round(31 * l_scale) << 18).to_bytes(3, "little") + second.to_bytes(2, "little")
    return head + (halves[::2] | halves[1::2] << 4).astype(np.uint8).tobytes()


def unpack(data, shape):
    """uint8 `shape` (H, W, 3) pixels: the cosines are continuous, so they are drawn at any size."""
    first, second = int.from_bytes(data[:3], "little"), int.from_bytes(data[3:5], "little")
    short = second & 7
    counts = _at_least_3((LONG, short) if second >> 15 else (short, LONG))
    body = np.frombuffer(data, np.uint8, offset=5)
    halves = np.stack([body & 15, body >> 4], axis=1).ravel() / 7.5 - 1
    means = (first & 63) / 63, (first >> 6 & 63) / 31.5 - 1, (first >> 12 & 63) / 31.5 - 1
    colour_scales = (SATURATION * (second >> shift & 63) / 63 for shift in (3, 9))
    planes = []
    for mean, scale, size in zip(means, ((first >> 18 & 31) / 31, *colour_scales), (counts, COLOUR, COLOUR)):
        used = len(_frequencies(*size))
        planes.append(_synthesize(mean, scale * halves[:used], size, shape))
        halves = halves[used:]
    rgb = np.stack(planes, axis=-1) @ np.linalg.inv(FROM_RGB).T
    return np.rint(255 * rgb.clip(0, 1)).astype(np.uint8)


def _at_least_3(counts):
    return tuple(max(3, count) for count in counts)


def _frequencies(nx, ny):
    """The pairs (y, x) in the triangle of nx by ny cosines, without the mean."""
    return [(y, x) for y in range(ny) for x in range(nx) if x * ny < nx * (ny - y)][1:]


def _cosines(count, size):
    """float (count, size)."""
    return np.cos(np.pi / size * np.arange(count)[:, None] * (np.arange(size) + 0.5))


def _analyze(plane, nx, ny):
    """(mean, largest magnitude of a cosine, all cosines in 4 bits) of a float (H, W) plane."""
    all_cosines = _cosines(ny, plane.shape[0]) @ plane @ _cosines(nx, plane.shape[1]).T / plane.size
    chosen = np.array([all_cosines[at] for at in _frequencies(nx, ny)])
    scale = np.abs(chosen).max()
    return all_cosines[0, 0], scale, np.rint(7.5 + 7.5 * chosen / (scale or 1)).astype(int)


def _synthesize(mean, cosines, counts, shape):
    """float (H, W)."""
    nx, ny = counts
    grid = np.zeros((ny, nx))
    grid[tuple(np.array(_frequencies(nx, ny)).T)] = 2 * cosines
    return mean + _cosines(ny, shape[0]).T @ grid @ _cosines(nx, shape[1])
