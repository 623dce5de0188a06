"""What each effort of the encoder's search gains and costs.

    python benchmarks/effort.py FOLDER [--count N]

About N pictures of FOLDER (default: all) are encoded at each of QUALITIES with efforts 0..9. Prints a Markdown
table: rounds of the search, mean bytes and PSNR against effort 0, BD-rate against effort 0 (median of the pictures),
and the time.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from odpiece.codec.bands.refinement import ROUNDS
from odpiece.codec.comparison.curves import bd_rate
from odpiece.codec.files import analyzed, decode
from odpiece.codec.targets import psnr
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image

QUALITIES = (4, 16, 64, 256, 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int)
    options = parser.parse_args()
    files = sorted(path for path in options.folder.iterdir() if path.is_file())
    files = files[:: max(1, len(files) // (options.count or len(files)))]
    pictures = [read_image(read_bytes(path), path.name).pixels for path in files]
    results = np.array([[curve(pixels, effort) for effort in range(len(ROUNDS))] for pixels in tqdm(pictures)])
    megapixels = np.mean([pixels.shape[0] * pixels.shape[1] for pixels in pictures]) / 1e6
    print(f"{len(pictures)} pictures, q = {', '.join(map(str, QUALITIES))}\n")
    print("| effort | rounds | bytes | PSNR dB | BD-rate | seconds a megapixel |\n|---|---|---|---|---|---|")
    base = results[:, 0]
    for effort, rounds in enumerate(ROUNDS):
        here = results[:, effort]
        size = 100 * (np.mean(here[..., 0] / base[..., 0]) - 1)
        gain = np.mean(here[..., 1] - base[..., 1])
        rate = np.median([bd_rate(a[:, :2], b[:, :2]) for a, b in zip(base, here)])
        seconds = here[..., 2].mean() / megapixels
        print(f"| {effort} | {rounds} | {size:+.1f} % | {gain:+.2f} | {rate:+.1f} % | {seconds:.2f} |")


def curve(pixels, effort):
    """float (qualities, 3): bytes, PSNR in dB and seconds, without the analysis, of one picture."""
    picture, rows = analyzed(pixels), []
    for q in QUALITIES:
        began = time.perf_counter()
        data = picture.encode(q, effort=effort)
        seconds = time.perf_counter() - began
        rows.append((len(data), psnr(pixels, decode(data)), seconds))
    return rows


if __name__ == "__main__":
    main()
