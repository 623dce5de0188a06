"""Where the training of a One-D-Piece network starts: tokens that already tell one picture from another.

From noise, all tokens of all pictures become the same within a hundred steps, before the decoder has learned to use
them. Here each latent row begins by copying the principal components of one patch, and each token holds
the lowest spatial frequencies of one component over the whole picture: the first tokens brightness, later ones details.
Each head of the decoder begins by copying one of the first tokens to every patch.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from odpiece.models.nets.one_d_piece.architecture import CODE, GRID, PATCH, TOKENS

POSITION_FREQUENCY = 8.0  # of the random cosines that tell positions, radians across the picture
POSITION_SIZE = 0.5
FOCUS = 1.5  # of the first attention on the own patch
COPIED = 2.0  # gain of what it copies
LATENT_SIZE = 0.02  # of the latent tokens at the start, times their usual size
HEAD_FOCUS = 12.0  # how much more the logit of a decoder head's own token is than that of any other, about
LOGIT_SPREAD = 2.0  # of the proxy logits
HIGHEST = 5  # spatial frequencies considered along each side


@torch.no_grad()
def initialise(network, pictures):
    """Set the encoder of a OneDPiece, and where its decoder ends, from float `pictures` (N, 3, 256, 256) in [0, 1]."""
    encoder, kept = network.encoder, network.arch.width * 3 // 4
    _components(encoder.patch_embed, pictures, kept)
    _positions(encoder, kept)
    network.latent_tokens *= LATENT_SIZE
    encoder.conv_out.weight.copy_(_cosines(network.arch.width)[:, :, None, None])
    encoder.conv_out.bias.zero_()
    _heads(network.decoder, kept)
    last = network.decoder.ffn[2]
    nn.init.normal_(last.weight, std=LOGIT_SPREAD / (0.4 * math.sqrt(last.in_channels)))  # tanh gives about 0.4
    nn.init.constant_(network.pixel_decoder.conv_out.bias, 0.5)


def _components(patch_embed, pictures, kept):
    """Give the first `kept` channels the principal components of patches, their spread evened out by half."""
    patches = F.unfold(pictures, PATCH, stride=PATCH).transpose(1, 2).flatten(0, 1).double()
    mean = patches.mean(dim=0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    spread = values.flip(0)[:kept].clamp_min(1e-6 * values.max() + 1e-12).sqrt()
    weight = vectors.flip(1)[:, :kept].T / (spread[:, None] * spread[0]).sqrt()
    patch_embed.weight.zero_()
    patch_embed.bias.zero_()
    patch_embed.weight[:kept] = weight.view(kept, *patch_embed.weight.shape[1:])
    patch_embed.bias[:kept] = -(weight @ mean)


def _positions(encoder, kept):
    """Tell positions in the channels from `kept` on, and let latent i of the first layer copy what is at patch i."""
    width = encoder.ln_post.normalized_shape[0]
    rest = width - kept
    places = torch.cartesian_prod(torch.arange(GRID), torch.arange(GRID)) / GRID
    waves = torch.cos(POSITION_FREQUENCY * places @ torch.randn(2, rest) + 2 * math.pi * torch.rand(rest))
    turn = torch.linalg.qr(torch.randn(rest, rest))[0]  # so that a latent's query finds its patch, not itself
    encoder.positional_embedding.zero_()
    encoder.latent_token_positional_embedding.zero_()
    encoder.positional_embedding[1:, kept:] = POSITION_SIZE * waves
    encoder.latent_token_positional_embedding[:, kept:] = POSITION_SIZE * waves @ turn.T
    attention = encoder.transformer[0].attn
    query, key, value = attention.in_proj_weight.zero_().chunk(3)
    projection = FOCUS * torch.randn(width, rest) / math.sqrt(rest)
    key[:, kept:], query[:, kept:] = projection, projection @ turn.T
    value[:kept, :kept] = torch.eye(kept)
    attention.out_proj.weight.copy_(COPIED * torch.eye(width))


def _cosines(width):
    """float (12, width): the lowest two-dimensional frequencies over the rows that the last convolution reads."""
    rows = torch.arange(width) * TOKENS // width
    y, x = (rows // GRID + 0.5) / GRID, (rows % GRID + 0.5) / GRID
    pairs = sorted(((i, j) for i in range(HIGHEST) for j in range(HIGHEST)), key=lambda p: p[0] ** 2 + p[1] ** 2)
    waves = torch.stack([torch.cos(math.pi * i * y) * torch.cos(math.pi * j * x) for i, j in pairs[:CODE]])
    return F.normalize(waves, dim=1)


def _heads(decoder, kept):
    """Let head h of layer i copy the code of token i * heads + h, counted around, to all rows, and mix it well."""
    width, rest = decoder.decoder_embed.out_features, decoder.decoder_embed.out_features - kept
    embed = torch.linalg.qr(torch.randn(kept, CODE))[0] * math.sqrt(width / 2)
    decoder.decoder_embed.weight.zero_()
    decoder.decoder_embed.weight[:kept] = embed
    decoder.decoder_embed.bias.zero_()
    names = F.normalize(torch.randn(TOKENS, rest), dim=1) * math.sqrt(width / 2)
    decoder.latent_token_positional_embedding.zero_()
    decoder.latent_token_positional_embedding[:, kept:] = names
    decoder.positional_embedding *= math.sqrt(width)
    for i, block in enumerate(decoder.transformer):
        heads, size = block.attn.heads, width // block.attn.heads
        query, key, value = block.attn.in_proj_weight.view(3, heads, size, width)
        bias = block.attn.in_proj_bias.view(3, heads, size)
        for h in range(heads):
            projection = torch.randn(size, rest) / math.sqrt(rest)
            sought = F.normalize(projection @ names[(i * heads + h) % TOKENS], dim=0)
            key[h, :, kept:] = projection
            bias[0, h] = sought * HEAD_FOCUS * math.sqrt(size) / (projection @ names.T).norm(dim=0).mean()
            value[h].zero_()
            value[h, : min(size, CODE), :kept] = embed.T[:size] / math.sqrt(width / 2)
        nn.init.orthogonal_(block.attn.out_proj.weight)
        nn.init.normal_(block.mlp.c_fc.weight, std=1.5 / math.sqrt(width))
        nn.init.normal_(block.mlp.c_proj.weight, std=1.0 / math.sqrt(4 * width))
