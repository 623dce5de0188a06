"""Training the float prior alone, on tokens after rate-aware rounding.

The tokenizer is frozen, so a step costs little, and the prior learns what joint training cannot show it:
the zeros that rate-aware rounding makes.
"""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from odpiece.models.interface import PIECE, TOKENS, octave_weights
from odpiece.models.training import objective
from odpiece.models.training.data import PictureCache, crop_batches
from odpiece.models.training.loop import AVERAGE_DECAY, LOG_SECONDS, load_averaged, save
from odpiece.models.training.optimizers import Optimizers, rate_factor

REPEATS = 2  # qualities at which each crop's latents are coded in a step
RATE_BALANCE = 0.6  # bits are weighted by q^-RATE_BALANCE: about equally a quality


@dataclass(frozen=True)
class PriorOptions:
    """Options of a run: `checkpoint` of the tokenizer's training, the folder `data`, the file `out`.

    `quantize(latents, q)` gives int32 arrays like `latents`, a tuple of float32 (latents, h, w), as the
    codec rounds them.
    """

    checkpoint: Path
    data: Path
    out: Path
    minutes: float
    quantize: Callable
    cache: Path | None = None
    batch: int = 8
    seed: int = 0


def train_prior(options):
    """Train as `options` say; writes the checkpoint again with the new prior to `options.out`."""
    torch.set_flush_denormal(True)
    state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    tokenizer, prior = load_averaged(options.checkpoint)
    average, optimizers = copy.deepcopy(prior), Optimizers([prior])
    rng = np.random.default_rng(options.seed)
    batches = crop_batches(PictureCache(options.data, options.cache), options.batch, seed=(options.seed, 1))
    budget, started, step, bits = options.minutes * 60, time.monotonic(), 0, []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with open(options.out.with_suffix(".jsonl"), "a") as log, tqdm(total=round(budget), unit="s", disable=None) as bar:
        logged = 0.0
        while (seconds := time.monotonic() - started) < budget:
            tokens = _code(tokenizer, next(batches), rng, options.quantize)
            bits.append(_update(prior, optimizers, tokens, rate_factor(step, seconds / budget)))
            step += 1
            _average(average, prior, step)
            bar.update(round(seconds) - bar.n)
            if seconds - logged >= LOG_SECONDS:
                bar.set_postfix(loss=f"{np.mean(bits):.5f}")
                log.write(
                    json.dumps({"step": step, "minutes": round(seconds / 60, 2), "loss": float(np.mean(bits))}) + "\n"
                )
                log.flush()
                bits, logged = [], seconds
    save(state | {"prior": prior.state_dict(), "averaged_prior": average.state_dict()}, options.out)


@torch.no_grad()
def _code(tokenizer, pixels, rng, quantize):
    """(bands, masks, octaves, quality) tensors of uint8 (B, H, W, 3) crops at random qualities."""
    x = torch.tensor(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    with torch.autocast("cpu", torch.bfloat16):
        latents = [z.float().numpy() for z in tokenizer.analysis(x)]
    quality = np.rint(np.exp(rng.uniform(0, np.log(TOKENS), REPEATS * len(pixels)))).astype(int)
    coded = [quantize(tuple(z[i % len(pixels)] for z in latents), int(q)) for i, q in enumerate(quality)]
    bands = tuple(torch.tensor(np.stack(z)).float() for z in zip(*coded))
    quality = torch.tensor(quality)
    masks = objective.kept_masks(quality[:, None, None].expand(-1, *bands[0].shape[2:]))
    return bands, masks, torch.as_tensor(octave_weights(quality)), quality


def _update(prior, optimizers, tokens, factor):
    bands, masks, octaves, quality = tokens
    with torch.autocast("cpu", torch.bfloat16):
        bits = sum(b.sum((1, 2, 3)) for b in prior(bands, masks, octaves))
    pixels = bands[0][0, 0].numel() * PIECE**2
    loss = (bits * quality.float() ** -RATE_BALANCE).mean() / pixels
    loss.backward()
    optimizers.step(factor)
    return loss.item()


@torch.no_grad()
def _average(average, prior, step):
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(prior.parameters()), 1.0 - decay)
