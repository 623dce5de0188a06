"""What a step trains on: crops of several sizes, of photographs made smaller or larger, and drawn pictures.

Small crops hold the fine detail that high rates need. Large ones show the coarse networks what they see in a
picture of the size that people have: some dozen pieces around, not four.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.utils.data import DataLoader, Dataset

from odpiece.models.interface import TOKENS, USUAL_QUALITY
from odpiece.models.training.drawn import drawn_picture

SIZES = {
    256: 0.55,
    512: 0.27,
    768: 0.11,
    1024: 0.07,
}  # pixels along the side of a step's crops, and its share of the steps
DRAWN = {256: 0.12, 512: 0.25, 768: 0.25, 1024: 0.25}  # share of drawn pictures, by size
DETAILED = 512  # pixels along the short side from which a photograph may teach high rates, and fill large crops
DETAILED_WEIGHT = 5.0  # how much more often those are drawn
LOW_RATES = 256  # the largest q that others teach
FINE_STEPS = 0.15  # share of the steps that teach q above USUAL_QUALITY, by crops up to DETAILED
CLEAN_SHRINK, LARGEST_SHRINK = 1.25, 2.5  # scaling down by the first removes the traces of an earlier compression
ENLARGED = 0.65  # large crops are scaled by this part of the largest possible factor at least
SATURATED = 0.1  # share of photographs whose colours are made stronger, up to twice


@dataclass(frozen=True)
class Batch:
    """Crops uint8 (B, size, size, 3), and the smallest q and the largest, int64 (B,), that they may teach."""

    pixels: np.ndarray | torch.Tensor
    lowest: int
    highest: np.ndarray

    def shared(self):
        """With pixels in memory that processes share: between them they would pass in pieces through a pipe."""
        return replace(self, pixels=torch.from_numpy(self.pixels))

    def pin_memory(self):
        """With pixels where a GPU reads them while the processor goes on; called by DataLoader."""
        return replace(self, pixels=self.pixels.pin_memory())


class Mixture:
    """Crops of the pictures of several PictureCaches."""

    def __init__(self, caches):
        self.places = [(cache, i) for cache in caches for i in range(len(cache))]
        short = np.array([min(e["height"], e["width"]) for cache in caches for e in cache.entries])
        weight = np.concatenate([cache.probability * len(cache) for cache in caches])
        self.detailed = short >= DETAILED
        weight = weight * np.where(self.detailed, DETAILED_WEIGHT, 1.0)
        self.probability = weight / weight.sum()
        large = weight * self.detailed
        self.large_probability = large / large.sum() if large.any() else self.probability

    def crop(self, rng, size, fine=False):
        """(uint8 (size, size, 3), the largest q that it may teach): of a picture that can teach all where `fine`."""
        pixels, highest = self.photograph(rng, size, fine)
        if rng.random() < DRAWN.get(size, 0.0):
            return drawn_picture(rng, size, pixels), TOKENS
        return pixels, highest

    def photograph(self, rng, size, fine=False):
        """A random square of a random photograph, as `crop` gives it: scaled, flipped half the time."""
        i = rng.choice(len(self.places), p=self.large_probability if fine or size >= DETAILED else self.probability)
        cache, number = self.places[i]
        square = Image.fromarray(scaled_square(cache[number], rng, size, self.detailed[i], fine))
        if rng.random() < SATURATED:
            square = ImageEnhance.Color(square).enhance(rng.uniform(1.0, 2.0))
        pixels = np.asarray(square)
        highest = TOKENS if self.detailed[i] else LOW_RATES
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels, highest


def scaled_square(rgb, rng, size, detailed, fine=False):
    """uint8 (size, size, 3): a random square of `rgb`, uint8 (H, W, 3), scaled by a random factor.

    It is one that keeps the traces of an earlier compression small: always where `fine`, else for small squares.
    """
    h, w, _ = rgb.shape
    most = min(LARGEST_SHRINK, min(h, w) / size)
    clean = min(most, CLEAN_SHRINK if detailed else 1.0)
    least = clean if fine or size < DETAILED else ENLARGED * most
    side = int(round(size * np.exp(rng.uniform(np.log(least), np.log(most)))))
    top, left = rng.integers(h - side + 1), rng.integers(w - side + 1)
    square = Image.fromarray(rgb[top : top + side, left : left + side])
    how = (
        Image.Resampling.LANCZOS
        if rng.random() < 0.7
        else Image.Resampling.BOX
        if side > size
        else Image.Resampling.BICUBIC
    )
    return np.asarray(square.resize((size, size), how) if side != size else square)


class Steps(Dataset):
    """The Batch of each step of a run, by its number: always the same for the same seed.

    Batches have about `pixels` pixels each, of one size in all processes, so that their steps take equally long; the
    crops of process `rank` are its own. A share `fine` of the steps teaches q above USUAL_QUALITY, none where no
    picture is detailed.
    """

    def __init__(self, mixture, pixels, seed, rank=0, fine=FINE_STEPS):
        self.mixture, self.pixels, self.seed, self.rank = mixture, pixels, seed, rank
        self.fine = fine if mixture.detailed.any() else 0.0

    def __getitem__(self, step):
        shared = np.random.default_rng((self.seed, step))
        fine = bool(shared.random() < self.fine)
        sizes = {size: share for size, share in SIZES.items() if size <= DETAILED or not fine}
        size = int(shared.choice(list(sizes), p=np.array(list(sizes.values())) / sum(sizes.values())))
        rng = np.random.default_rng((self.seed, step, self.rank))
        crops = [self.mixture.crop(rng, size, fine) for _ in range(max(1, self.pixels // size**2))]
        lowest, most = (USUAL_QUALITY + 1, TOKENS) if fine else (1, USUAL_QUALITY)
        highest = np.array([min(highest, most) for _, highest in crops])
        return Batch(np.stack([crop for crop, _ in crops]), lowest, highest)


def batches(steps, first, workers=0):
    """The Batches of Steps from the number `first` on, without end, made by so many processes; 0: by this one."""
    numbers, pinned = itertools.count(first), workers > 0 and torch.cuda.is_available()
    options = {"collate_fn": Batch.shared, "num_workers": workers, "pin_memory": pinned}
    return iter(DataLoader(steps, batch_size=None, sampler=numbers, **options))
