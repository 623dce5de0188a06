"""The whole network: pictures to tokens, any number of first tokens back to pictures."""

import torch
from torch import nn

from odpiece.models.nets.one_d_piece.architecture import PROXY_CODES, SIDE, TOKENS
from odpiece.models.nets.one_d_piece.pixel_decoder import PixelDecoder
from odpiece.models.nets.one_d_piece.quantizer import Quantizer
from odpiece.models.nets.one_d_piece.transformer import Decoder, Encoder


class ProxyCodes(nn.Module):
    """Logits (B, 1024, 16, 16) to the codes to be expected of them, (B, proxy width, 16, 16)."""

    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(PROXY_CODES, width)

    def forward(self, logits):
        weights = logits.softmax(dim=1).permute(0, 2, 3, 1)  # (B, 16, 16, 1024)
        return (weights @ self.embedding.weight).permute(0, 3, 1, 2)


class OneDPiece(nn.Module):
    """A One-D-Piece tokenizer of the sizes `arch`; its state dict has the published names, see expected_tensors."""

    def __init__(self, arch):
        super().__init__()
        self.arch = arch
        self.latent_tokens = nn.Parameter(torch.randn(TOKENS, arch.width) * arch.width**-0.5)
        self.encoder, self.decoder = Encoder(arch), Decoder(arch)
        self.quantize, self.pixel_quantize = Quantizer(), ProxyCodes(arch.proxy_width)
        self.pixel_decoder = PixelDecoder(arch)

    def latents(self, images):
        """float (B, 256, 12), before quantization, of pictures, float (B, 3, 256, 256) in [0, 1]."""
        if tuple(images.shape[1:]) != (3, SIDE, SIDE):
            raise ValueError(f"pictures of {tuple(images.shape[1:])}, give (3, {SIDE}, {SIDE})")
        return self.encoder(images, self.latent_tokens)

    def encode(self, images):
        """int64 tokens (B, 256), each 0..4095, of pictures, float (B, 3, 256, 256) in [0, 1]."""
        return self.quantize.nearest(self.latents(images))

    def proxy_logits(self, ids):
        """float (B, 1024, 16, 16) of the first 1 to 256 tokens, int64 (B, k)."""
        if not 1 <= ids.shape[1] <= TOKENS:
            raise ValueError(f"{ids.shape[1]} tokens, give 1 to {TOKENS}")
        return self.decoder(self.quantize.codes(ids))

    def decode(self, ids):
        """Pictures, float (B, 3, 256, 256) around [0, 1] and not clamped, of the first tokens, int64 (B, k)."""
        return self.pixels(self.proxy_logits(ids))

    def pixels(self, logits):
        """Pictures, float (B, 3, 256, 256), of proxy logits (B, 1024, 16, 16)."""
        return self.pixel_decoder(self.pixel_quantize(logits))

    def forward(self, images, lengths):
        """For training: pictures to pictures by the first `lengths`, int64 (B,), tokens of each, and the quantizer's
        losses, a pair of scalars, of all tokens. A dropped token is hidden from attention, which equals its absence."""
        codes, losses = self.quantize(self.latents(images))
        present = torch.arange(TOKENS, device=lengths.device) < lengths[:, None]
        return self.pixels(self.decoder(codes, present)), losses
