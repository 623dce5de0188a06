"""Bytes and PSNR of odpiece on a folder of pictures, beside WebP at the same bytes.

    python scripts/rate_distortion.py FOLDER [--weights FILE.safetensors ...] [--coder learned|static|raw]

A Markdown table a model, one row for each q: mean bytes of a file, bits a pixel and PSNR; then how much better
odpiece is than WebP (method 6) at the bytes of each file, in dB, mean over the pictures for which any WebP
is that small: once of full-size WebP and downscaled by 2 and 4, once downscaled by up to 16.
"""

import argparse
from pathlib import Path

import numpy as np
from baselines import best_psnr_at, read_folder
from tqdm import tqdm

from odpiece.codec import decode, encode
from odpiece.codec.targets import psnr
from odpiece.formats.container import CoderId
from odpiece.models.library import load_model, open_model

QUALITIES = (1, 4, 16, 64, 256, 1024)
ENVELOPES = ((1, 2, 4), (1, 2, 3, 4, 6, 8, 12, 16))


def measure(pictures, model, q, coder):
    """(bytes, bits a pixel, PSNR, gain over each of ENVELOPES or nan) of each picture, float (n, 5)."""
    rows = []
    for pixels in pictures:
        data = encode(pixels, q, model=model, coder=coder)
        quality = psnr(pixels, decode(data, model=model))
        peers = [best_psnr_at(pixels, "WebP", shrinks, len(data)) for shrinks in ENVELOPES]
        gains = [np.nan if peer is None else quality - peer for peer in peers]
        rows.append([len(data), 8 * len(data) / (pixels.shape[0] * pixels.shape[1]), quality, *gains])
    return np.array(rows)


def print_table(pictures, model, coder):
    print(f"\n{model.name} ({model.fingerprint.hex()}), {coder.name.lower()} coder, {len(pictures)} pictures\n")
    print("| q | bytes | bits a pixel | PSNR dB | over WebP 1, 1/2, 1/4 | over WebP 1 to 1/16 |")
    print("|---|---|---|---|---|---|")
    for q in tqdm(QUALITIES, desc=model.name, disable=None, leave=False):
        rows = measure(pictures, model, q, coder)
        size, bpp, quality = rows[:, :3].mean(axis=0)
        print(f"| {q} | {size:.0f} | {bpp:.4f} | {quality:.2f} | {_gain(rows[:, 3])} | {_gain(rows[:, 4])} |")


def _gain(gains):
    reached = gains[~np.isnan(gains)]
    return f"{reached.mean():+.2f} dB ({len(reached)} pictures)" if len(reached) else "no WebP so small"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="weights files to measure as well")
    parser.add_argument("--coder", choices=[coder.name.lower() for coder in CoderId], default="learned")
    options = parser.parse_args()
    pictures = read_folder(options.folder)
    for model in (load_model(), *map(open_model, options.weights)):
        print_table(pictures, model, CoderId[options.coder.upper()])


if __name__ == "__main__":
    main()
