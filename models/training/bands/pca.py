"""Initialisation: the linear layers as a hierarchical PCA, the synthesis as their transpose.

Each level's principal components are taken of the level below: 8x8 patches, then 2x2 of those, then
2x2 of the channels that go on. Components come sorted by variance, so the untrained latents already
run from important to unimportant. Nothing is centred: the mean is part of the first component.
"""

import torch
import torch.nn.functional as F

from odpiece.models.nets.bands.transform import FAITHFUL, PASSED_ON, PATCH

SMALLEST_SPREAD = 1e-3  # of a channel, as a part of the largest: where the pictures have too few dimensions


def _components(x, count):
    """Principal components (count, C) of (B, C, h, w) and the root mean square (count,) along each."""
    rows = x.transpose(0, 1).flatten(1).double()
    values, vectors = torch.linalg.eigh(rows @ rows.T / rows.shape[1])
    order = values.argsort(descending=True)[:count]
    spread = values[order].clamp_min(SMALLEST_SPREAD**2 * values.max()).sqrt()
    return vectors[:, order].T.float(), spread.float()


def _apply(components, x):
    return F.conv2d(x, components[:, :, None, None])


@torch.no_grad()
def initialise(tokenizer, pixels):
    """Set the linear layers and channel scales of `tokenizer` from `pixels`, float (B, 3, H, W) in [-1, 1].

    Gives the root mean square of the latents, a tuple of (latents,), one a band.
    """
    a, s, look = tokenizer.analysis, tokenizer.synthesis, tokenizer.looks[FAITHFUL]
    x = F.pixel_unshuffle(pixels, PATCH)
    patch, fine = _components(x, tokenizer.arch.fine)
    x = F.pixel_unshuffle(_apply(patch, x), 2)
    merge16, middle = _components(x, tokenizer.arch.middle)
    x = F.pixel_unshuffle(_apply(merge16, x)[:, :PASSED_ON], 2)
    merge32, coarse32 = _components(x, x.shape[1])
    x = F.pixel_unshuffle(_apply(merge32, x)[:, :PASSED_ON], 2)
    merge64, coarse64 = _components(x, x.shape[1])

    for weight, components in ((a.patch, patch), (a.merge16, merge16), (a.merge32, merge32), (a.merge64, merge64)):
        weight.weight.copy_(components.view_as(weight.weight))
    for weight, components in ((s.split64, merge64), (s.split32, merge32), (look.split16, merge16)):
        weight.weight.copy_(components.T[:, :, None, None])
    look.patch.weight.zero_()
    look.patch.weight[:, :, 1, 1] = patch.T
    look.patch.bias.zero_()
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
