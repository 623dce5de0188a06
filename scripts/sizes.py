"""Whether pictures of all sizes come out in the right colours.

    python scripts/sizes.py colours [--dozen]  flat colours of 128 to 2048 pixels: how far the mean colour is off
    python scripts/sizes.py middles [--dozen]  the same tokens among 4x4 to 32x32 pieces: how the middle one changes
    python scripts/sizes.py blocks FOLDER      photographs: PSNR, and blocks of 64x64 whose mean is off by over 12
    python scripts/sizes.py tiles FOLDER       photographs, not coded smaller, beside their tiles of 256x256 that know
                                               nothing of each other

All by the default model, in grey levels of 0 to 255; with -j N in so many processes, with -e at another effort. All of
it takes hours: -q, --sides and --dozen, or --count and --middle, take a part.
"""

import argparse
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from pictures import files_of, read_folder
from processes import map_with_bar

from odpiece.codec import decode, encode
from odpiece.codec.bands.tokens import Tokens
from odpiece.codec.bands.windows import crop_tokens, synthesize
from odpiece.codec.family import EFFORT
from odpiece.codec.files import read, scaled
from odpiece.codec.targets import psnr
from odpiece.formats import container
from odpiece.formats.scales import AUTO
from odpiece.models.interface import LOOKS, PIECE
from odpiece.models.library import load_model

GRID = tuple(product((0, 64, 128, 191, 255), repeat=3))
DOZEN = GRID[2::11]
SIDES = (128, 512, 1024, 2048)  # pixels
FEWEST, AMONG = 4, (8, 16, 32)  # pieces along a side
QUALITIES = (64, 1024)
TILE, TILE_QUALITIES = 256, (16, 64, 256, 1024)
OFF = 12.0  # levels


def flat(colour, side):
    return np.full((side, side, 3), colour, np.uint8)


def colour_errors(options, colour):
    """float (sides, qualities): how far the mean of a flat picture is off, in its worst channel."""
    errors = np.empty((len(options.sides), len(options.qualities)))
    for (i, side), (j, q) in product(enumerate(options.sides), enumerate(options.qualities)):
        got = decode(encode(flat(colour, side), q, effort=options.effort))
        errors[i, j] = np.abs(got.mean(axis=(0, 1)) - colour).max()
    return errors


def middle_changes(options, colour):
    """float (sides, qualities): the largest change of a pixel of the middle piece from that among 4x4 pieces."""
    changes = np.empty((len(options.sides), len(options.qualities)))
    for j, q in enumerate(options.qualities):
        tokens = read(encode(flat(colour, FEWEST * PIECE), q, effort=options.effort)).tokens
        piece = crop_tokens(tokens, (slice(1, 2), slice(1, 2)))
        first = middle(piece, FEWEST, q)
        changes[:, j] = [np.abs(middle(piece, n, q) - first).max() for n in options.sides]
    return changes


def middle(piece, count, q):
    """float (64, 64, 3): the middle one of `count` x `count` pieces of the same Tokens."""
    tokens = Tokens(np.tile(piece.lengths, (count, count)), tuple(np.tile(z, (1, count, count)) for z in piece.bands))
    pixels = synthesize(load_model().transform, tokens, q, LOOKS[0], (count * PIECE, count * PIECE))
    start = count // 2 * PIECE
    return pixels[start : start + PIECE, start : start + PIECE].astype(float)


def print_worst(title, options, measure):
    grid = DOZEN if options.dozen else GRID
    values = np.array(map_with_bar(partial(measure, options), grid, options.jobs))
    print(f"| {title} | q | mean | worst | of colour |")
    print("|---|---|---|---|---|")
    for (i, side), (j, q) in product(enumerate(options.sides), enumerate(options.qualities)):
        column = values[:, i, j]
        print(f"| {side} | {q} | {column.mean():.2f} | {column.max():.2f} | {grid[column.argmax()]} |")


def colours(options):
    print_worst("pixels a side", options, colour_errors)


def middles(options):
    print_worst("pieces a side", options, middle_changes)


def block_means(pixels):
    """float (rows, columns, 3): means of 64x64 blocks, those at the lower and right edge may be smaller."""
    sums = np.ones((*pixels.shape[:2], 4))
    sums[..., :3] = pixels
    for axis in (0, 1):
        sums = np.add.reduceat(sums, range(0, pixels.shape[axis], PIECE), axis=axis)
    return sums[..., :3] / sums[..., 3:]


def coded(picture, q, effort):
    """(file, pixels decoded) of a Scaled."""
    scale = picture.best(q)
    part = picture.at(scale)
    data = part.encode(q * scale**2, effort=effort)
    return data, part.decoded(data)


def without_header(data):
    """The bytes of a file but for its header."""
    return len(data) - len(container.pack(container.unpack(data)[0], b""))


