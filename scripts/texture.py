"""Mesh and texture of decoded photographs, for each look and quality.

    python scripts/texture.py FOLDER [-j N] [-e EFFORT] [-q Q ..]

"Mesh": in the parts that are flat in the originals, the power of the strongest line of period 16 and of 8 pixels (and
their harmonics) over that of the frequencies beside it; 1 where there is none. "Contrast": the deviation of high
frequencies in regions of 32x32 pixels over that of the original, the mean, where the original has texture; "flat": the
same where it has none, of the means; "worst": the picture where the contrast is farthest from 1.
"""

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from pictures import read_folder
from processes import map_with_bar

from odpiece.codec import decode, encode
from odpiece.codec.comparison.texture import FLAT, contrasts, lightness, mesh_lines, mesh_spectrum
from odpiece.codec.family import EFFORT
from odpiece.models.interface import LOOKS

QUALITIES = (4, 16, 64, 256, 1024, 4096)


def measures(options, pixels):
    """{(look, q): (spectrum, strips, contrasts)} of one photograph."""
    original, found = lightness(pixels), {}
    for q in options.q:
        data = encode(pixels, q, effort=options.effort)
        for look in LOOKS:
            picture = lightness(decode(data, look=look))
            found[look, q] = *mesh_spectrum(picture, original), contrasts(picture, original)
    return found


def row(parts):
    """The cells of a line of the table: `parts` are the measures of all photographs."""
    lines = mesh_lines(sum(power for power, _, _ in parts), sum(count for _, count, _ in parts))
    textured = [both[:, both[1] >= FLAT] for _, _, both in parts]
    ratios = [decoded / original for decoded, original in textured]
    means = np.array([r.mean() for r in ratios if r.size])
    flat = np.concatenate([both[:, both[1] < FLAT] for _, _, both in parts], axis=1).mean(axis=1)
    worst = means[np.abs(np.log(means)).argmax()]
    return *lines.values(), np.concatenate(ratios).mean(), worst, flat[0] / flat[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-q", type=int, nargs="+", default=QUALITIES)
    parser.add_argument("-e", "--effort", type=int, default=EFFORT)
    parser.add_argument("-j", "--jobs", type=int, default=1)
    options = parser.parse_args()
    found = map_with_bar(partial(measures, options), read_folder(options.folder), options.jobs)
    print("| look | q | mesh of 16 | mesh of 8 | contrast | worst | flat |")
    print("|---|---|---|---|---|---|---|")
    for look, q in product(LOOKS, options.q):
        print(f"| {look} | {q} | {' | '.join(f'{value:.2f}' for value in row([part[look, q] for part in found]))} |")


if __name__ == "__main__":
    main()
