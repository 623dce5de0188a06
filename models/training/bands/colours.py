"""Flat colours pass the networks exactly, whatever the colour and the size of the picture.

The first three channels of every resolution are the mean colour, along the axes `COLOURS`, and nothing else answers
to a flat picture: linear layers send these channels on unchanged and all others get nothing of them; residual
branches see how colours differ from place to place and not what they are, and give nothing where nothing differs. All
of this is linear in the weights, so training projects onto it after every step, and averages of weights keep it.
"""

import torch

from odpiece.models.nets.bands.blocks import Branch
from odpiece.models.nets.bands.transform import PATCH

# Rows: directions in RGB, by falling variance of the mean colours of photographs' 64x64 pieces (orthonormal)
COLOURS = torch.tensor([[0.577350, 0.577350, 0.577350], [0.707107, 0.0, -0.707107], [0.408248, -0.816497, 0.408248]])
COUNT = len(COLOURS)


@torch.no_grad()
def constrain(tokenizer):
    """Project the weights of `tokenizer` to the nearest for which flat colours pass exactly."""
    a, s = tokenizer.analysis, tokenizer.synthesis
    colours = COLOURS.to(a.patch.weight)
    eye = torch.eye(COUNT).to(colours)
    _fix_response(a.patch.weight, colours, PATCH * _first(len(a.patch.weight), eye))
    for layer in (a.merge16, a.merge32, a.merge64):
        _fix_response(layer.weight, eye, 2 * _first(len(layer.weight), eye))
    for layer in (s.split64, s.split32):
        _constrain_split(layer)
    _constrain_split(tokenizer.look.split16)
    patch, pixels = tokenizer.look.patch.weight, colours.T.repeat_interleave(PATCH**2, 0) / PATCH
    _fix_response(patch, eye, pixels)
    constrain_branches(tokenizer)


def _constrain_split(layer):
    eye = torch.eye(COUNT).to(layer.weight)
    _fix_response(layer.weight, eye, _first(len(layer.weight) // 4, eye).repeat_interleave(4, 0) / 2)


@torch.no_grad()
def constrain_branches(part):
    """`constrain` for the branches of a module alone."""
    for module in part.modules():
        if isinstance(module, Branch):
            weight = module.expand.weight
            _fix_response(weight, torch.eye(COUNT).to(weight), weight.new_zeros(len(weight), COUNT))


def _first(rows, values):
    """(rows, COUNT): `values` (COUNT, COUNT) above zeros."""
    return torch.cat([values, values.new_zeros(rows - COUNT, COUNT)])


def _fix_response(weight, flats, response):
    """Change the convolution `weight` (O, I, h, w) least so that it answers to the flat input i with column i.

    `flats` are rows of the first COUNT inputs, (COUNT, COUNT) and orthonormal; `response` is (O, COUNT).
    """
    seen = weight[:, :COUNT]
    error = seen.sum((2, 3)) @ flats.T - response
    seen -= (error @ flats)[:, :, None, None] / seen[0, 0].numel()
