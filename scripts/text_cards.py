"""Test cards for `odpiece compare --tasks text`: text of known content, sizes and contrasts on photographs.

    python scripts/text_cards.py PHOTOS OUT

Of each picture in the folder PHOTOS, three cards are written as PNG, one for each contrast: lines of 10 to 64 pixels
(the size of a font, not the height of a letter). OUT.tsv, beside them, says what stands where. Cards are always the
same for the same pictures. The fonts are those of Debian's package fonts-dejavu-core, under the free licence of
Bitstream Vera: DejaVu Sans, DejaVu Sans Bold, DejaVu Serif and DejaVu Sans Mono.
"""

import argparse
import csv
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from odpiece.formats.images import SUFFIXES

FONTS = Path("/usr/share/fonts/truetype/dejavu")
FACES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")
SIZES = {10: 4, 16: 3, 32: 2, 64: 1}  # pixels, and how many lines of them a card has
CONTRASTS = {"weak": 0.35, "middle": 0.6, "strong": 1.0}  # parts of the way to black or white, whichever is farther
MARGIN = 16  # pixels
SPACING = 1.4  # of lines, by their size
WORDS = """about after again apple bridge brown cabin candle castle clock coffee copper corner dance dinner doctor dream
eagle early engine evening family farmer finger forest frame garden ginger green hammer harbour house island jacket
journey kitchen ladder lemon letter library light market meadow metal middle mirror morning museum night number ocean
office orange paper pencil people picture planet pocket quarter quick rabbit railway river school seven shadow silver
station stone street summer table ticket tower travel valley village violet wagon water window winter yellow""".split()


def text_of(rng, font, width):
    """Random words and numbers, some in capitals, as many as fit into `width` pixels."""
    line = ""
    while True:
        word = str(rng.integers(1000)) if rng.random() < 0.2 else str(rng.choice(WORDS))
        longer = f"{line} {word.upper() if rng.random() < 0.2 else word}".strip()
        if font.getlength(longer) > width:
            return line
        line = longer


def colour_at(photo, box, contrast):
    """The mean colour of a box of `photo`, moved towards black or white."""
    mean = np.asarray(photo.crop(box)).mean((0, 1))
    goal = 255 if mean.mean() < 128 else 0
    return tuple(int(c) for c in mean + contrast * (goal - mean))


def draw_card(photo, contrast, rng):
    """(the card, a line (x, y, size, font, text) for each line of text that finds room on it)."""
    card, placed, y = photo.copy(), [], MARGIN
    draw = ImageDraw.Draw(card)
    for size in (size for size, count in SIZES.items() for _ in range(count)):
        face = str(rng.choice(FACES))
        font = ImageFont.truetype(str(FONTS / face), size)
        text = text_of(rng, font, photo.width - 2 * MARGIN)
        if text and y + SPACING * size <= photo.height:
            box = tuple(map(round, (MARGIN, y, MARGIN + font.getlength(text), y + SPACING * size)))
            draw.text((MARGIN, y), text, colour_at(photo, box, contrast), font)
            placed.append((MARGIN, y, size, face, text))
            y += round(SPACING * size)
    return card, placed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    with open(options.out.with_suffix(".tsv"), "w", newline="") as f:
        lines = csv.writer(f, delimiter="\t", lineterminator="\n")
        lines.writerow(["file", "contrast", "x", "y", "size", "font", "text"])
        for path in sorted(p for p in options.photos.iterdir() if p.suffix.lower() in SUFFIXES):
            photo = Image.open(path).convert("RGB")
            for name, contrast in CONTRASTS.items():
                rng = np.random.default_rng(zlib.crc32(f"{path.name} {name}".encode()))
                card, placed = draw_card(photo, contrast, rng)
                card.save(options.out / f"{path.stem}_{name}.png")
                lines.writerows([f"{path.stem}_{name}.png", name, *line] for line in placed)


if __name__ == "__main__":
    main()
