"""Drawings, screens and texts for stress_pictures.py."""

import textwrap
from functools import cache
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PHOTO = Path(__file__).resolve().parent.parent / "examples" / "photo.png"
PROSE = (
    "The harbour was quiet that morning. Two boats lay at the quay, one blue, one white, and between them the water "
    "moved as slowly as oil. Nobody had opened the shutters yet; from the bakery came the smell of rye and burnt "
    "sugar, and a dog slept across the doorstep as if it had been painted there. "
)
CODE = """def area(width, height):
    # in square metres
    if min(width, height) <= 0:
        raise ValueError("too small")
    return width * height

for name, size in sorted(rooms.items()):
    print(f"{name:12} {area(*size):8.2f}")
"""


def seeded(name):
    """The random generator of a picture: adding one leaves the others as they are."""
    return np.random.default_rng(crc32(name.encode()))


def blank(size, colour):
    """A Pillow picture of (width, height) and a pen for it."""
    im = Image.new("RGB", size, colour)
    return im, ImageDraw.Draw(im)


@cache
def font(height):
    """Pillow's own, `height` pixels high."""
    return ImageFont.load_default(height)


def photo(size=None):
    """The example photograph as a Pillow picture, of (width, height) if given."""
    im = Image.open(PHOTO).convert("RGB")
    return im.resize(size, Image.Resampling.BICUBIC) if size else im


def drawings():
    """A part of `stress_pictures`."""
    return {
        "drawing house": _house,
        "drawing curves": _curves,
        "drawing map": _map,
        "drawing pie": _pie,
        "drawing bars": _bars,
        "drawing flag": _flag,
    }


def _house():
    im, pen = blank((1280, 960), (150, 205, 250))
    pen.rectangle((0, 640, 1280, 960), fill=(90, 170, 60))
    pen.rectangle((380, 420, 860, 760), fill=(230, 190, 120), outline=(60, 40, 20), width=8)
    pen.polygon([(340, 420), (620, 200), (900, 420)], fill=(180, 50, 40), outline=(60, 40, 20), width=8)
    pen.ellipse((1000, 80, 1160, 240), fill=(255, 230, 40))
    for left in (450, 690):
        pen.rectangle((left, 500, left + 100, 600), fill=(200, 230, 255), outline=(60, 40, 20), width=6)
    return np.asarray(im.resize((640, 480), Image.Resampling.LANCZOS))


def _curves():
    rng, (im, pen) = seeded("curves"), blank((1024, 1024), (252, 250, 244))
    t = np.linspace(0, 1, 60)[:, None]
    for _ in range(30):
        a, b, c, d = rng.uniform(0, 1024, (4, 2))
        curve = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
        pen.line([tuple(p) for p in curve], fill=(30, 30, 50), width=int(rng.integers(2, 9)))
    return np.asarray(im.resize((512, 512), Image.Resampling.LANCZOS))


def _map():
    rng = seeded("map")
    seeds, colours = rng.uniform(0, 512, (40, 2)), rng.integers(60, 256, (40, 3))
    y, x = np.mgrid[:512, :512]
    far = np.hypot(x[..., None] - seeds[:, 0], y[..., None] - seeds[:, 1])
    return colours[far.argmin(-1)].astype(np.uint8)


def _pie():
    im, pen = blank((600, 450), (255, 255, 255))
    edges = np.cumsum([0, 130, 90, 65, 45, 30])
    inks = [(66, 133, 244), (219, 68, 55), (244, 180, 0), (15, 157, 88), (171, 71, 188)]
    for i, (start, end, ink) in enumerate(zip(edges, edges[1:], inks)):
        pen.pieslice((60, 60, 390, 390), float(start), float(end), fill=ink, outline=(255, 255, 255), width=3)
        pen.rectangle((430, 120 + 40 * i, 450, 140 + 40 * i), fill=ink)
        pen.text((460, 120 + 40 * i), f"group {i + 1}", fill=(40, 40, 40), font=font(18))
    return np.asarray(im)


def _bars():
    rng, (im, pen) = seeded("bars"), blank((720, 480), (255, 255, 255))
    for level in range(60, 421, 60):
        pen.line((60, level, 700, level), fill=(220, 220, 220))
        pen.text((20, level - 8), str(420 - level), fill=(90, 90, 90), font=font(14))
    for i, height in enumerate(rng.integers(30, 350, 12)):
        pen.rectangle((75 + 52 * i, 420 - int(height), 110 + 52 * i, 420), fill=(70, 120, 200))
    pen.line((60, 60, 60, 420, 700, 420), fill=(0, 0, 0), width=2)
    return np.asarray(im)


