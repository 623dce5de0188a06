"""BD-rates of odpiece by ranges of bits a pixel, from the CSV that `odpiece compare --csv` writes.

    python scripts/rate_ranges.py FILES.csv

Of each picture, codec and metric the envelope of all files, at any scale; ends of a range that lie between two files
are interpolated in the logarithm of bits. The table has the median over the pictures, and in brackets the worst one.
"""

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from odpiece.codec.comparison.curves import bd_rate, envelope

RANGES = (0.003, 0.05), (0.05, 0.2), (0.2, 1.5)  # bits a pixel
LEAST = 0.1  # of a metric's scale between the ends of what two curves share, in dB
REFERENCE = "odpiece"


def read_curves(path):
    """{metric: {codec: {picture: (bits a pixel, score) of its files}}}; MS-SSIM counts in dB."""
    curves = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            for metric in ("psnr", "ms-ssim"):
                if row.get(metric):
                    score = float(row[metric]) if metric == "psnr" else -10 * np.log10(1 - float(row[metric]))
                    curves[metric][row["codec"]][row["picture"]].append((float(row["bpp"]), score))
    return curves


def within(points, low, high):
    """The envelope of `points` from `low` to `high` bits a pixel, as far as it reaches: (n, 2)."""
    curve = envelope(points)
    bits, scores = np.log(curve[:, 0]), curve[:, 1]
    ends = np.clip(np.log([low, high]), bits[0], bits[-1])
    inner = bits[(bits > ends[0]) & (bits < ends[1])]
    knots = np.concatenate([ends[:1], inner, ends[1:]])
    return np.column_stack([np.exp(knots), np.interp(knots, bits, scores)])


def rates(ours, theirs, low, high):
    """BD-rates in percent against `theirs`, of the pictures whose curves share enough of the range."""
    found = []
    for picture in ours.keys() & theirs.keys():
        a, b = (within(curves[picture], low, high) for curves in (theirs, ours))
        if min(a[-1, 1], b[-1, 1]) - max(a[0, 1], b[0, 1]) >= LEAST:
            found.append(bd_rate(a, b))
    return found


def cell(found):
    return f"{np.median(found):+.1f} % ({max(found):+.1f} %), {len(found)}" if found else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("csv", type=Path)
    curves = read_curves(parser.parse_args().csv)
    for metric, by_codec in curves.items():
        if REFERENCE not in by_codec:
            sys.exit(f"there are no files of {REFERENCE} in it")
        print(f"\n| {metric} | " + " | ".join(f"{low} to {high} bits a pixel" for low, high in RANGES) + " |")
        print("|---" * (len(RANGES) + 1) + "|")
        for peer in sorted(by_codec.keys() - {REFERENCE}):
            cells = [cell(rates(by_codec[REFERENCE], by_codec[peer], *ends)) for ends in RANGES]
            print(f"| {peer} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
