"""odpiece beside WebP at equal bytes, on pictures that nobody trained for (stress_pictures.py).

    python scripts/stress.py [NAME ...] [--count N] [-q Q ...] [-e N ...] [-j N] [--json FILE] [--save FOLDER]

Each picture is encoded at q = 64, 256 and 1024, at the usual effort and without search, and compared with WebP of the
same bytes, at the better of its scales. Prints how much higher odpiece's PSNR is, worst first, and how many files
are more than 3 dB behind. Above 48.13 dB, where every pixel is off by a level, nobody sees a difference:
higher values count as that. NAMEs choose pictures by a part of their names, --count about so many of them.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from processes import map_with_bar
from stress_pictures import stress_pictures

from odpiece.codec import decode, encode
from odpiece.codec.comparison.curves import score_at
from odpiece.codec.comparison.peers import find_peer
from odpiece.codec.family import EFFORT
from odpiece.codec.targets import psnr
from odpiece.models.library import load_model

QUALITIES = (64, 256, 1024)
EFFORTS = (EFFORT, 0)
HIGHEST = 20 * np.log10(255)  # dB of a picture that is off by a level everywhere
BEHIND = 3.0  # dB
FINEST = (94, 100)  # qualities of WebP beyond those of comparisons, for files as large as those of q = 1024


def seen_psnr(a, b):
    """PSNR in dB, at most HIGHEST."""
    return min(psnr(a, b), HIGHEST)


def webp_points(pixels, largest):
    """[(bytes, PSNR)] of WebP at all scales, by rising quality up to the first file of `largest` bytes."""
    webp, points = find_peer("webp"), []
    for scale in webp.scales:
        for quality in (*webp.qualities, *FINEST):
            data = webp.encode(pixels, quality, scale)
            points.append((len(data), seen_psnr(pixels, webp.decode(data, pixels.shape))))
            if len(data) > largest:
                break
    return points


def stress(qualities, efforts, name):
    """Rows, dicts, of the picture of this name: one for each quality and effort."""
    pixels, rows = np.ascontiguousarray(stress_pictures()[name]()), []
    for effort in efforts:
        for q in qualities:
            data = encode(pixels, q, effort=effort)
            score = seen_psnr(pixels, decode(data))
            rows.append({"picture": name, "q": q, "effort": effort, "bytes": len(data), "psnr": score})
    points = webp_points(pixels, max(row["bytes"] for row in rows))
    for row in rows:
        row["webp"] = score_at(points, row["bytes"])
        row["gain"] = row["psnr"] - row["webp"]
    return rows


def print_table(rows):
    """Worst first; last are the files than which no WebP is as small."""
    model = load_model()
    print(f"{model.name} ({model.fingerprint.hex()}), {len({row['picture'] for row in rows})} pictures\n")
    print("| picture | q | effort | bytes | PSNR dB | WebP | gain |")
    print("|---|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: np.nan_to_num(row["gain"], nan=np.inf)):
        webp, gain = ("none so small", "") if np.isnan(row["gain"]) else (f"{row['webp']:.2f}", f"{row['gain']:+.2f}")
        cells = row["picture"], row["q"], row["effort"], row["bytes"], f"{row['psnr']:.2f}", webp, gain
        print(f"| {' | '.join(map(str, cells))} |")


def print_counts(rows):
    print(f"\nMore than {BEHIND:.0f} dB behind WebP:\n")
    print("| q | effort | files | mean gain | worst | behind |")
    print("|---|---|---|---|---|---|")
    for q, effort in dict.fromkeys((row["q"], row["effort"]) for row in rows):
        gains = np.array([row["gain"] for row in rows if (row["q"], row["effort"]) == (q, effort)])
        known = gains[~np.isnan(gains)]
        summary = f"{known.mean():+.2f} dB | {known.min():+.2f} dB" if len(known) else " | "
        print(f"| {q} | {effort} | {len(gains)} | {summary} | {(known < -BEHIND).sum()} |")
    behind = [row for row in rows if row["gain"] < -BEHIND]
    print(f"\n{len(behind)} of {len(rows)} files, of {len({row['picture'] for row in behind})} pictures")


def save_pictures(names, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(stress_pictures()[name]()).save(folder / f"{name.replace(' ', '-')}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of the names of pictures [all]")
    parser.add_argument("--count", type=int, help="about so many of them, evenly spaced [all]")
    parser.add_argument("-q", "--qualities", type=int, nargs="+", default=QUALITIES)
    parser.add_argument("-e", "--efforts", type=int, nargs="+", default=EFFORTS)
    parser.add_argument("-j", "--jobs", type=int, default=1, help="processes [1]")
    parser.add_argument("--json", type=Path, help="write the rows to this file as well")
    parser.add_argument("--save", type=Path, help="write the pictures to this folder, and measure nothing")
    options = parser.parse_args()
    names = [n for n in stress_pictures() if not options.names or any(part in n for part in options.names)]
    names = names[:: max(1, len(names) // options.count) if options.count else 1]
    if options.save:
        save_pictures(names, options.save)
        return
    found = map_with_bar(partial(stress, options.qualities, options.efforts), names, options.jobs)
    rows = [row for part in found for row in part]
    print_table(rows)
    print_counts(rows)
    if options.json:
        options.json.write_text(json.dumps([_without_nan(row) for row in rows]))


def _without_nan(row):
    """`row` as JSON can hold it."""
    return {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in row.items()}


if __name__ == "__main__":
    main()
