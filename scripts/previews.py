"""odpiece beside ThumbHash and BlurHash at a few tens of bytes: a Markdown table of bytes, PSNR and ST-LPIPS.

    python scripts/previews.py FOLDER

The pictures in FOLDER are first scaled to 256x256; the figures are means. Needs odpiece[compare].
"""

import argparse
from pathlib import Path

import numpy as np
from pictures import read_folder
from PIL import Image
from tqdm import tqdm

from odpiece.codec import decode, encode
from odpiece.codec.comparison.metrics import find_metric
from odpiece.codec.comparison.peers import find_peer
from odpiece.models.interface import LOOKS

SIDE = 256  # pixels
QUALITIES = (1, 2, 3, 4, 5)
PEERS = (("thumbhash", "-"), ("blurhash", "4x3"), ("blurhash", "5x4"), ("blurhash", "5x5"))


def previews(pixels):
    """(name, file's bytes, decoded pixels) of uint8 `pixels` by every codec, quality and look."""
    for q in QUALITIES:
        data = encode(pixels, q)
        for look in LOOKS:
            yield f"odpiece -q {q}, {look}", data, decode(data, look=look)
    for name, quality in PEERS:
        peer = find_peer(name)
        data = peer.encode(pixels, quality)
        yield f"{peer.title} {quality}".removesuffix(" -"), data, peer.decode(data, pixels.shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    rows = {}
    for picture in tqdm(read_folder(parser.parse_args().folder), disable=None):
        pixels = np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS))
        scorers = [find_metric(name).scorer(pixels) for name in ("psnr", "st-lpips")]
        for name, data, decoded in previews(pixels):
            rows.setdefault(name, []).append([len(data), *(score(decoded) for score in scorers)])
    print("| | bytes | PSNR dB | ST-LPIPS |\n|---|---|---|---|")
    for name, values in sorted(rows.items(), key=lambda row: np.mean(row[1], axis=0)[0]):
        size, psnr, distance = np.mean(values, axis=0)
        least, most = np.min(values, axis=0)[0], np.max(values, axis=0)[0]
        print(f"| {name} | {size:.0f} ({least:.0f} to {most:.0f}) | {psnr:.2f} | {distance:.3f} |")


if __name__ == "__main__":
    main()
