"""Quality by the number of tokens kept: One-D-Piece trained with and without Tail Token Drop, and the default model.

python scripts/tail_drop.py PHOTOS RUN_WITH RUN_WITHOUT OTHER_PHOTOS > docs/tail_drop.md

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
from odpiece.models.training.one_d_piece_loop import PREFIXES, SHOWN, load_averaged, psnr_by_prefix

QUALITY = 1024
COMMAND = """\
    odpiece train one-d-piece --preset tiny --data PHOTOS --overfit {count} --batch 4 --minutes {minutes:g} \\
        --{drop} --out {run}"""
HEAD = """\
# Quality by the number of tokens kept

Tail Token Drop trains a tokenizer on random numbers of first tokens, so that the first ones carry most. Below, the same
network (preset `tiny`), the same {count} pictures of 256x256 and the same {minutes:g} minutes on one CPU core, with and without:
"""
AFTER = """\
    python scripts/tail_drop.py PHOTOS RUN_WITH RUN_WITHOUT OTHER_PHOTOS > docs/tail_drop.md

Mean PSNR (dB) on the {count} pictures that both were trained on:

| tokens decoded | with, {with_steps} steps | without, {without_steps} steps |
|---|---|---|"""
DEFAULT = """
The default model, files of `-q {quality}`, the first k tokens of every 64x64 piece decoded (a picture of 256x256 has 16
pieces). Mean PSNR (dB) on the {count} pictures above, and on {others} of 512x512 that were never trained on:

| tokens a piece | pictures above | never trained on |
|---|---|---|"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("photos", "run_with", "run_without", "other_photos"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    squares = middle_squares(options.photos, SHOWN)
    runs = [options.run_with, options.run_without]
    steps, minutes = zip(*(_length(run) for run in runs))
    facts = {"count": len(squares), "minutes": min(minutes), "with_steps": steps[0], "without_steps": steps[1]}
    print(HEAD.format(**facts))
    for drop, run in (("drop", "RUN_WITH"), ("no-drop", "RUN_WITHOUT")):
        print(COMMAND.format(drop=drop, run=run, **facts))
    print(AFTER.format(**facts))
    tables = [psnr_by_prefix(load_averaged(run / "checkpoint.pt"), squares) for run in runs]
    for k in PREFIXES:
        print(f"| {k} | " + " | ".join(f"{table[k]:.2f}" for table in tables) + " |")
    _default_model(squares, read_folder(options.other_photos))


def _length(run):
    """Steps and minutes of a run, of the last line of its log."""
    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    return last["step"], round(last["minutes"])


def _default_model(squares, others):
    print(DEFAULT.format(count=len(squares), others=len(others), quality=QUALITY))
    folders = [(pictures, [encode(pixels, QUALITY) for pixels in pictures]) for pictures in (squares, others)]
    for k in PREFIXES:
        print(f"| {k} | " + " | ".join(f"{_mean_psnr(*folder, k):.2f}" for folder in folders) + " |", flush=True)


def _mean_psnr(pictures, files, tokens):
    return np.mean([psnr(pixels, decode(data, tokens=tokens)) for pixels, data in zip(pictures, files)])


if __name__ == "__main__":
    main()
