"""Training the natural look, everything else frozen: how the tokens of the faithful codec turn into pixels.

The loss is ST-LPIPS by the trunk "alex", of windows that are scaled, turned and mirrored at random lest it be
fooled by patterns (as E-LPIPS, Kettunen et al. 2019); FIDELITY times the logarithm of the squared error of each
small region, so that a decibel weighs the same at every quality, in the sky and in the grass; and the share of
that error which repeats from block to block, and the seams of patches: the patterns that a convolutional decoder
paints where it knows nothing, to please the metric instead of the eye.
"""

import copy
import json
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from odpiece.models.interface import GRAIN, octave_weights, step_size
from odpiece.models.nets.bands.transform import FAITHFUL, NATURAL, PATCH, Look
from odpiece.models.nets.st_lpips import StLpips
from odpiece.models.training.bands import objective
from odpiece.models.training.bands.loop import load_averaged
from odpiece.models.training.bands.optimizers import Optimizers, rate_factor
from odpiece.models.training.data import PictureCache, crop_batches, to_float
from odpiece.models.training.runs import LOG_SECONDS, SAVE_SECONDS, check_free, follow, save

FIDELITY = 0.3  # of the logarithm of the squared error: a decibel weighs as much as 0.07 of ST-LPIPS
SMALLEST_ERROR = 1e-4  # added to the mean squared error, of pixels in [-1, 1]
REPETITION = 16.0  # of the squared error that repeats, as a part of all of it
SEAMS = 0.3  # of what the steps at the borders of patches are larger than elsewhere, as a logarithm
PERIODS, REPEATS = (8, 16), 4  # pixels of a block, and blocks along the side of a region in which it may repeat
WINDOW = 144  # pixels along the side of a window, after scaling
LARGEST_SCALE = 1.6  # of a window, and the smallest is its inverse
FINE_TUNING = 0.7  # of the rates of joint training


