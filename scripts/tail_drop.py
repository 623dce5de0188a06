"""The tables of docs/tail_drop.md: quality by the number of tokens kept, of two runs and of the default model.

python scripts/tail_drop.py PHOTOS RUN_WITH RUN_WITHOUT OTHER_PHOTOS

PHOTOS is the folder of both runs of `odpiece train one-d-piece --overfit 64`; OTHER_PHOTOS was never trained on.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from pictures import read_folder

from odpiece.codec import decode, encode
from odpiece.codec.targets import psnr
from odpiece.models.training.data import middle_squares
from odpiece.models.training.one_d_piece.loop import PREFIXES, SHOWN, load_averaged, psnr_by_prefix

QUALITY = 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("photos", "run_with", "run_without", "other_photos"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    squares = middle_squares(options.photos, SHOWN)
    print_runs(squares, options.run_with, options.run_without)
    print_default_model(squares, read_folder(options.other_photos))


def print_runs(squares, run_with, run_without):
    with_steps, without_steps = (_steps(run) for run in (run_with, run_without))
    print(f"| tokens decoded | with, {with_steps} steps | without, {without_steps} steps |\n|---|---|---|")
    tables = [psnr_by_prefix(load_averaged(run / "checkpoint.pt"), squares) for run in (run_with, run_without)]
    for k in PREFIXES:
        print(f"| {k} | " + " | ".join(f"{table[k]:.2f}" for table in tables) + " |")


def _steps(run):
    return json.loads((run / "log.jsonl").read_text().splitlines()[-1])["step"]


def print_default_model(squares, others):
    print("\n| tokens a piece | pictures above | never trained on |\n|---|---|---|")
    folders = [(pictures, [encode(pixels, QUALITY) for pixels in pictures]) for pictures in (squares, others)]
    for k in PREFIXES:
        print(f"| {k} | " + " | ".join(f"{_mean_psnr(*folder, k):.2f}" for folder in folders) + " |")


def _mean_psnr(pictures, files, tokens):
    return np.mean([psnr(pixels, decode(data, tokens=tokens)) for pixels, data in zip(pictures, files)])


if __name__ == "__main__":
    main()
