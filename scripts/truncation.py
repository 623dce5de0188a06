"""What truncating costs: files cut down to N tokens a piece beside files encoded at N directly.

python scripts/truncation.py FOLDER > docs/truncation.md
"""

import argparse
from pathlib import Path

import numpy as np
from pictures import read_folder

from odpiece.codec import decode, encode, truncate
from odpiece.codec.targets import psnr

FROM = (64, 256, 1024)
TO = (1, 4, 16, 64, 256)
HEAD = """# Truncating instead of encoding again

`odpiece truncate in.odp -q N` keeps the first N tokens of every piece and the quantization step of the
original quality; `odpiece encode -q N` takes the coarser step that suits N tokens. Mean bytes and PSNR (dB) over
{count} pictures, made by `scripts/truncation.py`:

| tokens | encoded at N | {columns} |
|---|---|{rule}|"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    pictures = read_folder(parser.parse_args().folder)
    encoded = {q: [encode(pixels, q) for pixels in pictures] for q in sorted({*FROM, *TO})}
    columns = " | ".join(f"truncated from -q {q}" for q in FROM)
    print(HEAD.format(count=len(pictures), columns=columns, rule="|".join("---" for _ in FROM)))
    for n in TO:
        cells = [_cell(pictures, encoded[n])]
        cells += [_cell(pictures, [truncate(data, n) for data in encoded[q]]) if q > n else "" for q in FROM]
        print(f"| {n} | " + " | ".join(cells) + " |")


def _cell(pictures, files):
    quality = np.mean([psnr(pixels, decode(data)) for pixels, data in zip(pictures, files)])
    return f"{np.mean([len(data) for data in files]):.0f} B, {quality:.2f}"


if __name__ == "__main__":
    main()
