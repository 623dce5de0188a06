"""What coding large pictures smaller gains, and how well the encoder chooses.

    python benchmarks/scales.py FOLDER [--count N] [--longest PIXELS]

About N pictures of FOLDER (default: all), whose longer side has at least --longest pixels, are encoded at each of
QUALITIES and each scale, without search. Prints a Markdown table: PSNR gained over scale 1 at its bytes, mean and
worst, by scale 1/2, by 1/4, by the one that Scaled.best takes and by the best of all. Then what GAIN in
codec/scaling.py should be: the median of what e times the bytes gain, between neighbours of QUALITIES at scale 1.
"""

import argparse
from math import log
from pathlib import Path

import numpy as np
from tqdm import tqdm

from odpiece.codec.files import scaled
from odpiece.codec.targets import psnr
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image
from odpiece.formats.scales import SCALES
from odpiece.models.interface import TOKENS

QUALITIES = (1, 4, 16, 64, 256)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int)
    parser.add_argument("--longest", type=int, default=1200)
    options = parser.parse_args()
    files = sorted(path for path in options.folder.iterdir() if path.is_file())
    pictures = [read_image(read_bytes(path), path.name).pixels for path in files]
    pictures = [pixels for pixels in pictures if max(pixels.shape[:2]) >= options.longest]
    pictures = pictures[:: max(1, len(pictures) // (options.count or len(pictures)))]
    results = [measure(scaled(pixels)) for pixels in tqdm(pictures)]
    print(f"{len(pictures)} pictures; PSNR in dB over scale 1 at its bytes, mean (worst)\n")
    print("| q | 1/2 | 1/4 | chosen | best | taken 1, 1/2, 1/4 |\n|---|---|---|---|---|---|")
    for q in QUALITIES[:-1]:
        rows = [gains(curves, q) for curves, _ in results]
        chosen = [choice[q] for _, choice in results]
        columns = [[row[scale] for row in rows] for scale in SCALES[1:]]
        columns += [[row[scale] for row, scale in zip(rows, chosen)], [max(row.values()) for row in rows]]
        cells = " | ".join(f"{np.mean(column):+.2f} ({min(column):+.2f})" for column in columns)
        print(f"| {q} | {cells} | {', '.join(str(chosen.count(scale)) for scale in SCALES)} |")
    slopes = [slope for curves, _ in results for slope in np.diff(curves[1][1]) / np.diff(curves[1][0])]
    print(f"\nGAIN: {np.median(slopes):.2f}")


def measure(picture):
    """({scale: float (2, qualities), log(bytes) and PSNR}, {q: the scale that is chosen}) of a Scaled."""
    curves = {}
    for scale in picture.scales:
        part = picture.at(scale)
        files = [part.encode(q * scale**2, effort=0) for q in QUALITIES if q * scale**2 <= TOKENS]
        curves[scale] = np.array([(log(len(data)), psnr(part.decoded(data), picture.pixels)) for data in files]).T
    return curves, {q: picture.best(q) for q in QUALITIES}


def gains(curves, q):
    """{scale: PSNR over scale 1, where its file has the bytes of that of quality `q` at scale 1}."""
    size, score = curves[1][:, QUALITIES.index(q)]
    return {scale: float(np.interp(size, *curve) - score) for scale, curve in curves.items()}


if __name__ == "__main__":
    main()
