"""The two transformers: pictures to latents, a prefix of codes to proxy logits.

Rows are the tokens of a transformer, (B, rows, width): a class row, one for each patch row by row, then the latents.
"""

import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.nets.one_d_piece.architecture import CODE, GRID, PATCH, PROXY_CODES, TOKENS

PATCHES = GRID**2


class Attention(nn.Module):
    """Multi-head self-attention of rows (B, rows, width); `present`, bool (B, rows), hides the others."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x, present=None):
        b, rows, width = x.shape
        parts = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = parts.reshape(b, rows, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if present is None else present[:, None, None, :]
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, heads, rows, width / heads)
        return self.out_proj(x.transpose(1, 2).reshape(b, rows, width))


class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    """One layer: attention and an MLP, each normalised before and added to what came in."""

    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x, present=None):
        x = x + self.attn(self.ln_1(x), present)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """What encoder and decoder share: embeddings, layers, the norms before and after them."""

    def __init__(self, arch):
        super().__init__()
        width = arch.width
        self.class_embedding = nn.Parameter(torch.randn(1, width) * width**-0.5)
        self.positional_embedding = nn.Parameter(torch.randn(PATCHES + 1, width) * width**-0.5)
        self.latent_token_positional_embedding = nn.Parameter(torch.randn(TOKENS, width) * width**-0.5)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = nn.ModuleList(Block(width, arch.heads) for _ in range(arch.layers))

    def run(self, patches, latents, present=None):
        """The layers over patch rows (B, 256, width) and latent rows (B, k, width): all rows, class row first.

        `present`, bool (B, k), hides latent rows from all others, as if they were absent.
        """
        b, k, _ = latents.shape
        grid = torch.cat([self.class_embedding.expand(b, 1, -1), patches], dim=1) + self.positional_embedding
        latents = latents + self.latent_token_positional_embedding[:k]
        if present is not None:
            present = F.pad(present, (PATCHES + 1, 0), value=True)
        x = self.ln_pre(torch.cat([grid, latents], dim=1))
        for block in self.transformer:
            x = block(x, present)
        return x


class Encoder(Transformer):
    """Pictures, float (B, 3, 256, 256) in [0, 1], to latents (B, 256, 12)."""

    def __init__(self, arch):
        super().__init__(arch)
        self.patch_embed = nn.Conv2d(3, arch.width, PATCH, stride=PATCH)
        self.conv_out = nn.Conv2d(arch.width, CODE, 1)

    def hidden(self, images, latent_tokens):
        """The latent rows after the last norm, (B, 256, width)."""
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)  # (B, 256, width)
        x = self.run(patches, latent_tokens.expand(len(images), -1, -1))
        return self.ln_post(x[:, PATCHES + 1 :])

    def forward(self, images, latent_tokens):
        x = self.hidden(images, latent_tokens)
        # (256, width) read as (width, 256) without transposing: so the published networks were trained
        x = self.conv_out(x.reshape(len(images), -1, 1, TOKENS))  # (B, 12, 1, 256)
        return x.flatten(1, 2).transpose(1, 2)


class Decoder(Transformer):
    """Codes of the first k tokens, float (B, k, 12), to proxy logits (B, 1024, 16, 16)."""

    def __init__(self, arch):
        super().__init__(arch)
        width = arch.width
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.decoder_embed = nn.Linear(CODE, width)
        self.ffn = nn.Sequential(nn.Conv2d(width, 2 * width, 1), nn.Tanh(), nn.Conv2d(2 * width, PROXY_CODES, 1))

    def hidden(self, codes, present=None):
        """The patch rows after the last norm, (B, 256, width)."""
        patches = self.mask_token.expand(len(codes), PATCHES, -1)
        x = self.run(patches, self.decoder_embed(codes), present)
        return self.ln_post(x[:, 1 : PATCHES + 1])

    def forward(self, codes, present=None):
        x = self.hidden(codes, present).transpose(1, 2)
        return self.ffn(x.reshape(len(codes), -1, GRID, GRID))
