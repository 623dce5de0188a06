"""Mesh and texture of decoded photographs, for each look and quality, and the word of judges that trained neither look.

    python scripts/texture.py FOLDER [-j N] [-e EFFORT] [-q Q ..] [--codecs webp avif ..]

"Mesh": in the parts that are flat in the originals, the power of the strongest line of period 16 and of 8 pixels (and
their harmonics) over that of the frequencies beside it; 1 where there is none. "Contrast": the deviation of high
frequencies in regions of 32x32 pixels over that of the original, the mean, where the original has texture; "flat": the
same where it has none, of the means; "worst": the picture where the contrast is farthest from 1. "Lost": PSNR below the
faithful look's, in dB. "Wasserstein" as in `odpiece compare`; "KID": the kernel distance of all patches of 64x64
pixels. 0 is the original in both, which need odpiece[compare,tasks]. Other codecs are seen in their best file, by PSNR
and at any scale, of at most the bytes of odpiece's, at the qualities where every photograph has one of about so many.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from pictures import read_folder
from processes import map_with_bar

from odpiece.codec import decode, encode
from odpiece.codec.comparison.kernel_distance import kernel_distance, patch_features
from odpiece.codec.comparison.measure import NEAR, Original, default_cache, measure
from odpiece.codec.comparison.peers import find_peer
from odpiece.codec.comparison.texture import FLAT, contrasts, lightness, mesh_lines, mesh_spectrum
from odpiece.codec.family import EFFORT
from odpiece.models.interface import LOOKS

QUALITIES = (4, 16, 64, 256, 1024, 4096)
HEAD = ("codec", "q", "mesh of 16", "mesh of 8", "contrast", "worst", "flat", "lost", "Wasserstein", "KID")


@dataclass(frozen=True)
class Seen:
    """One decoded photograph: what `mesh_spectrum` and `contrasts` give, scores by two metrics, features of patches of
    the original and its own.
    """

    spectrum: tuple
    contrasts: np.ndarray
    psnr: float
    wasserstein: float
    features: tuple


def measures(options, pixels):
    """{(look or codec, q): Seen} of one photograph."""
    original, features = Original(pixels), patch_features(pixels)
    peers = [find_peer(name) for name in options.codecs]
    trials = {peer: measure(original, peer, ("psnr",), default_cache()) for peer in peers}
    found = {}
    for q in options.q:
        data = encode(pixels, q, effort=options.effort)
        decoded = {look: decode(data, look=look) for look in LOOKS} | _at_bytes(original, trials, len(data))
        found |= {(name, q): _see(original, features, picture) for name, picture in decoded.items()}
    return found


def _at_bytes(original, trials, size):
    """{codec: its best picture of at most `size` bytes}, of those with one that is not much smaller."""
    found = {}
    for peer, files in trials.items():
        fitting = [trial for trial in files if size / NEAR <= trial.size <= size]
        if fitting:
            best = max(fitting, key=lambda trial: trial.scores["psnr"])
            data = peer.encode(original.pixels, best.quality, best.scale)
            found[peer.name] = peer.decode(data, original.pixels.shape)
    return found


def _see(original, features, decoded):
    both = lightness(decoded), lightness(original.pixels)
    scores = [original.score(metric, decoded) for metric in ("psnr", "wasserstein")]
    return Seen(mesh_spectrum(*both), contrasts(*both), *scores, (features, patch_features(decoded)))


def row(faithful, parts):
    """The cells of a line of the table: `parts` are the Seen of all photographs, `faithful` those of that look."""
    lines = mesh_lines(sum(part.spectrum[0] for part in parts), sum(part.spectrum[1] for part in parts))
    lost = np.mean([one.psnr - part.psnr for one, part in zip(faithful, parts)])
    distance = kernel_distance(*map(np.concatenate, zip(*(part.features for part in parts))))
    wasserstein = np.mean([part.wasserstein for part in parts])
    return *lines.values(), *_contrast_cells([part.contrasts for part in parts]), lost, wasserstein, distance


def _contrast_cells(regions):
    """(where there is texture, of the worst photograph, where there is none)."""
    textured = [both[:, both[1] >= FLAT] for both in regions]
    ratios = [decoded / original for decoded, original in textured]
    means = np.array([r.mean() for r in ratios if r.size])
    flat = np.concatenate([both[:, both[1] < FLAT] for both in regions], axis=1).mean(axis=1)
    return np.concatenate(ratios).mean(), means[np.abs(np.log(means)).argmax()], flat[0] / flat[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-q", type=int, nargs="+", default=QUALITIES)
    parser.add_argument("-e", "--effort", type=int, default=EFFORT)
    parser.add_argument("--codecs", nargs="+", default=())
    parser.add_argument("-j", "--jobs", type=int, default=1)
    options = parser.parse_args()
    found = map_with_bar(partial(measures, options), read_folder(options.folder), options.jobs)
    print(f"| {' | '.join(HEAD)} |\n{'|---' * len(HEAD)}|")
    for name, q in product((*LOOKS, *options.codecs), options.q):
        if all((name, q) in part for part in found):
            cells = row(*([part[key, q] for part in found] for key in (LOOKS[0], name)))
            print(f"| {name} | {q} | {' | '.join(f'{value:.2f}' for value in cells)} |")


if __name__ == "__main__":
    main()
