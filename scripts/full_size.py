"""How many times the bytes of AVIF without chroma subsampling and of WebP our files take at the same PSNR, full size.

    python scripts/full_size.py FOLDER [-q 1024 2048 4096] [-e 0] [-j N]

Bytes of peers are interpolated between their qualities, in the logarithm. The table has the geometric mean over the
pictures that a peer can code both better and worse, in brackets the worst and the best one, and their number.
"""

import argparse
import io
from functools import partial
from pathlib import Path

import numpy as np
from pictures import read_folder
from PIL import Image
from processes import map_with_bar

from odpiece.codec import decode, encode
from odpiece.codec.targets import psnr

PEERS = {
    "AVIF": {"speed": 4, "subsampling": "4:4:4", "max_threads": 1},
    "WebP": {"method": 6},
}
QUALITIES = range(0, 101, 4)


def curve(pixels, peer):
    """(PSNR, logarithms of bytes) of a peer's files of `pixels`, both growing."""
    found = []
    for quality in QUALITIES:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, peer, quality=quality, **PEERS[peer])
        found.append((psnr(pixels, np.asarray(Image.open(out).convert("RGB"))), np.log(out.tell())))
    return np.maximum.accumulate(np.array(found).T, axis=1)


def ratios(options, pixels):
    """float (qualities, peers): our bytes over those of each peer, nan where it has no such PSNR."""
    curves = [curve(pixels, peer) for peer in PEERS]
    rows = []
    for q in options.qualities:
        data = encode(pixels, q, effort=options.effort, scale=1)
        reached = psnr(pixels, decode(data))
        rows.append([len(data) / np.exp(np.interp(reached, *c, left=np.nan, right=np.nan)) for c in curves])
    return np.array(rows)


def cell(values):
    values = values[np.isfinite(values)]
    if not values.size:
        return ""
    return f"{np.exp(np.log(values).mean()):.2f} ({values.max():.2f}, {values.min():.2f}), {values.size}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-q", "--qualities", type=int, nargs="+", default=(1024, 2048, 4096))
    parser.add_argument("-e", "--effort", type=int, default=0)
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes [1]")
    options = parser.parse_args()
    found = np.array(map_with_bar(partial(ratios, options), read_folder(options.folder), options.jobs))
    print(f"| q | {' | '.join(PEERS)} |\n|{'---|' * (len(PEERS) + 1)}")
    for j, q in enumerate(options.qualities):
        print(f"| {q} | {' | '.join(cell(column) for column in found[:, j].T)} |")


if __name__ == "__main__":
    main()
