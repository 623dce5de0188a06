"""Draw docs/comparison.png: examples/photo.png, and JPEG, WebP and odpiece at about the same bytes.

JPEG and WebP are shown at full size and downscaled, each at the best PSNR that fits into the bytes of
odpiece; where none fits, at its smallest file.
"""

from pathlib import Path

import numpy as np
from baselines import trials
from PIL import Image, ImageDraw, ImageFont

from odpiece.codec import decode, encode
from odpiece.codec.targets import psnr
from odpiece.formats.files import read_bytes, write_bytes
from odpiece.formats.images import read_image, write_image

ROOT = Path(__file__).parent.parent
QUALITY = 64
CAPTION = 34  # pixels
GAP = 8


def peer(pixels, codec, shrinks, size):
    """(caption, pixels) of the best file of at most `size` bytes, or the smallest."""
    all_trials = trials(pixels, codec, shrinks)
    fitting = [t for t in all_trials if t.size <= size]
    best = max(fitting, key=lambda t: t.psnr) if fitting else min(all_trials, key=lambda t: t.size)
    scale = f", 1/{best.shrink} size" if best.shrink > 1 else ""
    return f"{codec}{scale}: {best.size} bytes, {best.psnr:.1f} dB", best.pixels


def main():
    original = read_image(read_bytes(ROOT / "examples" / "photo.png")).pixels
    data = encode(original, QUALITY)
    decoded = decode(data)
    panels = [
        ("original", original),
        (f"odpiece -q {QUALITY}: {len(data)} bytes, {psnr(original, decoded):.1f} dB", decoded),
        peer(original, "JPEG", (1,), len(data)),
        peer(original, "JPEG", (2, 3, 4, 6, 8), len(data)),
        peer(original, "WebP", (1,), len(data)),
        peer(original, "WebP", (2, 3, 4, 6, 8), len(data)),
    ]
    write_bytes(ROOT / "docs" / "comparison.png", write_image(_sheet(panels)), force=True)


def _sheet(panels, columns=3):
    height, width, _ = panels[0][1].shape
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) - GAP, rows * (height + CAPTION)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for i, (caption, pixels) in enumerate(panels):
        x, y = i % columns * (width + GAP), i // columns * (height + CAPTION)
        draw.text((x + 4, y + 4), caption, fill="black", font=font)
        sheet.paste(Image.fromarray(pixels), (x, y + CAPTION))
    return np.asarray(sheet)


if __name__ == "__main__":
    main()
