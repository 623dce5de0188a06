"""The training loss: squared error / step^2 + LAMBDA * bits, and the quantization that both terms see."""

import torch

from odpiece.models.interface import (
    BANDS,
    LAMBDA,
    USUAL_BANDS,
    is_fine,
    latent_steps,
    octave_weights,
    step_size,
)
from odpiece.models.nets.bands.prior import logistic_bits

SHORTENED = 0.15  # share of the pieces' lengths that are drawn below q
UPWARDS = 0.6  # exponent of a uniform draw: below 1 the upper end of the usual qualities is drawn more often


def draw_quality(lowest, highest, generator):
    """int64 (B,) quality in lowest..highest, an int and int64 (B,): log-uniform, but the usual ones more often high."""
    span = (highest.float() / lowest).log()
    place = torch.rand(len(highest), generator=generator) ** (1.0 if is_fine(lowest) else UPWARDS)
    return (lowest * torch.exp(place * span)).round().long()


def draw_lengths(quality, rows, columns, generator):
    """int64 (B, rows, columns) tokens kept of each piece: q, or for some whole pictures log-uniform on 1..q."""
    shorter = torch.exp(torch.rand(len(quality), generator=generator) * quality.float().log()).round().long()
    pick = torch.rand(len(quality), generator=generator) < SHORTENED
    return torch.where(pick, shorter, quality)[:, None, None].expand(-1, rows, columns)


def kept_masks(lengths, bands=USUAL_BANDS):
    """Tail drop: of each of so many bands, float (B, latents, h, w), 1 where a token is below its piece's length."""
    masks = []
    for band in BANDS[:bands]:
        token = torch.as_tensor(band.token_index, device=lengths.device)
        kept = token[:, None, :, None, :] < lengths[:, None, :, None, :, None]
        b, c, rows, side, columns, _ = kept.shape
        masks.append(kept.reshape(b, c, rows * side, columns * side).float())
    return masks


def band_steps(quality, device):
    """The step of every latent, float (B, latents, 1, 1), one tensor a band; `quality` is int (B,)."""
    steps = latent_steps(quality.cpu())
    return tuple(torch.as_tensor(s, dtype=torch.float32, device=device)[..., None, None] for s in steps)


def analyze(tokenizer, pixels, quality):
    """The latents of `pixels` that quality int (B,) codes, all of them fine or none."""
    return tokenizer.analyze(pixels, fine=is_fine(int(quality.max())))


def dequantize(tokens, steps):
    """Latents from integer-valued floats, one tensor a band, and `steps` as `band_steps` gives them."""
    return tuple(z * step for z, step in zip(tokens, steps))


def choose(nearest, scaled, steps, prior, octaves):
    """Integer-valued floats like `nearest`, the rounded `scaled` (latents over the `steps`, one tensor a band).

    Rate-aware rounding, as the encoder does while it codes: each latent moves one step towards zero where that
    lowers squared error + LAMBDA * bits, here with all bits given the rounded latents.
    """
    chosen, usual = [], steps[1][:, :1]
    for z, k, step, law in zip(scaled, nearest, steps, prior(nearest, octaves)):
        low = k - k.sign()
        gain = ((z - low) ** 2 - (z - k) ** 2) * (step / usual) ** 2
        gain = gain + LAMBDA * (logistic_bits(low, *law) - logistic_bits(k, *law))
        chosen.append(torch.where(gain < 0, low, k))
    return tuple(chosen)


def quantize(latents, masks, steps, prior, octaves):
    """Latents over the `steps` (see `band_steps`), rounded by `choose`, zero where a mask is 0.

    Gradients pass straight through, but not where `choose` made a latent zero: there it would feel the
    distortion and no bits, and grow until it is coded.
    """
    scaled = tuple(z.float() / step for z, step in zip(latents, steps))
    with torch.no_grad():
        nearest = tuple(z.round() * m for z, m in zip(scaled, masks))
        chosen = choose(nearest, scaled, steps, prior, octaves)
        passing = tuple(m * ((k != 0) | (n == 0)) for k, n, m in zip(chosen, nearest, masks))
    return tuple(k + (z - z.detach()) * p for z, k, p in zip(scaled, chosen, passing))


def run(tokenizer, prior, pixels, quality, lengths):
    """Squared error and bits of each picture, both float (B,), summed over the picture.

    `pixels` is float (B, 3, H, W) in [-1, 1], `quality` int (B,), `lengths` int (B, H/64, W/64).
    """
    steps = band_steps(quality, pixels.device)
    octaves = torch.as_tensor(octave_weights(quality.cpu()), device=pixels.device)
    latents = analyze(tokenizer, pixels, quality)
    masks = kept_masks(lengths, len(latents))
    tokens = quantize(latents, masks, steps, prior, octaves)
    bits = sum(b.sum((1, 2, 3)) for b in prior.bits(tokens, masks, octaves))
    decoded = tokenizer.decode(dequantize(tokens, steps), octaves)
    error = (decoded.float() - pixels).square().sum((1, 2, 3))
    return error, bits


def cost(error, bits, quality):
    """The Lagrangian D / step^2 + LAMBDA * R of each picture, (B,)."""
    step = torch.as_tensor(step_size(quality.cpu()), dtype=torch.float32, device=error.device)
    return error / step**2 + LAMBDA * bits
