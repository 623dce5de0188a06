"""Latents to tokens and back: the nearest of 4096 codes on the unit sphere (Yu et al. 2022, arXiv 2110.04627)."""

import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.nets.one_d_piece.architecture import CODE, CODEBOOK

COMMITMENT = 0.25


class Quantizer(nn.Module):
    """Always in float32: under autocast, neighbouring codes would change places."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(CODEBOOK, CODE)

    def nearest(self, latents):
        """int64 tokens (B, k) of latents (B, k, 12)."""
        with torch.autocast(latents.device.type, enabled=False):
            codes = F.normalize(self.embedding.weight, dim=-1)
            return (F.normalize(latents.float(), dim=-1) @ codes.T).argmax(dim=-1)

    def codes(self, ids):
        """float (B, k, 12) of unit length of int64 tokens (B, k)."""
        return F.normalize(self.embedding(ids), dim=-1)

    def forward(self, latents):
        """Codes (B, k, 12) of latents (B, k, 12), their gradient passed straight through, and the loss of
        commitment and codebook, a pair of scalars."""
        with torch.autocast(latents.device.type, enabled=False):
            z = F.normalize(latents.float(), dim=-1)
            q = self.codes(self.nearest(z.detach()))
            losses = COMMITMENT * F.mse_loss(z, q.detach()), F.mse_loss(q, z.detach())
            return z + (q - z).detach(), losses
