"""Bytes and PSNR of models and coders on a folder of pictures, beside WebP at the same bytes.

    python scripts/rate_distortion.py FOLDER [--weights FILE.safetensors ...] [--coder learned|static|raw]

A Markdown table a model, one row for each q: mean bytes of a file, bits a pixel and PSNR; then how much better
odpiece is than WebP (method 6, full size and downscaled by up to 8) at the bytes of each file, in dB, mean over
the pictures for which any WebP is that small. `odpiece compare` has more codecs and metrics, for the installed model.
"""

import argparse
from pathlib import Path

import numpy as np
from pictures import read_folder
from tqdm import tqdm

from odpiece.codec import decode, encode
from odpiece.codec.comparison.curves import score_at
from odpiece.codec.comparison.measure import Original, default_cache, measure
from odpiece.codec.comparison.peers import find_peer
from odpiece.codec.targets import psnr
from odpiece.formats.container import CoderId
from odpiece.models.library import load_model, open_model

QUALITIES = (1, 4, 16, 64, 256, 1024, 2048, 4096)


def webp_points(pixels):
    """[(bytes, PSNR)] of WebP at all its qualities and scales."""
    trials = measure(Original(pixels), find_peer("webp"), ("psnr",), default_cache())
    return [(trial.size, trial.scores["psnr"]) for trial in trials]


def measure_model(pictures, model, q, coder):
    """(bytes, bits a pixel, PSNR, gain over WebP or nan) of each of [(pixels, points of WebP)], float (n, 4)."""
    rows = []
    for pixels, points in pictures:
        data = encode(pixels, q, model=model, coder=coder)
        quality = psnr(pixels, decode(data, model=model))
        bpp = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
        rows.append([len(data), bpp, quality, quality - score_at(points, len(data))])
    return np.array(rows)


def print_table(pictures, model, coder):
    print(f"\n{model.name} ({model.fingerprint.hex()}), {coder.name.lower()} coder, {len(pictures)} pictures\n")
    print("| q | bytes | bits a pixel | PSNR dB | over WebP |")
    print("|---|---|---|---|---|")
    for q in tqdm(QUALITIES, desc=model.name, disable=None, leave=False):
        rows = measure_model(pictures, model, q, coder)
        size, bpp, quality = rows[:, :3].mean(axis=0)
        print(f"| {q} | {size:.0f} | {bpp:.4f} | {quality:.2f} | {_gain(rows[:, 3])} |")


def _gain(gains):
    reached = gains[~np.isnan(gains)]
    return f"{reached.mean():+.2f} dB ({len(reached)} pictures)" if len(reached) else "no WebP so small"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="weights files to measure as well")
    parser.add_argument("--coder", choices=[coder.name.lower() for coder in CoderId], default="learned")
    options = parser.parse_args()
    pictures = [(pixels, webp_points(pixels)) for pixels in read_folder(options.folder)]
    for model in (load_model(), *map(open_model, options.weights)):
        print_table(pictures, model, CoderId[options.coder.upper()])


if __name__ == "__main__":
    main()
