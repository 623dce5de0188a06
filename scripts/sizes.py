"""Whether pictures of all sizes come out in the right colours.

    python scripts/sizes.py colours [--dozen]  flat colours of 128 to 2048 pixels: how far the mean colour is off
    python scripts/sizes.py middles [--dozen]  the same tokens among 4x4 to 32x32 pieces: how the middle one changes
    python scripts/sizes.py blocks FOLDER      photographs: 64x64 blocks whose mean is off by more than 12 levels
    python scripts/sizes.py tiles FOLDER       photographs beside their tiles of 256x256 that know nothing of each other

All by the default model, in grey levels of 0 to 255; with -j N in so many processes, with -e at another effort.
"""

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from pictures import read_folder
from processes import map_with_bar

from odpiece.codec import decode, encode
from odpiece.codec.bands.tokens import Tokens
from odpiece.codec.bands.windows import crop_tokens, synthesize
from odpiece.codec.family import EFFORT
from odpiece.codec.files import read
from odpiece.codec.targets import psnr
from odpiece.formats import container
from odpiece.models.interface import LOOKS, PIECE
from odpiece.models.library import load_model

GRID = tuple(product((0, 64, 128, 191, 255), repeat=3))
DOZEN = GRID[2::11]
SIDES = (128, 512, 1024, 2048)  # pixels
AMONG = (4, 8, 16, 32)  # pieces along a side
QUALITIES = (64, 1024)
TILE, TILE_QUALITIES = 256, (16, 64, 256, 1024)
OFF = 12.0  # levels


def flat(colour, side):
    return np.full((side, side, 3), colour, np.uint8)


def colour_errors(effort, colour):
    """float (SIDES, QUALITIES): how far the mean of a flat picture is off, in its worst channel."""
    errors = np.empty((len(SIDES), len(QUALITIES)))
    for (i, side), (j, q) in product(enumerate(SIDES), enumerate(QUALITIES)):
        got = decode(encode(flat(colour, side), q, effort=effort))
        errors[i, j] = np.abs(got.mean(axis=(0, 1)) - colour).max()
    return errors


def middle_changes(effort, colour):
    """float (AMONG, QUALITIES): the largest change of a pixel of the middle piece from that among 4x4 pieces."""
    changes = np.empty((len(AMONG), len(QUALITIES)))
    for j, q in enumerate(QUALITIES):
        tokens = read(encode(flat(colour, AMONG[0] * PIECE), q, effort=effort)).tokens
        piece = crop_tokens(tokens, (slice(1, 2), slice(1, 2)))
        middles = [middle(piece, n, q) for n in AMONG]
        changes[:, j] = [np.abs(m - middles[0]).max() for m in middles]
    return changes


def middle(piece, count, q):
    """float (64, 64, 3): the middle one of `count` x `count` pieces of the same Tokens."""
    tokens = Tokens(np.tile(piece.lengths, (count, count)), tuple(np.tile(z, (1, count, count)) for z in piece.bands))
    pixels = synthesize(load_model().transform, tokens, q, LOOKS[0], (count * PIECE, count * PIECE))
    start = count // 2 * PIECE
    return pixels[start : start + PIECE, start : start + PIECE].astype(float)


def print_worst(title, heads, values, colours):
    """`values` are float (colours, heads, QUALITIES)."""
    print(f"| {title} | q | mean | worst | of colour |")
    print("|---|---|---|---|---|")
    for (i, head), (j, q) in product(enumerate(heads), enumerate(QUALITIES)):
        column = values[:, i, j]
        print(f"| {head} | {q} | {column.mean():.2f} | {column.max():.2f} | {colours[column.argmax()]} |")


def colours(options):
    grid = DOZEN if options.dozen else GRID
    values = np.array(map_with_bar(partial(colour_errors, options.effort), grid, options.jobs))
    print_worst("pixels a side", SIDES, values, grid)


def middles(options):
    grid = DOZEN if options.dozen else GRID
    values = np.array(map_with_bar(partial(middle_changes, options.effort), grid, options.jobs))
    print_worst("pieces a side", AMONG, values, grid)


