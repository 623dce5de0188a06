"""The table of docs/commands.md: one photograph at eight qualities, as Markdown: quality_table.py PHOTO"""

import argparse
from pathlib import Path

from odpiece.codec import decode, encode
from odpiece.codec.targets import psnr
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image

QUALITIES = (1, 4, 16, 64, 256, 1024, 2048, 4096)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    photo = parser.parse_args().photo
    pixels = read_image(read_bytes(photo), photo.name).pixels
    print("| `-q` | bytes | bits a pixel | PSNR dB |\n|---|---|---|---|")
    for q in QUALITIES:
        data = encode(pixels, q)
        bits = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
        print(f"| {q} | {len(data):,} | {bits:.4f} | {psnr(pixels, decode(data)):.1f} |")


if __name__ == "__main__":
    main()
