"""Memory of a very large picture: the most that encoding and decoding take beyond the picture's own bytes.

    python benchmarks/memory.py FOLDER [MEGAPIXELS]

The picture, a mosaic of the photographs in FOLDER of about MEGAPIXELS (default: 200), is kept as PNG. Prints of each
command the seconds and the peak of resident memory, less three bytes a pixel, in MiB.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from mosaics import mosaic, read_folder

from odpiece.formats.images import write_image

PIECE = 64
CASES = (  # (options of encode, options of decode)
    (["-q", "64", "-e", "0"], []),
    (["-q", "64", "-e", "1"], ["--look", "natural"]),
    (["-q", "1024", "-e", "0"], []),
    (["-q", "1024", "-e", "1"], ["--look", "natural"]),
    (["-q", "4096", "-e", "0"], []),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("megapixels", type=float, nargs="?", default=200.0)
    options = parser.parse_args()
    side = round((options.megapixels * 1e6) ** 0.5 / PIECE) * PIECE
    with tempfile.TemporaryDirectory() as folder:
        png, odp, out = (str(Path(folder, name)) for name in ("picture.png", "picture.odp", "decoded.png"))
        # in a process of its own: a child's peak counts what its parent had when it was made
        child = get_context("spawn").Process(target=write_picture, args=(png, options.folder, side))
        child.start()
        child.join()
        print(f"{side}x{side} pixels, PNG of {os.path.getsize(png) / 1e6:.0f} MB\n")
        print("| command | seconds | MiB beyond the picture | bytes |\n|---|---|---|---|")
        for encoding, decoding in CASES:
            show(["encode", png, "-o", odp, *encoding], side, odp)
            show(["decode", odp, "-o", out, *decoding], side, out)


def write_picture(path, folder, side):
    Path(path).write_bytes(write_image(mosaic(read_folder(folder), side, side)))


def show(arguments, side, made):
    """Run a command of odpiece that writes the file `made`, and print its line of the table."""
    started = time.perf_counter()
    program = str(Path(sys.executable).with_name("odpiece"))
    child = subprocess.Popen([program, *arguments, "--force", "--quiet", "--max-pixels", str(side**2)])
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {child.returncode}")
    beyond = usage.ru_maxrss / 1024 - 3 * side**2 / 2**20
    named = " ".join(part for part in arguments if os.sep not in part and part != "-o")
    print(f"| {named} | {seconds:.0f} | {beyond:.0f} | {os.path.getsize(made)} |", flush=True)


if __name__ == "__main__":
    main()