def block_means(pixels):
    """float (rows, columns, 3): means of 64x64 blocks, those at the lower and right edge may be smaller."""
    sums = np.ones((*pixels.shape[:2], 4))
    sums[..., :3] = pixels
    for axis in (0, 1):
        sums = np.add.reduceat(sums, range(0, pixels.shape[axis], PIECE), axis=axis)
    return sums[..., :3] / sums[..., 3:]


def block_errors(pixels):
    """{(effort, q): float (blocks,), how far each block's mean is off in its worst channel}."""
    wanted, errors = block_means(pixels), {}
    for effort, q in product((EFFORT, 0), QUALITIES):
        got = block_means(decode(encode(pixels, q, effort=effort)))
        errors[effort, q] = np.abs(got - wanted).max(axis=2).ravel()
    return errors


def blocks(options):
    names = names_of(options.folder)
    found = map_with_bar(block_errors, read_folder(options.folder), options.jobs)
    print(f"| effort | q | blocks off by more than {OFF:.0f} levels | worst block | in | worst picture | is |")
    print("|---|---|---|---|---|---|---|")
    for effort, q in found[0]:
        errors = [errors[effort, q] for errors in found]
        worst, shares = np.array([e.max() for e in errors]), np.array([(e > OFF).mean() for e in errors])
        share = 100 * np.mean(np.concatenate(errors) > OFF)
        cells = f"{share:.2f} %", f"{worst.max():.1f}", names[worst.argmax()]
        print(f"| {effort} | {q} | {' | '.join(cells)} | {100 * shares.max():.1f} % | {names[shares.argmax()]} |")


def coded(pixels, q, effort):
    """(bytes without the header, pixels decoded)."""
    data = encode(pixels, q, effort=effort)
    header = container.unpack(data)[0]
    return len(data) - len(container.pack(header, b"")), decode(data)


def whole_and_tiles(effort, pixels):
    """float (TILE_QUALITIES, 4): PSNR and bytes of the whole picture, PSNR and bytes of its tiles together."""
    return np.array([_whole_and_tiles(pixels, q, effort) for q in TILE_QUALITIES])


def _whole_and_tiles(pixels, q, effort):
    size, whole = coded(pixels, q, effort)
    tiled, total = np.empty_like(pixels), 0
    for top, left in product(*(range(0, n, TILE) for n in pixels.shape[:2])):
        place = slice(top, top + TILE), slice(left, left + TILE)
        count, tiled[place] = coded(np.ascontiguousarray(pixels[place]), q, effort)
        total += count
    return psnr(pixels, whole), size, psnr(pixels, tiled), total


def tiles(options):
    names = names_of(options.folder)
    found = np.array(map_with_bar(partial(whole_and_tiles, options.effort), read_folder(options.folder), options.jobs))
    print("| q | picture | whole dB | tiles dB | difference | whole bytes | tiles bytes | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for j, q in enumerate(TILE_QUALITIES):
        rows = found[:, j]
        for i in (rows[:, 0] - rows[:, 2]).argsort():
            print(tile_row(q, names[i], rows[i]))
        print(tile_row(q, "**mean**", rows.mean(axis=0)))


def tile_row(q, name, values):
    a, size, b, total = values
    cells = f"{a:.2f}", f"{b:.2f}", f"{a - b:+.2f}", f"{size:.0f}", f"{total:.0f}", f"{100 * (size / total - 1):+.1f} %"
    return f"| {q} | {name} | {' | '.join(cells)} |"


def names_of(folder):
    """Of the pictures that `read_folder` gives."""
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for run in (colours, middles, blocks, tiles):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("-j", "--jobs", type=int, default=1, help="processes [1]")
        if run in (blocks, tiles):
            command.add_argument("folder", type=Path)
        else:
            command.add_argument("--dozen", action="store_true", help=f"{len(DOZEN)} colours instead of {len(GRID)}")
        if run is not blocks:  # which looks at two efforts
            command.add_argument("-e", "--effort", type=int, default=EFFORT, help=f"[{EFFORT}]")
    options = parser.parse_args()
    model = load_model()
    print(f"{model.name} ({model.fingerprint.hex()})\n")
    options.run(options)


if __name__ == "__main__":
    main()
