"""Some 70 pictures that nobody trained for, drawn from seeds, for stress.py: flat, drawn, written, noisy, tiny, large.

Not those of models/training/drawn.py, which training shows the networks.
"""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from stress_drawings import blank, drawings, font, photo, screens, seeded, texts


def stress_pictures():
    """{name: a function without arguments that draws it, uint8 (H, W, 3)}, in a fixed order."""
    pictures = {}
    for draw in (_flats, _objects, _gradients, drawings, screens, texts, _noises, _patterns, _photographs, _tiny):
        pictures |= draw()
    return pictures


def _flat(size, colour):
    return np.asarray(blank(size, colour)[0])


def _flats():
    flats = {
        "black": ((512, 512), (0, 0, 0)),
        "white": ((1024, 768), (255, 255, 255)),
        "grey": ((640, 480), (128, 128, 128)),
        "red": ((512, 512), (255, 0, 0)),
        "green": ((768, 768), (0, 128, 0)),
        "navy": ((1024, 1024), (0, 0, 96)),
        "olive": ((400, 300), (120, 120, 20)),
        "rose": ((320, 320), (250, 220, 225)),
    }
    return {f"flat {name}": lambda args=args: _flat(*args) for name, args in flats.items()}


def _objects():
    return {
        "object red disc on white": lambda: _object((512, 512), (255, 255, 255), (200, 20, 30), "disc", 90),
        "object black square on yellow": lambda: _object((640, 400), (255, 221, 0), (0, 0, 0), "square", 40),
        "object dot on grey": lambda: _object((1024, 1024), (128, 128, 128), (255, 255, 255), "disc", 4),
        "object star on night": lambda: _object((512, 768), (10, 14, 40), (255, 250, 200), "star", 70),
        "object ring on blue": lambda: _object((600, 600), (30, 90, 200), (255, 255, 255), "ring", 150),
        "object photograph on teal": _cut_out,
    }


