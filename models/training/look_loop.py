"""Training the natural look, everything else frozen: how the tokens of the faithful codec turn into pixels.

The loss is ST-LPIPS by the trunk "alex" plus FIDELITY times the logarithm of the squared error, so that a
decibel weighs the same at every quality.
"""

import copy
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from odpiece.models.interface import octave_weights, step_size
from odpiece.models.nets.st_lpips import StLpips
from odpiece.models.nets.transform import FAITHFUL, NATURAL
from odpiece.models.training import objective
from odpiece.models.training.data import PictureCache, crop_batches, to_float
from odpiece.models.training.loop import LOG_SECONDS, SAVE_SECONDS, follow, load_averaged, save
from odpiece.models.training.optimizers import Optimizers, rate_factor

FIDELITY = 0.5  # of the logarithm of the squared error: a decibel weighs as much as 0.115 of ST-LPIPS
SMALLEST_ERROR = 1e-4  # added to the mean squared error, of pixels in [-1, 1]
WINDOW = 160  # pixels along the side of the random square of a crop of which ST-LPIPS is taken
FINE_TUNING = 0.7  # of the rates of joint training


@dataclass(frozen=True)
class LookOptions:
    """Options of a run: the `checkpoint` of the tokenizer's training, the folder `data`, the file `out`."""

    checkpoint: Path
    data: Path
    out: Path
    minutes: float
    cache: Path | None = None
    batch: int = 8
    seed: int = 0


def train_look(options):
    """Train as `options` say; writes the checkpoint with the natural look to `options.out`, and a log beside it."""
    torch.set_flush_denormal(True)
    state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    networks = load_averaged(options.checkpoint)
    looks = networks[0].looks
    look = looks[NATURAL] if NATURAL in looks else copy.deepcopy(looks[FAITHFUL])
    average, optimizers = copy.deepcopy(look), Optimizers([look])
    metric = StLpips("alex").to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(options.seed)
    batches = crop_batches(PictureCache(options.data, options.cache), options.batch, seed=(options.seed, 2))
    budget, started, step, losses, logged, saved = options.minutes * 60, time.monotonic(), 0, [], 0.0, 0.0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with open(options.out.with_suffix(".jsonl"), "a") as log, tqdm(total=round(budget), unit="s", disable=None) as bar:
        while (seconds := time.monotonic() - started) < budget:
            pixels = to_float(next(batches))
            loss, parts = _loss(look, metric, pixels, *_features(*networks, pixels, generator), generator)
            loss.backward()
            optimizers.step(FINE_TUNING * rate_factor(step, seconds / budget))
            losses.append(parts)
            step += 1
            follow(average, look, step)
            bar.update(round(seconds) - bar.n)
            if seconds - logged >= LOG_SECONDS:
                distance, decibels = np.mean(losses, axis=0)
                line = {"step": step, "minutes": round(seconds / 60, 2), "st_lpips": distance, "psnr": decibels}
                log.write(json.dumps(line) + "\n")
                log.flush()
                losses, logged = [], seconds
            if seconds - saved >= SAVE_SECONDS:
                save(_with_look(state, networks[0].arch, average), options.out)
                saved = seconds
    save(_with_look(state, networks[0].arch, average), options.out)


@torch.no_grad()
def _features(tokenizer, prior, pixels, generator):
    """What the frozen synthesis makes of float pixels (B, 3, H, W) at random qualities, and octave weights (B, 11)."""
    quality = objective.draw_quality(len(pixels), generator)
    octaves = torch.as_tensor(octave_weights(quality))
    step = torch.as_tensor(step_size(quality), dtype=torch.float32)
    lengths = quality[:, None, None].expand(-1, pixels.shape[2] // 64, pixels.shape[3] // 64)
    with torch.autocast("cpu", torch.bfloat16):
        latents = tokenizer.analysis(pixels)
        tokens = objective.quantize(latents, objective.kept_masks(lengths), step, prior, octaves)
        return tokenizer.synthesis([z * step[:, None, None, None] for z in tokens], octaves), octaves


def _loss(look, metric, pixels, features, octaves, generator):
    """The loss, and floats (ST-LPIPS, PSNR in dB), means over the batch."""
    with torch.autocast("cpu", torch.bfloat16):
        decoded = look(features, octaves).float()
        top, left = torch.randint(pixels.shape[2] - WINDOW + 1, (2,), generator=generator).tolist()
        window = (slice(None), slice(None), slice(top, top + WINDOW), slice(left, left + WINDOW))
        with torch.no_grad():
            target = metric.features(pixels[window])
        distance = metric.distance(target, metric.features(decoded[window])).mean()
    error = (decoded - pixels).square().mean((1, 2, 3))
    fidelity = torch.log(error + SMALLEST_ERROR).mean()
    decibels = 10 * torch.log10(4 / error.detach()).mean()
    return distance + FIDELITY * fidelity, (distance.item(), decibels.item())


def _with_look(state, arch, look):
    """The checkpoint `state` with the natural look's weights."""
    weights = {f"looks.{NATURAL}.{name}": tensor for name, tensor in look.state_dict().items()}
    fields = replace(arch, looks=(FAITHFUL, NATURAL)).to_dict()
    parts = {part: state[part] | weights for part in ("tokenizer", "averaged_tokenizer")}
    return state | parts | {"architecture": fields}
