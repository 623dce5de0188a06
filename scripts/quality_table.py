"""The table of README.md: one photograph at six qualities, as Markdown: python scripts/quality_table.py PHOTO

The words on the look are of one who saw the decoded pictures at full size; see them again when the weights change.
"""

import argparse
from pathlib import Path

from odpiece.codec import decode, encode
from odpiece.codec.targets import psnr
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image

WORDS = {
    1: "soft patches: a sign, but no word on it; waves in the sky",
    4: "outlines; who knows the words can guess them",
    16: "the large words read, the ground is a blur",
    64: "edges are sharp, grass and gravel smooth",
    256: "the grain of the wood and the grass show; fine in half its size",
    1024: "like the original in half its size; at full size fine scratches are missing",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    photo = parser.parse_args().photo
    pixels = read_image(read_bytes(photo), photo.name).pixels
    print("| `-q` | bytes | bits a pixel | PSNR dB | look |\n|---|---|---|---|---|")
    for q, words in WORDS.items():
        data = encode(pixels, q)
        bits = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
        print(f"| {q} | {len(data):,} | {bits:.4f} | {psnr(pixels, decode(data)):.1f} | {words} |")


if __name__ == "__main__":
    main()