def _object(size, ground, ink, shape, radius):
    im, pen = blank(size, ground)
    x, y = size[0] * 0.43, size[1] * 0.58
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "disc":
        pen.ellipse(box, fill=ink)
    elif shape == "square":
        pen.rectangle(box, fill=ink)
    elif shape == "ring":
        pen.ellipse(box, outline=ink, width=radius // 6)
    else:
        turns = np.arange(10) * np.pi / 5
        reach = radius * np.where(np.arange(10) % 2, 0.4, 1.0)
        pen.polygon(list(zip(x + reach * np.sin(turns), y - reach * np.cos(turns))), fill=ink)
    return np.asarray(im)


def _cut_out():
    im, mask = blank((768, 512), (0, 128, 128))[0], Image.new("L", (768, 512))
    ImageDraw.Draw(mask).ellipse((220, 90, 560, 430), fill=255)
    im.paste(photo((768, 768)).crop((0, 128, 768, 640)), mask=mask)
    return np.asarray(im)


def _gradients():
    return {
        "gradient grey": lambda: _ramp(512, 512, lambda x, y: np.stack([x, x, x], -1)),
        "gradient sky": lambda: _ramp(
            768, 512, lambda x, y: np.stack([0.4 + 0.5 * y, 0.6 + 0.35 * y, 1 - 0.1 * y], -1)
        ),
        "gradient red to green": lambda: _ramp(640, 640, lambda x, y: np.stack([1 - x, x, 0 * x], -1)),
        "gradient slow": lambda: _ramp(1024, 512, lambda x, y: np.stack([0.40 + 0.04 * x] * 3, -1)),
        "gradient glow": lambda: _ramp(512, 512, _glow),
        "gradient hues": lambda: _ramp(512, 384, _hues),
    }


def _ramp(width, height, colours):
    """`colours` gives (H, W, 3) in 0..1 of the places x and y, both (H, W) in 0..1."""
    y, x = np.mgrid[:height, :width] / np.array([height - 1, width - 1]).reshape(2, 1, 1)
    return np.rint(255 * np.clip(colours(x, y), 0, 1)).astype(np.uint8)


def _glow(x, y):
    near = np.exp(-8 * ((x - 0.3) ** 2 + (y - 0.6) ** 2))
    return np.stack([0.1 + near, 0.05 + 0.6 * near**2, 0.3 + 0.1 * near], -1)


def _hues(x, y):
    wheel = np.array([colorsys.hsv_to_rgb(h, 1, 1) for h in np.linspace(0, 1, 361)])
    return wheel[np.rint(360 * x).astype(int)] * (1 - y[..., None])


def _cone(x, y):
    turn = np.arctan2(y - 0.5, x - 0.5) / (2 * np.pi) + 0.5
    return np.stack([turn, 0.5 + 0 * turn, 1 - turn], -1)


def _noises():
    def clipped(x):
        return np.clip(np.rint(x), 0, 255).astype(np.uint8)

    def clouds():
        rng, total = seeded("clouds"), 0
        for side in (2, 4, 8, 16, 32, 64, 128):
            layer = Image.fromarray(rng.normal(0, 90 / side**0.7, (side, side)).astype(np.float32))
            total = total + np.asarray(layer.resize((512, 512), Image.Resampling.BICUBIC))
        return clipped(np.stack([140 + total, 150 + 0.8 * total, 180 + 0.5 * total], -1))

    def specks():
        rng, picture = seeded("specks"), np.full((512, 512, 3), 120, np.uint8)
        picture[rng.random((512, 512)) < 0.02] = 255
        picture[rng.random((512, 512)) < 0.02] = 0
        return picture

    return {
        "noise of all values": lambda: seeded("all").integers(0, 256, (384, 384, 3), dtype=np.uint8),
        "noise grey": lambda: clipped(seeded("grey").normal(128, 25, (512, 512, 1)).repeat(3, 2)),
        "noise faint": lambda: clipped(seeded("faint").normal(200, 3, (640, 640, 3))),
        "noise clouds": clouds,
        "noise specks": specks,
    }


def _patterns():
    return {
        "chessboard 1 px": lambda: _chessboard(384, 1, (0, 0, 0), (255, 255, 255)),
        "chessboard 8 px": lambda: _chessboard(512, 8, (0, 0, 0), (255, 255, 255)),
        "chessboard 37 px": lambda: _chessboard(640, 37, (180, 30, 30), (240, 220, 180)),
        "chessboard 64 px": lambda: _chessboard(1024, 64, (0, 0, 255), (255, 255, 0)),
        "stripes 3 px": lambda: np.where(
            np.arange(512)[:, None, None] % 6 < 3, np.uint8([20, 20, 20]), np.uint8([235] * 3)
        ).repeat(512, 1),
        "bars of primaries": lambda: (
            np.array([[c >> 2 & 1, c >> 1 & 1, c & 1] for c in range(8)], np.uint8).repeat(96, 0)[None].repeat(512, 0)
            * np.uint8(255)
        ),
        "zone plate": _zone_plate,
        "half black half white": lambda: _half(_flat((512, 512), (0, 0, 0)), _flat((512, 512), (255, 255, 255))),
        "half photograph half green": lambda: _half(np.asarray(photo()), _flat((512, 512), (0, 200, 40))),
        "half noise half blue": lambda: _half(
            seeded("half").integers(0, 256, (512, 512, 3), dtype=np.uint8), _flat((512, 512), (30, 60, 220))
        ),
        "lines every 16 px": lambda: _lines(range(8, 512, 16), ()),
        "lines of a grid": lambda: _lines(range(20, 512, 40), range(20, 512, 40)),
        "lines of a cross": lambda: _lines((301,), (177,)),
        "lines aslant": _slanted,
    }


def _chessboard(side, period, a, b):
    y, x = np.mgrid[:side, :side] // period
    return np.where(((x + y) % 2)[..., None] == 0, np.uint8(a), np.uint8(b))


def _zone_plate():
    y, x = np.mgrid[-256:256, -256:256]
    return np.rint(127.5 + 127.5 * np.cos((x**2 + y**2) * np.pi / 900)).astype(np.uint8)[..., None].repeat(3, 2)


def _half(a, b):
    middle = a.shape[1] // 2
    return np.concatenate([a[:, :middle], b[:, middle:]], axis=1)


def _lines(rows, columns):
    picture = np.full((512, 512, 3), 255, np.uint8)
    picture[list(rows)] = 0
    picture[:, list(columns)] = (200, 0, 0)
    return picture


def _slanted():
    im, pen = blank((640, 640), (20, 40, 60))
    for i in range(-600, 640, 40):
        pen.line((i, 0, i + 600, 640), fill=(250, 250, 240))
    return np.asarray(im)


def _photographs():
    changed = {
        "as it is": photo,
        "saturated": lambda: ImageEnhance.Color(photo()).enhance(3.0),
        "dark": lambda: ImageEnhance.Brightness(photo()).enhance(0.15),
        "overexposed": lambda: ImageEnhance.Brightness(photo()).enhance(2.5),
        "grey": lambda: ImageOps.grayscale(photo()).convert("RGB"),
        "in red light": lambda: ImageOps.colorize(ImageOps.grayscale(photo()), (20, 0, 0), (255, 30, 20)),
        "blurred": lambda: photo().filter(ImageFilter.GaussianBlur(8)),
        "in blocks": lambda: photo((32, 32)).resize((512, 512), Image.Resampling.NEAREST),
        "posterized": lambda: ImageOps.posterize(photo(), 2),
        "with a caption": _captioned,
        "big": lambda: photo((2048, 2048)).crop((0, 256, 2048, 1792)),
    }
    return {f"photograph {name}": lambda make=make: np.asarray(make()) for name, make in changed.items()}


def _captioned():
    im = photo().copy()
    pen = ImageDraw.Draw(im)
    for y, line in ((10, "WHEN THE BUILD PASSES"), (450, "ON THE FIRST TRY")):
        pen.text((20, y), line, fill=(255, 255, 255), font=font(40), stroke_width=3, stroke_fill=(0, 0, 0))
    return im


def _tiny():
    def smiley():
        im, pen = blank((16, 16), (255, 255, 255))
        pen.ellipse((1, 1, 14, 14), fill=(255, 220, 0), outline=(0, 0, 0))
        pen.point([(5, 5), (10, 5)], fill=(0, 0, 0))
        pen.arc((4, 5, 11, 12), 20, 160, fill=(0, 0, 0))
        return np.asarray(im)

    def pink():
        picture = np.full((4, 4, 3), 255, np.uint8)
        picture[1:3, 1:3] = (255, 105, 180)
        return picture

    return {
        "tiny 1x1": lambda: _flat((1, 1), (200, 30, 40)),
        "tiny 3x2": lambda: seeded("3x2").integers(0, 256, (2, 3, 3), dtype=np.uint8),
        "tiny pink square": pink,
        "tiny icon": lambda: _chessboard(8, 2, (0, 120, 215), (255, 255, 255)),
        "tiny smiley": smiley,
        "tiny photograph": lambda: np.asarray(photo((33, 17))),
        "tiny line": lambda: np.asarray(photo((512, 1))),
    }
