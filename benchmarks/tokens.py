"""Seconds to code and to decode the tokens of photographs of growing size, by the learned prior.

    python benchmarks/tokens.py FOLDER [-q N]

The pictures are mosaics of the photographs in FOLDER. The analysis network's time is not counted. Each
figure is the median of three runs.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np

from odpiece.codec.coders import coder_of
from odpiece.codec.quantization import source, whole_pieces
from odpiece.codec.segments import decode_segments, encode_segments
from odpiece.formats.container import CoderId, Header
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image
from odpiece.models.library import load_model

SIZES = ((768, 512), (1664, 1216), (4000, 3000))  # pixels: 0.4, 2 and 12 megapixels
RUNS = 3


def mosaic(pictures, width, height):
    """uint8 (height, width, 3): the pictures side by side, row after row, as often as needed."""
    tile = min(min(p.shape[:2]) for p in pictures)
    columns, rows = -(-width // tile), -(-height // tile)
    order = [pictures[i % len(pictures)][:tile, :tile] for i in range(rows * columns)]
    lines = [np.concatenate(order[r * columns : (r + 1) * columns], axis=1) for r in range(rows)]
    return np.concatenate(lines)[:height, :width]


def code(latents, header, coder, table):
    """The StoredSegments of float latents, tokens chosen and coded."""
    stored, _ = encode_segments(lambda s: source(s.crop(latents), header.q, coder, table), coder, header)
    return stored


def median_seconds(function, *arguments):
    """(median wall time in seconds of RUNS calls, the last result)."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        result = function(*arguments)
        times.append(time.perf_counter() - started)
    return statistics.median(times), result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-q", type=int, default=64)
    options = parser.parse_args()
    pictures = [read_image(read_bytes(p), p.name).pixels for p in sorted(options.folder.iterdir()) if p.is_file()]
    model = load_model()
    coder, table = coder_of(CoderId.LEARNED, model), model.static_tables["latents"]
    print("megapixels   bytes  choose and code s  decode s")
    for width, height in SIZES:
        latents = model.transform.analyze(whole_pieces(mosaic(pictures, width, height)))
        header = Header(width, height, options.q, CoderId.LEARNED, model.fingerprint)
        coding, stored = median_seconds(code, latents, header, coder, table)
        decoding, _ = median_seconds(decode_segments, stored, coder, header)
        size = sum(len(segment.payload) for segment in stored)
        print(f"{width * height / 1e6:10.2f} {size:7d} {coding:18.2f} {decoding:9.2f}")


if __name__ == "__main__":
    main()
