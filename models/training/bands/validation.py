"""Validation: PSNR and bits of the float prior on a folder of pictures, at eight qualities."""

import numpy as np
import torch

from odpiece.models.interface import PIECE
from odpiece.models.training.bands import objective
from odpiece.models.training.data import to_float
from odpiece.models.training.precision import autocast

QUALITIES = (1, 4, 16, 64, 256, 1024, 2048, 4096)


@torch.no_grad()
def validate(tokenizer, prior, pictures):
    """Mean PSNR (dB), bits a pixel and Lagrangian cost a pixel at each of QUALITIES, a list of dicts.

    `pictures` are uint8 (H, W, 3) arrays; each is cropped to whole pieces.
    """
    device, totals = next(tokenizer.parameters()).device, {q: [] for q in QUALITIES}
    for i in range(len(pictures)):
        x = _whole_pieces(pictures[i], device)
        pixels = x[0, 0].numel()
        for q in QUALITIES:
            quality = torch.tensor([q], device=device)
            lengths = quality[:, None, None].expand(-1, x.shape[2] // PIECE, x.shape[3] // PIECE)
            with autocast(x.device):
                error, bits = objective.run(tokenizer, prior, x, quality, lengths)
            psnr = 10 * torch.log10(4 * 3 * pixels / error)
            totals[q].append([psnr, bits / pixels, objective.cost(error, bits, quality) / pixels])
    rows = []
    for q in QUALITIES:
        psnr, bpp, cost = np.mean(torch.tensor(totals[q], dtype=torch.float64).numpy().reshape(-1, 3), axis=0)
        rows.append({"q": q, "psnr": round(psnr, 3), "bpp": round(bpp, 5), "cost": round(cost, 6)})
    return rows


def _whole_pieces(rgb, device):
    h, w = rgb.shape[0] // PIECE * PIECE, rgb.shape[1] // PIECE * PIECE
    return to_float(rgb[None, :h, :w], device)
