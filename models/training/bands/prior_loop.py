"""Training the float prior alone, the tokenizer frozen: cheap steps on the tokens that the codec will write."""

import copy
import json
import time

import numpy as np
import torch
from tqdm import tqdm

from odpiece.models.interface import PIECE, octave_weights, step_size
from odpiece.models.training.bands import objective
from odpiece.models.training.bands.loop import load_averaged
from odpiece.models.training.bands.optimizers import Optimizers, rate_factor
from odpiece.models.training.data import PictureCache, crop_batches, to_float
from odpiece.models.training.runs import LOG_SECONDS, check_free, follow, save

REPEATS = 2  # qualities at which each crop's latents are coded in a step
FINE_TUNING = 0.3  # of the rates of joint training: the prior comes trained
RATE_BALANCE = 0.6  # bits are weighted by q^-RATE_BALANCE: about equally a quality


def train_prior(options):
    """Train as `options` say; writes the checkpoint with the new prior to `options.out`, and a log beside it."""
    check_free(options.out)
    torch.set_flush_denormal(True)
    state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    tokenizer, prior = load_averaged(options.checkpoint)
    average, optimizers = copy.deepcopy(prior), Optimizers([prior])
    generator = torch.Generator().manual_seed(options.seed)
    batches = crop_batches(PictureCache(options.data, options.cache), options.batch, seed=(options.seed, 1))
    budget, started, step, losses, logged = options.minutes * 60, time.monotonic(), 0, [], 0.0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with open(options.out.with_suffix(".jsonl"), "a") as log, tqdm(total=round(budget), unit="s", disable=None) as bar:
        while (seconds := time.monotonic() - started) < budget:
            tokens = _tokens(tokenizer, prior, to_float(next(batches)), generator)
            losses.append(_update(prior, optimizers, tokens, FINE_TUNING * rate_factor(step, seconds / budget)))
            step += 1
            follow(average, prior, step)
            bar.update(round(seconds) - bar.n)
            if seconds - logged >= LOG_SECONDS:
                line = {"step": step, "minutes": round(seconds / 60, 2), "loss": float(np.mean(losses))}
                log.write(json.dumps(line) + "\n")
                log.flush()
                losses, logged = [], seconds
    save(state | {"prior": prior.state_dict(), "averaged_prior": average.state_dict()}, options.out)


@torch.no_grad()
def _tokens(tokenizer, prior, pixels, generator):
    """(bands, masks, octaves, quality) of float pixels (B, 3, H, W) at REPEATS random qualities each."""
    with torch.autocast("cpu", torch.bfloat16):
        latents = tokenizer.analysis(pixels)
        quality = objective.draw_quality(REPEATS * len(pixels), generator)
        octaves = torch.as_tensor(octave_weights(quality))
        masks = objective.kept_masks(quality[:, None, None].expand(-1, *latents[0].shape[2:]))
        step = torch.as_tensor(step_size(quality), dtype=torch.float32)
        latents = tuple(z.repeat(REPEATS, 1, 1, 1) for z in latents)
        return objective.quantize(latents, masks, step, prior, octaves), masks, octaves, quality


def _update(prior, optimizers, tokens, factor):
    bands, masks, octaves, quality = tokens
    with torch.autocast("cpu", torch.bfloat16):
        bits = sum(b.sum((1, 2, 3)) for b in prior.bits(bands, masks, octaves))
    pixels = bands[0][0, 0].numel() * PIECE**2
    loss = (bits * quality.float() ** -RATE_BALANCE).mean() / pixels
    loss.backward()
    optimizers.step(factor)
    return loss.item()
