"""Megapixels per second of encoding and decoding, beside other codecs, and what each part takes.

    python benchmarks/speed.py FOLDER [MEGAPIXELS ...]

Pictures are mosaics of the photographs in FOLDER, of the sizes nearest to MEGAPIXELS (default: all of SIZES), kept as
PNG. First whole commands, from process start to finished file, odpiece beside cwebp -m 6, avifenc -s 4 and cjxl -e 7
(at their own qualities and threads; Debian: webp, libavif-bin, libjxl-tools), each decoded to PNG. Then the parts of odpiece inside one process whose
networks are loaded; tokens, prior and coder run in as many threads as there are cores, and share their time as the
threads spend it. Last the networks' rate of multiplications and additions beside that of a product of large matrices.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from mosaics import mosaic, read_folder

from odpiece.codec.coders import LearnedCoder, coder_of
from odpiece.codec.picture import read
from odpiece.codec.quantization import RateAware, source
from odpiece.codec.range_coder import Reader, Writer
from odpiece.codec.segments import encode_segments
from odpiece.codec.windows import analyze, synthesize
from odpiece.formats.container import CoderId, Header, pack
from odpiece.formats.files import read_bytes, write_bytes
from odpiece.formats.images import read_image, write_image
from odpiece.models.interface import LOOKS
from odpiece.models.library import load_model
from odpiece.models.prior import Predictor

SIZES = {0.07: (256, 256), 0.4: (768, 512), 2: (1664, 1216), 12: (4000, 3000), 48: (8000, 6000)}
Q = 64
RUNS = 3  # of which the median counts; one of pictures above MANY megapixels
MANY = 20
ODPIECE = [str(Path(sys.executable).with_name("odpiece"))]
COMMANDS = {  # (encode, decode), each with IN and OUT
    "odpiece -e 0": ([*ODPIECE, "encode", "IN", "-o", "OUT.odp", "-e", "0"], [*ODPIECE, "decode", "IN", "-o", "OUT.png"]),
    "odpiece": ([*ODPIECE, "encode", "IN", "-o", "OUT.odp"], [*ODPIECE, "decode", "IN", "-o", "OUT.png", "--look", "natural"]),
    "cwebp -m 6": (["cwebp", "-quiet", "-mt", "-m", "6", "IN", "-o", "OUT.webp"], ["dwebp", "-quiet", "-mt", "IN", "-o", "OUT.png"]),
    "avifenc -s 4": (["avifenc", "-s", "4", "IN", "OUT.avif"], ["avifdec", "IN", "OUT.png"]),
    "cjxl -e 7": (["cjxl", "--quiet", "-e", "7", "IN", "OUT.jxl"], ["djxl", "--quiet", "IN", "OUT.png"]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("megapixels", type=float, nargs="*", default=list(SIZES))
    options = parser.parse_args()
    pictures = read_folder(options.folder)
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in options.megapixels:
            size = SIZES[min(SIZES, key=lambda known: abs(known - megapixels))]
            png = Path(folder, "picture.png")
            png.write_bytes(write_image(mosaic(pictures, *size)))
            print(f"\n{size[0]}x{size[1]}, {size[0] * size[1] / 1e6:.2f} megapixels\n")
            show_commands(png, size[0] * size[1] / 1e6)
            show_parts(png, size[0] * size[1] / 1e6)
    show_peak(mosaic(pictures, *SIZES[2]))


def show_commands(png, megapixels):
    print("| command | encode s | MP/s | MB | bytes | decode s | MP/s | MB |\n|---|---|---|---|---|---|---|---|")
    for name, commands in COMMANDS.items():
        cells, given = [], png
        for command in commands:
            if not shutil.which(command[0]):
                cells.append(f"{command[0]} is not installed")
                break
            made = png.with_name("made" + Path(next(part for part in command if part.startswith("OUT"))).suffix)
            line = [{"IN": str(given)}.get(part, str(made) if part.startswith("OUT") else part) for part in command]
            seconds, memory = median(lambda line=line, made=made: timed_process(line, made), megapixels)
            cells.append(f"{seconds:.2f} | {megapixels / seconds:.2f} | {memory:.0f}")
            if given == png:
                cells.append(f"{made.stat().st_size}")
            given = made
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def timed_process(command, made):
    """(seconds, most megabytes of resident memory) of a command that writes the file `made`."""
    made.unlink(missing_ok=True)
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return seconds, usage.ru_maxrss / 1e3


def median(function, megapixels):
    """The median, by its first number, of what `function` gives in RUNS calls."""
    return sorted(function() for _ in range(1 if megapixels > MANY else RUNS))[(megapixels <= MANY) * (RUNS // 2)]


def show_parts(png, megapixels):
    encode_parts(png), decode_parts(png)  # which loads the networks
    for name, function in (("encode -e 0", encode_parts), ("decode", decode_parts)):
        runs = [function(png) for _ in range(1 if megapixels > MANY else RUNS)]
        parts = {part: statistics.median(run[part] for run in runs) for part in runs[0]}
        text = ", ".join(f"{part} {seconds:.3f}" for part, seconds in parts.items())
        print(f"\n{name}, s: {text}; together {sum(parts.values()):.2f}, {megapixels / sum(parts.values()):.2f} MP/s")


def encode_parts(png):
    """{part: seconds} of `encode -e 0`; writes a file beside `png`."""
    model, parts, lap = load_model(), {}, Lap()
    pixels = read_image(read_bytes(png)).pixels
    parts["read"] = lap()
    latents = analyze(model.transform, pixels, Q)
    parts["analysis"] = lap()
    header = Header(*pixels.shape[1::-1], Q, CoderId.LEARNED, model.fingerprint)
    coder, table = coder_of(CoderId.LEARNED, model), model.static_tables["latents"]
    with Shares() as shares:
        segments, tokens = encode_segments(lambda s: source(s.crop(latents), Q, coder, table), coder, header)
    parts |= shares.of(lap())
    write_bytes(png.with_suffix(".odp"), pack(header, segments), force=True)
    parts["write"] = lap()
    return parts


def decode_parts(png):
    """{part: seconds} of decoding the file beside `png`."""
    parts, data = {}, read_bytes(png.with_name("made.odp"))
    lap = Lap()
    with Shares() as shares:
        contents = read(data)
    parts |= shares.of(lap())
    size = contents.header.height, contents.header.width
    pixels = synthesize(contents.model.transform, contents.tokens, contents.header.q, LOOKS[0], size)
    parts["synthesis"] = lap()
    write_bytes(png.with_name("parts.png"), write_image(pixels), force=True)
    parts["write"] = lap()
    return parts


class Lap:
    """A call gives the seconds since the last one."""

    def __init__(self):
        self._last = time.perf_counter()

    def __call__(self):
        last, self._last = self._last, time.perf_counter()
        return self._last - last
