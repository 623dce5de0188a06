"""Drawn pictures to train on beside photographs: flat and saturated colours, gradients, drawings, text, screens.

Photographs have few of them, and a network that has seen none puts wrong colours and meshes into them.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LETTERS = "etaoinshrdlucmfwypvbgkjqxz      ETAOINS 0123456789.,:-"
SUPERSAMPLED = 2  # drawings are made so many times larger and scaled down


def drawn_picture(rng, size, photograph=None):
    """uint8 (size, size, 3): a picture of a kind drawn by the numpy generator `rng`.

    `photograph`, uint8 of the same shape, is what the kinds with an object or a window show in it.
    """
    kinds = [flat, rectangles, gradient, drawing, text, screen, noise, chessboard]
    if photograph is not None:
        kinds.append(lambda rng, size: framed(rng, size, photograph))
    return kinds[rng.integers(len(kinds))](rng, size)


def colour(rng):
    """A tuple of three ints 0..255: saturated, any, or grey."""
    kind = rng.random()
    if kind < 0.4:
        return tuple(
            int(c) for c in np.where(rng.random(3) < 0.6, 255 * rng.integers(2, size=3), rng.integers(256, size=3))
        )
    if kind < 0.75:
        return tuple(int(c) for c in rng.integers(256, size=3))
    return (int(rng.choice([0, 255, rng.integers(256)])),) * 3


def flat(rng, size):
    """One colour."""
    return np.full((size, size, 3), colour(rng), np.uint8)


def rectangles(rng, size):
    """Rectangles of plain colours on one colour."""
    picture = flat(rng, size)
    for _ in range(rng.integers(1, 9)):
        top, left = rng.integers(-size // 4, size, 2)
        height, width = np.exp(rng.uniform(np.log(4), np.log(size), 2)).astype(int)
        picture[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = colour(rng)
    return picture


def gradient(rng, size):
    """From colour to colour along a line or from a centre."""
    y, x = np.mgrid[:size, :size] / size
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        place = x * np.cos(angle) + y * np.sin(angle)
    else:
        place = np.hypot(x - rng.random(), y - rng.random())
    place = (place - place.min()) / np.ptp(place)
    knots = rng.integers(2, 5)
    stops = np.array([colour(rng) for _ in range(knots)], dtype=np.float64)
    channels = [np.interp(place, np.linspace(0, 1, knots), stops[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def drawing(rng, size):
    """Lines, ellipses and polygons with smooth outlines on one colour."""
    side = SUPERSAMPLED * size
    im = Image.new("RGB", (side, side), colour(rng))
    pen = ImageDraw.Draw(im)
    for _ in range(rng.integers(3, 25)):
        points = [tuple(p) for p in rng.integers(0, side, (rng.integers(3, 6), 2)).tolist()]
        width = int(np.exp(rng.uniform(np.log(2), np.log(24))))
        (left, top), (right, bottom) = np.sort(points[:2], axis=0).tolist()
        kind = rng.integers(4)
        if kind == 0:
            pen.line(points, fill=colour(rng), width=width)
        elif kind == 1:
            pen.polygon(points, fill=colour(rng))
        else:
            pen.ellipse(
                (left, top, right, bottom), fill=colour(rng) if kind == 2 else None, outline=colour(rng), width=width
            )
    return np.asarray(im.resize((size, size), Image.Resampling.BOX))


def text(rng, size):
    """Lines of letters on one colour."""
    im = Image.new("RGB", (size, size), colour(rng))
    _write(rng, im, (8, 8), size, colour(rng))
    return np.asarray(im)


def screen(rng, size):
    """Windows with a bar, text and a plain or graded area each."""
    background = gradient(rng, size) if rng.random() < 0.3 else flat(rng, size)
    im = Image.fromarray(background)
    pen = ImageDraw.Draw(im)
    for _ in range(rng.integers(1, 5)):
        left, top = rng.integers(0, size * 3 // 4, 2).tolist()
        width, height = rng.integers(size // 4, size, 2).tolist()
        paper = (int(rng.integers(225, 256)),) * 3 if rng.random() < 0.7 else colour(rng)
        pen.rectangle((left, top, left + width, top + height), fill=paper, outline=colour(rng))
        pen.rectangle((left, top, left + width, top + 20), fill=colour(rng))
        _write(rng, im, (left + 6, top + 28), min(size, top + height), (20, 20, 20))
    return np.asarray(im)


def _write(rng, im, corner, bottom, ink):
    """Lines of random letters from `corner` down to the row `bottom`."""
    height = int(np.exp(rng.uniform(np.log(9), np.log(40))))
    font, pen, (left, top) = ImageFont.load_default(height), ImageDraw.Draw(im), corner
    for y in range(top, bottom - height, round(height * 1.4)):
        line = "".join(rng.choice(list(LETTERS), rng.integers(1, 2 + 2 * im.width // height)))
        pen.text((left, y), line, fill=ink, font=font)


def noise(rng, size):
    """Grain of one size and strength on a gradient."""
    grain = int(rng.choice([1, 2, 4, 8]))
    side = -(-size // grain)
    channels = 1 if rng.random() < 0.5 else 3
    field = rng.normal(0, rng.uniform(3, 60), (side, side, channels)).repeat(grain, 0).repeat(grain, 1)
    return np.clip(gradient(rng, size) + field[:size, :size], 0, 255).astype(np.uint8)


def chessboard(rng, size):
    """Squares, or stripes, of two colours."""
    period = int(np.exp(rng.uniform(np.log(2), np.log(96))))
    rows, columns = np.arange(size)[:, None] // period, np.arange(size) // period
    odd = (rows + columns * (rng.random() < 0.7)) % 2
    return np.where(odd[..., None] == 1, np.uint8(colour(rng)), np.uint8(colour(rng)))


def framed(rng, size, photograph):
    """A part of the photograph in an ellipse or a rectangle on one colour."""
    im, mask = Image.fromarray(flat(rng, size)), Image.new("L", (size, size))
    (left, top), (right, bottom) = np.sort(rng.integers(0, size + 1, (2, 2)), axis=0).tolist()
    draw = ImageDraw.Draw(mask)
    (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((left, top, right, bottom), fill=255)
    im.paste(Image.fromarray(photograph), mask=mask)
    return np.asarray(im)