def _flag():
    im, pen = blank((900, 600), (0, 82, 180))
    pen.rectangle((0, 240, 900, 360), fill=(255, 205, 0))
    pen.rectangle((250, 0, 370, 600), fill=(255, 205, 0))
    return np.asarray(im)


def screens():
    """A part of `stress_pictures`."""
    return {
        "screen editor": lambda: _editor((250, 250, 250), (40, 40, 40), (0, 90, 180)),
        "screen editor dark": lambda: _editor((30, 30, 36), (212, 212, 212), (86, 156, 214)),
        "screen page": _page,
        "screen table": _table,
        "screen terminal": lambda: _written((800, 600), 13, (80, 250, 120), (0, 0, 0), CODE * 4),
        "screen chat": _chat,
    }


def _editor(paper, ink, accent):
    im, pen = blank((1024, 640), paper)
    pen.rectangle((0, 0, 1024, 32), fill=accent)
    pen.rectangle((0, 32, 180, 640), fill=tuple((3 * p + i) // 4 for p, i in zip(paper, ink)))
    for i in range(14):
        pen.text((16, 48 + 24 * i), f"file_{i}.txt", fill=ink, font=font(14))
    for i, line in enumerate((CODE * 4).splitlines()[:26]):
        first = accent if line.lstrip().startswith(("def", "if", "for", "#")) else ink
        pen.text((200 + 9 * (len(line) - len(line.lstrip())), 44 + 22 * i), line.strip(), fill=first, font=font(15))
    return np.asarray(im)


def _page():
    im, pen = blank((960, 1280), (255, 255, 255))
    pen.rectangle((0, 0, 960, 70), fill=(20, 60, 110))
    pen.text((40, 18), "The Morning Paper", fill=(255, 255, 255), font=font(32))
    im.paste(photo((400, 400)), (40, 110))
    pen.multiline_text((470, 110), textwrap.fill(PROSE, 48), fill=(30, 30, 30), font=font(18), spacing=8)
    pen.multiline_text((40, 560), textwrap.fill(PROSE * 3, 98), fill=(30, 30, 30), font=font(18), spacing=8)
    pen.rectangle((40, 1180, 240, 1230), fill=(230, 120, 20))
    pen.text((80, 1192), "Read on", fill=(255, 255, 255), font=font(22))
    return np.asarray(im)


def _table():
    rng, (im, pen) = seeded("table"), blank((900, 600), (255, 255, 255))
    pen.rectangle((0, 0, 900, 30), fill=(225, 235, 225))
    for y in range(0, 600, 30):
        pen.line((0, y, 900, y), fill=(200, 200, 200))
        for x in range(0, 900, 100):
            pen.line((x, 0, x, 600), fill=(200, 200, 200))
            pen.text((x + 8, y + 8), f"{rng.normal(0, 900):.2f}", fill=(0, 0, 0), font=font(13))
    return np.asarray(im)


def _chat():
    im, pen = blank((540, 960), (236, 229, 221))
    for i, part in enumerate(textwrap.wrap(PROSE, 34)[:9]):
        left, fill = (30, (255, 255, 255)) if i % 2 else (170, (220, 248, 198))
        pen.rounded_rectangle((left, 30 + 100 * i, left + 340, 100 + 100 * i), 16, fill=fill)
        pen.text((left + 16, 52 + 100 * i), part, fill=(20, 20, 20), font=font(18))
    return np.asarray(im)


def _written(size, height, ink, paper, text=PROSE):
    im, pen = blank(size, paper)
    lines = text.splitlines() if "\n" in text else textwrap.wrap(text * 30, max(4, 2 * size[0] // height))
    for i, line in enumerate(lines[: size[1] // round(1.4 * height)]):
        pen.text((height // 2, round(1.4 * height * i)), line, fill=ink, font=font(height))
    return np.asarray(im)


def texts():
    """A part of `stress_pictures`."""
    texts = {
        "10 px": ((512, 512), 10, (0, 0, 0), (255, 255, 255)),
        "16 px": ((640, 480), 16, (0, 0, 0), (255, 255, 255)),
        "32 px": ((512, 768), 32, (40, 30, 20), (250, 240, 215)),
        "96 px": ((1024, 512), 96, (200, 0, 60), (255, 255, 255)),
        "white on black": ((512, 512), 20, (255, 255, 255), (0, 0, 0)),
        "red on blue": ((512, 384), 24, (255, 40, 40), (20, 30, 160)),
    }
    return {f"text {name}": lambda args=args: _written(*args) for name, args in texts.items()}