class LookRun:
    """The natural look in training, with its average, the metric and the optimizers."""

    def __init__(self, tokenizer, prior, seed):
        self.tokenizer, self.prior = tokenizer, prior
        self.look = Look(tokenizer.arch, grain=True)
        start = tokenizer.looks[NATURAL if NATURAL in tokenizer.looks else FAITHFUL]
        self.look.load_state_dict(start.state_dict(), strict=False)
        self.average = copy.deepcopy(self.look)
        self.metric = StLpips("alex").to(memory_format=torch.channels_last)
        self.optimizers = Optimizers([self.look])
        self.generator = torch.Generator().manual_seed(seed)
        self.step = 0

    def update(self, pixels, progress):
        """One step on float pixels (B, 3, H, W); gives ST-LPIPS, PSNR in dB, what repeats, seams."""
        features, octaves = self._features(pixels)
        with torch.autocast("cpu", torch.bfloat16):
            decoded = self.look(features, octaves, self._grain(pixels)).float()
        parts = [repetition(decoded - pixels, period) for period in PERIODS]
        repeated = sum((pattern / (error.detach() + SMALLEST_ERROR)).mean() for error, pattern in parts)
        fidelity = torch.log(parts[0][0] + SMALLEST_ERROR).mean()
        distance = self._distance(pixels, decoded)
        seams = visible_seams(decoded)
        loss = distance + FIDELITY * (fidelity + REPETITION * repeated) + SEAMS * seams
        loss.backward()
        self.optimizers.step(FINE_TUNING * rate_factor(self.step, progress))
        self.step += 1
        follow(self.average, self.look, self.step)
        error = (decoded.detach() - pixels).square().mean((1, 2, 3))
        return distance.item(), 10 * torch.log10(4 / error).mean().item(), repeated.item(), seams.item()

    @torch.no_grad()
    def _features(self, pixels):
        """What the frozen synthesis makes of pixels at random qualities, and octave weights (B, 11)."""
        quality = objective.draw_quality(len(pixels), self.generator)
        octaves = torch.as_tensor(octave_weights(quality))
        step = torch.as_tensor(step_size(quality), dtype=torch.float32)
        lengths = quality[:, None, None].expand(-1, pixels.shape[2] // 64, pixels.shape[3] // 64)
        with torch.autocast("cpu", torch.bfloat16):
            latents = self.tokenizer.analysis(pixels)
            tokens = objective.quantize(latents, objective.kept_masks(lengths), step, self.prior, octaves)
            return self.tokenizer.synthesis([z * step[:, None, None, None] for z in tokens], octaves), octaves

    def _grain(self, pixels):
        batch, _, height, width = pixels.shape
        shapes = ((batch, GRAIN, height // n, width // n) for n in (16, 8))
        return [2 * torch.rand(shape, generator=self.generator) - 1 for shape in shapes]

    def _distance(self, pixels, decoded):
        """Mean ST-LPIPS of a random window of both, scaled, turned and mirrored alike."""
        view = self._view(pixels.shape[2])
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                target = self.metric.features(view(pixels))
            return self.metric.distance(target, self.metric.features(view(decoded))).mean()

    def _view(self, side):
        draw = torch.rand(3, generator=self.generator)
        size = min(side, round(WINDOW * LARGEST_SCALE ** (2 * draw[0].item() - 1)))
        top, left = (int(u * (side - size + 1)) for u in draw[1:].tolist())
        turned, mirrored = torch.randint(2, (2,), generator=self.generator).tolist()

        def view(x):
            x = x[:, :, top : top + size, left : left + size]
            x = F.interpolate(x, size=(WINDOW, WINDOW), mode="bilinear", antialias=True, align_corners=False)
            x = x.transpose(2, 3) if turned else x
            return (x.flip(2) if mirrored else x).contiguous(memory_format=torch.channels_last)

        return view


def repetition(residual, period):
    """The mean square of `residual` (B, 3, H, W), and of what of it is the same in all blocks of a region.

    Both float (B, rows, columns), of regions of REPEATS x REPEATS blocks of `period` pixels; the mean of a region
    is no pattern and not counted in the second.
    """
    batch, channels, height, width = residual.shape
    side = period * REPEATS
    blocks = residual.reshape(batch, channels, height // side, REPEATS, period, width // side, REPEATS, period)
    pattern = blocks.mean((3, 6))
    pattern = pattern - pattern.mean((3, 5), keepdim=True)
    return blocks.square().mean((1, 3, 4, 6, 7)), pattern.square().mean((1, 3, 5))


def visible_seams(decoded):
    """How much larger steps between pixels are at the borders of patches than within, 0 if they are not; a scalar.

    The logarithm of the ratio of mean squared steps, of regions of 4 x 4 patches of float `decoded` (B, 3, H, W).
    """
    total = 0.0
    for x in (decoded, decoded.transpose(2, 3)):
        steps = F.pad((x[..., 1:] - x[..., :-1]).square().mean(1), (1, 0))
        batch, height, width = steps.shape
        side = PATCH * REPEATS
        means = steps.reshape(batch, height // side, side, width // side, REPEATS, PATCH).mean((2, 4))
        ratio = (means[..., 0] + SMALLEST_ERROR) / (means[..., 1:].mean(-1) + SMALLEST_ERROR)
        total = total + F.relu(torch.log(ratio)).mean() / 2
    return total


def train_look(options):
    """Train as `options` say; writes the checkpoint with the natural look to `options.out`, and a log beside it."""
    check_free(options.out)
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)
    state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)
    run = LookRun(*load_averaged(options.checkpoint), options.seed)
    batches = crop_batches(PictureCache(options.data, options.cache), options.batch, seed=(options.seed, 2))
    budget, started, losses, logged, saved = options.minutes * 60, time.monotonic(), [], 0.0, 0.0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with open(options.out.with_suffix(".jsonl"), "a") as log, tqdm(total=round(budget), unit="s", disable=None) as bar:
        while (seconds := time.monotonic() - started) < budget:
            losses.append(run.update(to_float(next(batches)), seconds / budget))
            bar.update(round(seconds) - bar.n)
            if seconds - logged >= LOG_SECONDS:
                means = dict(zip(("st_lpips", "psnr", "repeated", "seams"), np.mean(losses, axis=0).tolist()))
                log.write(json.dumps({"step": run.step, "minutes": round(seconds / 60, 2)} | means) + "\n")
                log.flush()
                losses, logged = [], seconds
            if seconds - saved >= SAVE_SECONDS:
                save(_with_look(state, run), options.out)
                saved = seconds
    save(_with_look(state, run), options.out)


def _with_look(state, run):
    """The checkpoint `state` with the natural look's averaged weights."""
    weights = {f"looks.{NATURAL}.{name}": tensor for name, tensor in run.average.state_dict().items()}
    arch = replace(run.tokenizer.arch, looks=(FAITHFUL, NATURAL)).to_dict()
    parts = {part: state[part] | weights for part in ("tokenizer", "averaged_tokenizer")}
    return state | parts | {"architecture": arch}
