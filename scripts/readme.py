"""What the README shows: docs/comparison.png, and with a folder of pictures the tables of bytes and quality.

    python scripts/readme.py [VAL]

The picture is examples/photo.png by odpiece and by every peer that is installed, at about the same bytes: each peer
at its best PSNR that fits, whatever its scale; where none fits, its smallest file. The tables, in Markdown, are those
of `odpiece compare VAL` with all metrics that are installed.
"""

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from odpiece.codec.comparison import report
from odpiece.codec.comparison.measure import Original, default_cache, measure
from odpiece.codec.comparison.metrics import METRICS
from odpiece.codec.comparison.peers import ODPIECE, PEERS, odpiece
from odpiece.codec.comparison.tasks import Task, collect, run_tasks
from odpiece.codec.targets import psnr
from odpiece.formats.errors import MissingExtraError
from odpiece.formats.files import read_bytes, write_bytes
from odpiece.formats.images import read_image, write_image
from odpiece.models.interface import LOOKS

ROOT = Path(__file__).parent.parent
QUALITY = 64
CAPTION = 34  # pixels
GAP = 8
COLUMNS = 3


def installed(choices):
    """Those codecs or metrics whose packages are there."""
    found = []
    for choice in choices:
        try:
            choice.require()
            found.append(choice)
        except MissingExtraError as error:
            print(f"left out: {error}")
    return found


def panel(original, codec, size):
    """(caption, pixels) of a codec's best file of at most `size` bytes, or of its smallest."""
    trials = measure(Original(original), codec, ("psnr",), default_cache())
    fitting = [t for t in trials if t.size <= size]
    best = max(fitting, key=lambda t: t.scores["psnr"]) if fitting else min(trials, key=lambda t: t.size)
    scale = f", 1/{best.scale} size" if best.scale > 1 else ""
    pixels = codec.decode(codec.encode(original, best.quality, best.scale), original.shape)
    return f"{codec.title}{scale}: {best.size} bytes, {best.scores['psnr']:.1f} dB", pixels


def draw(codecs):
    original = read_image(read_bytes(ROOT / "examples" / "photo.png")).pixels
    data = ODPIECE.encode(original, QUALITY)
    panels = [("original", original)]
    for look in LOOKS:
        decoded = odpiece(look).decode(data, original.shape)
        panels.append((f"odpiece, {look}: {len(data)} bytes, {psnr(original, decoded):.1f} dB", decoded))
    panels = [
        *panels,
        *(panel(original, codec, len(data)) for codec in codecs),
    ]
    write_bytes(ROOT / "docs" / "comparison.png", write_image(_sheet(panels)), force=True)


def _sheet(panels):
    height, width, _ = panels[0][1].shape
    rows = -(-len(panels) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (width + GAP) - GAP, rows * (height + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for i, (caption, pixels) in enumerate(panels):
        x, y = i % COLUMNS * (width + GAP), i // COLUMNS * (height + CAPTION)
        draw.text((x + 4, y + 4), caption, fill="black", font=font)
        sheet.paste(Image.fromarray(pixels), (x, y + CAPTION))
    return np.asarray(sheet)


def print_tables(folder, codecs, metrics):
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for look in LOOKS:
        print(f"{look} look:\n")
        tasks = [Task(path, codec, metrics, default_cache()) for path in files for codec in (odpiece(look), *codecs)]
        measured, errors = collect(run_tasks(tasks, os.cpu_count()))
        print(*errors, sep="\n")
        _print_markdown(report.rate_cells(report.bd_rates(measured, metrics), metrics))
        _print_markdown(report.row_cells(report.rows(measured, metrics), metrics, len(measured)))


def _print_markdown(cells):
    head, *rows = cells
    for row in (head, ["---"] * len(head), *rows):
        print("|", " | ".join(row), "|")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="pictures for the tables")
    folder = parser.parse_args().folder
    codecs = installed(PEERS)
    draw(codecs)
    if folder:
        print_tables(folder, codecs, tuple(metric.name for metric in installed(METRICS.values())))


if __name__ == "__main__":
    main()
