"""Megapixels per second on the CPU and on a GPU, by each backend that is there.

    python benchmarks/devices.py FOLDER [MEGAPIXELS ...]

Pictures are mosaics of the photographs in FOLDER, of about so many megapixels (default: those of SIZES), at q = 64 and
1024. One process, whose networks are loaded; the median of RUNS. Reading and writing of files are not in it.
"""

import argparse
import statistics
import time
from itertools import product
from pathlib import Path

from mosaics import mosaic, read_folder

from odpiece.codec import decode, encode
from odpiece.formats.errors import OdpieceError
from odpiece.models.backends import BACKENDS
from odpiece.models.library import load_model

SIZES = 0.4, 2, 12  # megapixels
QUALITIES = 64, 1024
RUNS = 3


def models():
    """{(backend, device): Model} of those that can be used here; the others are named."""
    found = {}
    for place in product(BACKENDS, ("cpu", "cuda")):
        try:
            found[place] = load_model(backend=place[0], device=place[1])
        except OdpieceError as error:
            print(f"{' '.join(place)}: {error}")
    return found


def seconds(function):
    """The median time of RUNS calls, after one that does not count."""
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def rates(pixels, q, model):
    """Megapixels a second of `encode -e 0`, `encode`, and `decode` in each look."""
    data = encode(pixels, q, model=model)
    runs = (
        lambda: encode(pixels, q, effort=0, model=model),
        lambda: encode(pixels, q, model=model),
        lambda: decode(data, model=model),
        lambda: decode(data, model=model, look="natural"),
    )
    return [pixels[..., 0].size / 1e6 / seconds(run) for run in runs]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("megapixels", type=float, nargs="*", default=SIZES)
    options = parser.parse_args()
    pictures, found = read_folder(options.folder), models()
    print("| backend | device | megapixels | q | encode -e 0 | encode | decode | natural |\n" + "|---" * 8 + "|")
    for megapixels, q, (place, model) in product(options.megapixels, QUALITIES, found.items()):
        side = round((megapixels * 1e6) ** 0.5)
        cells = " | ".join(f"{rate:.1f}" for rate in rates(mosaic(pictures, side, side), q, model))
        print(f"| {' | '.join(place)} | {megapixels:g} | {q} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