def block_errors(options, pixels):
    """{(effort, q): (bytes, bits a pixel, PSNR, float (blocks,), how far each mean is off in its worst channel)}."""
    wanted, found, picture = block_means(pixels), {}, scaled(pixels, scale=options.scale)
    for effort, q in product(options.efforts, options.qualities):
        data, got = coded(picture, q, effort)
        errors = np.abs(block_means(got) - wanted).max(axis=2).ravel()
        found[effort, q] = len(data), 8 * len(data) / pixels[..., 0].size, psnr(pixels, got), errors
    return found


def blocks(options):
    names, found = measured(block_errors, options)
    print("| effort | q | bytes | bits a pixel | PSNR dB (worst) | off (worst picture) | worst block | in |")
    print("|---|---|---|---|---|---|---|---|")
    for effort, q in found[0]:
        sizes, rates, scores, errors = zip(*(row[effort, q] for row in found))
        worst, shares = [e.max() for e in errors], [100 * (e > OFF).mean() for e in errors]
        share = f"{100 * np.mean(np.concatenate(errors) > OFF):.2f} % ({max(shares):.1f} %)"
        scored = f"{np.mean(sizes):,.0f} | {np.mean(rates):.4f} | {np.mean(scores):.2f} ({min(scores):.2f})"
        print(f"| {effort} | {q} | {scored} | {share} | {max(worst):.1f} | {names[np.argmax(worst)]} |")


def measured(measure, options):
    """(names, what `measure` gives of the options and of each picture)."""
    names = [path.name for path in files_of(options.folder, options.count)]
    pictures = [middle_of(pixels, options.middle) for pixels in read_folder(options.folder, options.count)]
    return names, map_with_bar(partial(measure, options), pictures, options.jobs)


def middle_of(pixels, most):
    """`pixels` without what makes a side longer than `most` pixels, a multiple of TILE, if that is given."""
    starts = [max(0, side - most) // 2 if most else 0 for side in pixels.shape[:2]]
    return np.ascontiguousarray(pixels[tuple(slice(start, most and start + most) for start in starts)])


def whole_and_tiles(options, pixels):
    """float (qualities, 4): PSNR and bytes of the whole picture, PSNR and bytes of its tiles together."""
    whole, places = scaled(pixels, scale=1), tiled(pixels)
    parts = [scaled(np.ascontiguousarray(pixels[place]), scale=1) for place in places]
    rows = []
    for q in options.qualities:
        data, got = coded(whole, q, options.effort)
        files, tiles = zip(*(coded(part, q, options.effort) for part in parts))
        joined = np.empty_like(pixels)
        for place, tile in zip(places, tiles):
            joined[place] = tile
        rows.append((psnr(pixels, got), without_header(data), psnr(pixels, joined), sum(map(without_header, files))))
    return np.array(rows)


def tiled(pixels):
    """The places of its tiles, pairs of slices."""
    corners = product(*(range(0, side, TILE) for side in pixels.shape[:2]))
    return [(slice(top, top + TILE), slice(left, left + TILE)) for top, left in corners]


def tiles(options):
    names, found = measured(whole_and_tiles, options)
    found = np.array(found)
    print("| q | picture | whole dB | tiles dB | difference | whole bytes | tiles bytes | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for j, q in enumerate(options.qualities):
        rows = found[:, j]
        for i in (rows[:, 0] - rows[:, 2]).argsort():
            print(tile_row(q, names[i], rows[i]))
        print(tile_row(q, "**mean**", rows.mean(axis=0)))


def tile_row(q, name, values):
    a, size, b, total = values
    cells = f"{a:.2f}", f"{b:.2f}", f"{a - b:+.2f}", f"{size:.0f}", f"{total:.0f}", f"{100 * (size / total - 1):+.1f} %"
    return f"| {q} | {name} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for run in (colours, middles, blocks, tiles):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("-j", "--jobs", type=int, default=1, help="processes [1]")
        qualities = TILE_QUALITIES if run is tiles else QUALITIES
        command.add_argument("-q", "--qualities", type=int, nargs="+", default=qualities, help=listed(qualities))
        if run in (blocks, tiles):
            command.add_argument("folder", type=Path)
            command.add_argument("--count", type=int, help="about so many of the pictures [all]")
            command.add_argument("--middle", type=int, help="of each at most so many pixels along a side [all]")
        else:
            sides = SIDES if run is colours else AMONG
            command.add_argument("--sides", type=int, nargs="+", default=sides, help=listed(sides))
            command.add_argument("--dozen", action="store_true", help=f"{len(DOZEN)} colours instead of {len(GRID)}")
        if run is blocks:
            command.add_argument("-e", "--efforts", type=int, nargs="+", default=(EFFORT, 0), help=f"[{EFFORT} 0]")
            command.add_argument("--scale", default=AUTO, help=f"1, 1/2, 1/4 or {AUTO} [{AUTO}]")
        else:
            command.add_argument("-e", "--effort", type=int, default=EFFORT, help=f"[{EFFORT}]")
    options = parser.parse_args()
    model = load_model()
    print(f"{model.name} ({model.fingerprint.hex()})\n", flush=True)
    options.run(options)


def listed(values):
    return f"[{' '.join(map(str, values))}]"


if __name__ == "__main__":
    main()
