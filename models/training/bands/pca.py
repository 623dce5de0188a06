"""Initialisation: the linear layers as a hierarchical PCA, the synthesis as their transpose.

Each level's principal components are taken of the level below: 8x8 patches, then 2x2 of those, then 2x2 of the
channels that go on. The first three are the mean colours (see colours.py), the others come sorted by variance, so the
untrained latents already run from important to unimportant. Nothing is centred.
"""

import torch
import torch.nn.functional as F

from odpiece.models.nets.bands.transform import FINE, MIDDLE, PASSED_ON, PATCH
from odpiece.models.training.bands.colours import COLOURS, COUNT

SMALLEST_SPREAD = 1e-3  # of a channel, as a part of the largest: where the pictures have too few dimensions


def components(x, count, first):
    """The rows `first` (COUNT, C), orthonormal, then principal components of what they leave of x (B, C, h, w).

    Gives orthonormal components (count, C) and the root mean square (count,) along each.
    """
    rows = x.transpose(0, 1).flatten(1).double()
    first = first.to(rows)
    left = rows - first.T @ (first @ rows)
    energy = left @ left.T / left.shape[1]
    values, vectors = torch.linalg.eigh(energy - energy.trace() * first.T @ first)  # which puts `first` last
    order = values.argsort(descending=True)[: count - len(first)]
    components = torch.cat([first, vectors[:, order].T])
    spread = (components @ rows).square().mean(1).sqrt()
    return components.float(), spread.clamp_min(SMALLEST_SPREAD * spread.max()).float()


def mean_of_patch():
    """Rows that give the mean colours of patches, times PATCH."""
    return COLOURS.repeat_interleave(PATCH**2, 1) / PATCH


def mean_of_four(channels):
    """Rows that give the mean colours of 2x2 blocks, times two, whose first channels are mean colours."""
    return torch.eye(COUNT, channels).repeat_interleave(4, 1) / 2


def _apply(components, x):
    return F.conv2d(x, components[:, :, None, None])


@torch.no_grad()
def initialise(tokenizer, pixels):
    """Set the linear layers and channel scales of `tokenizer` from `pixels`, float (B, 3, H, W) in [-1, 1].

    Gives the root mean square of the latents, a tuple of (latents,), one a band.
    """
    a, s, look = tokenizer.analysis, tokenizer.synthesis, tokenizer.look
    x = F.pixel_unshuffle(pixels, PATCH)
    mean = mean_of_patch()
    patch, fine = components(x, FINE, mean)
    x = F.pixel_unshuffle(_apply(patch, x), 2)
    merge16, middle = components(x, MIDDLE, mean_of_four(FINE))
    x = F.pixel_unshuffle(_apply(merge16, x)[:, :PASSED_ON], 2)
    merge32, coarse32 = components(x, x.shape[1], mean_of_four(PASSED_ON))
    x = F.pixel_unshuffle(_apply(merge32, x)[:, :PASSED_ON], 2)
    merge64, coarse64 = components(x, x.shape[1], mean_of_four(PASSED_ON))

    for layer, rows in ((a.patch, patch), (a.merge16, merge16), (a.merge32, merge32), (a.merge64, merge64)):
        layer.weight.copy_(rows.view_as(layer.weight))
    for layer, rows in ((s.split64, merge64), (s.split32, merge32), (look.split16, merge16)):
        layer.weight.copy_(rows.T[:, :, None, None])
    look.patch.weight.zero_()
    look.patch.weight[:, :, 1, 1] = patch.T
    for blocks, scale in (
        (a.fine, fine),
        (a.middle, middle),
        (a.coarse32, coarse32),
        (a.coarse64, coarse64),
        (s.coarse64, coarse64),
        (s.coarse32, coarse32),
        (s.middle, middle),
        (look.middle, middle),
        (look.fine, fine),
    ):
        for block in blocks:
            block.scale.copy_(scale)
    return coarse64, coarse32[PASSED_ON:], middle[PASSED_ON:]
