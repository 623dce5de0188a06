"""Bytes and PSNR of odpiece on a folder of pictures, beside WebP at the same bytes.

    python scripts/rate_distortion.py FOLDER [--weights FILE.safetensors ...]

One row for each q: mean bytes of a file, mean bits a pixel, mean PSNR; then WebP (method 6; full size
and downscaled by 2 and 4) at the bytes of each odpiece file, mean of its best PSNR over the pictures for
which any WebP is that small, and the mean difference on those pictures.
"""

import argparse
from pathlib import Path

import numpy as np
from baselines import best_psnr_at, psnr
from tqdm import tqdm

from odpiece.codec import decode, encode
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image
from odpiece.models.library import load_model, open_model

QUALITIES = (1, 4, 16, 64, 256, 1024)
SHRINKS = (1, 2, 4)


def measure(pictures, model, q):
    """(bytes, bits a pixel, PSNR, WebP's PSNR or nan) of each picture, float (n, 4)."""
    rows = []
    for pixels in pictures:
        data = encode(pixels, q, model=model)
        webp = best_psnr_at(pixels, "WebP", SHRINKS, len(data))
        bpp = 8 * len(data) / (pixels.shape[0] * pixels.shape[1])
        rows.append([len(data), bpp, psnr(pixels, decode(data, model=model)), np.nan if webp is None else webp])
    return np.array(rows)


def print_table(name, pictures, model):
    print(f"\n{name} ({model.fingerprint.hex()}), {len(pictures)} pictures")
    print("   q    bytes      bpp  PSNR dB | WebP dB  pictures  difference dB")
    for q in tqdm(QUALITIES, desc=name, disable=None, leave=False):
        rows = measure(pictures, model, q)
        size, bpp, own, _ = rows.mean(axis=0)
        reached = rows[~np.isnan(rows[:, 3])]
        peer = f"{reached[:, 3].mean():7.2f}" if len(reached) else "      -"
        gain = f"{(reached[:, 2] - reached[:, 3]).mean():+13.2f}" if len(reached) else ""
        print(f"{q:4d} {size:8.0f} {bpp:8.4f} {own:8.2f} | {peer} {len(reached):9d}  {gain}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", type=Path, nargs="*", default=[], help="further weights files to measure")
    options = parser.parse_args()
    files = sorted(path for path in options.folder.iterdir() if path.is_file())
    pictures = [read_image(read_bytes(path), path.name).pixels for path in files]
    models = [load_model(), *map(open_model, options.weights)]
    for model in models:
        print_table(model.name, pictures, model)


if __name__ == "__main__":
    main()
