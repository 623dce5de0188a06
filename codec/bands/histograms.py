"""Making the coders' tables: count symbols over many pictures, smooth, round to integers."""

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from tqdm import tqdm

from odpiece.codec.bands.coders import (
    LARGEST,
    LENGTH_CLASSES,
    STATIC_COUNT,
    SYMBOLS,
    LearnedCoder,
    StaticCoder,
)
from odpiece.codec.bands.quantization import draft, source, whole_pieces
from odpiece.codec.bands.tokens import LENGTHS
from odpiece.codec.bands.walk import walk
from odpiece.codec.range_coder import level_table, to_table
from odpiece.models.interface import Q_OCTAVES, is_fine

PASSES = 2  # rate-aware rounding needs tables: the first pass has level ones
STRENGTH = 4.0  # pseudo-counts a row
CLASS_STRENGTH = 20.0  # pseudo-counts that a length class borrows from all classes
LEARNED_PICTURES = 40  # enough for the learned coder, whose rows all latents share
FINE_PICTURES = 30  # that are counted at high q, where each has many symbols
LAW_STRENGTH = 30.0  # pseudo-counts of the logistic law in a row of the learned coder
LEVEL_LENGTHS = level_table(Q_OCTAVES, len(LENGTHS))


@dataclass
class Counter:
    """A channel (see codec/range_coder.py) that counts the symbols it is given, under the coder's tables' rows."""

    latents: np.ndarray  # float (rows, 64)
    lengths: np.ndarray = field(default_factory=lambda: np.zeros((Q_OCTAVES, len(LENGTHS))))

    def symbols(self, table, rows, symbols):
        counts = self.latents if table.shape == self.latents.shape else self.lengths
        np.add.at(counts, (rows, symbols), 1)
        return symbols

    def uniform(self, size, values, count):
        return values


def count(coder, pictures):
    """A Counter of pictures under `coder`: `pictures` are (source, q) pairs, see walk."""
    counter = Counter(np.zeros(coder.latents.shape))
    for picture, q in pictures:
        walk(counter, coder, q, *picture.lengths.shape, picture)
    return counter


def fit_static(latents):
    """Tables of the static coder from float `latents` of pictures, as `analyze` gives them.

    Gives {"latents": uint32 (13, 4, 240, 64), "lengths": uint32 (13, 29)}, counted at q = 1, 2, 4, ..., 4096.
    Counts of a length class are smoothed towards the histogram of all classes, and that towards a geometric law.
    """
    shape = Q_OCTAVES, LENGTH_CLASSES, STATIC_COUNT, SYMBOLS
    tables = {"latents": level_table(np.prod(shape[:3]), SYMBOLS).reshape(shape), "lengths": LEVEL_LENGTHS}
    for number in range(PASSES):
        name = f"count, pass {number + 1} of {PASSES}"
        pictures = tqdm(latents, desc=name, disable=None)
        counter = count(StaticCoder(tables), ((draft(z, q, tables["latents"]), q) for z, q in at_octaves(pictures)))
        counts = counter.latents.reshape(shape)
        pooled = smooth(counts.sum(axis=1).reshape(-1, SYMBOLS)).reshape(Q_OCTAVES, 1, -1, SYMBOLS)
        counts = counts + CLASS_STRENGTH * pooled / pooled.sum(axis=-1, keepdims=True)
        tables = {
            "latents": to_table(counts.reshape(-1, SYMBOLS)).reshape(shape),
            "lengths": to_table(counter.lengths + 0.5),
        }
    return tables


def at_octaves(pictures):
    """(latents, q) of each picture, as `analyze` gives them, at the qualities 1, 2, 4, ..., 4096."""
    for usual, fine in pictures:
        for q in (1 << n for n in range(Q_OCTAVES)):
            latents = fine if is_fine(q) else usual
            if latents:
                yield latents, q


def fit_learned(prior, latents, static, law):
    """Tables of the learned coder: {"tables": uint32 (rows, 64), "lengths": uint32 (13, 29)}.

    `prior` is an IntegerPrior whatever its tables, `latents` as for fit_static, `static` its result, `law`
    float (rows, 64) the probabilities to start from and to smooth towards.
    """
    prior.tables, prior.lengths = to_table(law + 1e-9), static["lengths"]
    for number in range(PASSES):
        name = f"count, learned, pass {number + 1} of {PASSES}"
        pictures = tqdm(latents[:LEARNED_PICTURES], desc=name, disable=None)
        coder = LearnedCoder(prior)
        counter = count(coder, ((source(z, q, coder, static["latents"]), q) for z, q in at_octaves(pictures)))
        prior.tables = to_table(counter.latents + LAW_STRENGTH * law)
    return {"tables": prior.tables, "lengths": to_table(counter.lengths + 0.5)}


def analyze(transform, pictures):
    """Latents of uint8 (H, W, 3) pictures, a list of pairs: those of usual qualities, and those of high ones.

    The second are () but of the first FINE_PICTURES.
    """
    pieces = enumerate(map(whole_pieces, tqdm(pictures, desc="analyze", disable=None)))
    fine = partial(transform.analyze, fine=True)
    return [(transform.analyze(p), fine(p) if i < FINE_PICTURES else ()) for i, p in pieces]


def smooth(counts):
    """Counts (rows, 64) plus STRENGTH pseudo-counts: a two-sided geometric law of the row's mean magnitude."""
    magnitude = np.abs(np.arange(SYMBOLS) - LARGEST)
    mean = (counts @ magnitude + 0.02) / (counts.sum(axis=1) + 1.0)
    law = (mean / (1.0 + mean))[:, None] ** magnitude
    return counts + STRENGTH * law / law.sum(axis=1, keepdims=True)
