"""Joint training of the tokenizer and the float prior, by the clock: `minutes` is the length of a run.

The run folder holds `checkpoint.pt` (all state, written every few minutes and at the end), `best.pt`
(averaged weights with the lowest validation cost) and `log.jsonl` (a line every LOG_SECONDS, with the
validation table on some of them). A killed run goes on from its checkpoint with `resume`.
"""

import copy
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from odpiece.formats.errors import OptionError
from odpiece.models.interface import Q_OCTAVES, step_size
from odpiece.models.nets.bands.prior import Prior
from odpiece.models.nets.bands.transform import Architecture, Tokenizer
from odpiece.models.training.bands import objective, pca
from odpiece.models.training.bands.export import load_shipped
from odpiece.models.training.bands.optimizers import Optimizers, rate_factor
from odpiece.models.training.bands.validation import validate
from odpiece.models.training.data import PictureCache, crop_batches, random_crops, to_float
from odpiece.models.training.runs import LOG_SECONDS, SAVE_SECONDS, check_free, check_run, follow, save

PCA_CROPS = 800
BALANCE = 0.5  # costs are weighted by q^-BALANCE, so that low and high rates count alike


@dataclass(frozen=True)
class TrainOptions:
    """Options of one run. `minutes` counts training over all resumed parts; `threads` 0 means all cores.

    `start` is a weights file to begin with in place of principal components.
    """

    data: Path
    val: Path
    out: Path
    minutes: float
    resume: bool = False
    start: Path | None = None
    cache: Path | None = None
    batch: int = 8
    threads: int = 0
    seed: int = 0

    def __post_init__(self):
        if self.minutes < 0 or self.batch < 1:
            raise OptionError("minutes must not be negative, batch must be positive")


@dataclass(frozen=True)
class TuningOptions:
    """Options of a run that trains one part: the `checkpoint` to begin with, the folder `data`, the file `out`."""

    checkpoint: Path
    data: Path
    out: Path
    minutes: float
    cache: Path | None = None
    batch: int = 8
    seed: int = 0


class Run:
    """The state of a training run: networks, their averages, optimizers, random generator, clock."""

    def __init__(self, arch, seed):
        torch.manual_seed(seed)
        self.tokenizer, self.prior = Tokenizer(arch), Prior()
        self.optimizers = Optimizers([self.tokenizer, self.prior])
        self.generator = torch.Generator().manual_seed(seed)
        self.averaged = None
        self.step, self.seconds, self.best = 0, 0.0, float("inf")

    def initialise(self, pixels):
        """Start from principal components of `pixels`, float (B, 3, H, W)."""
        spread = pca.initialise(self.tokenizer, pixels)
        steps = step_size(2.0 ** np.arange(Q_OCTAVES))
        self.prior.initialise(spread, torch.as_tensor(steps, dtype=torch.float32))
        self.averaged = copy.deepcopy((self.tokenizer, self.prior))

    def start_from(self, tokenizer, prior):
        """Take the weights of trained networks of the same architecture."""
        for own, given in ((self.tokenizer, tokenizer), (self.prior, prior)):
            own.load_state_dict(given.state_dict())
        self.averaged = copy.deepcopy((self.tokenizer, self.prior))

    def update(self, pixels, progress):
        """One step on float pixels (B, 3, H, W); gives the loss."""
        quality = objective.draw_quality(len(pixels), self.generator)
        rows, columns = pixels.shape[2] // 64, pixels.shape[3] // 64
        lengths = objective.draw_lengths(quality, rows, columns, self.generator)
        with torch.autocast(pixels.device.type, torch.bfloat16):
            error, bits = objective.run(self.tokenizer, self.prior, pixels, quality, lengths)
        weight = quality.float() ** -BALANCE / pixels[0, 0].numel()
        loss = (objective.cost(error, bits, quality) * weight).mean()
        loss.backward()
        self.optimizers.step(rate_factor(self.step, progress))
        self.step += 1
        for average, current in zip(self.averaged, (self.tokenizer, self.prior)):
            follow(average, current, self.step)
        return loss.item()

    def state_dict(self):
        tokenizer, prior = self.averaged
        return {
            "architecture": self.tokenizer.arch.to_dict(),
            "tokenizer": self.tokenizer.state_dict(),
            "prior": self.prior.state_dict(),
            "averaged_tokenizer": tokenizer.state_dict(),
            "averaged_prior": prior.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
        }

    @classmethod
    def from_state_dict(cls, state):
        run = cls(Architecture.from_dict(state["architecture"]), seed=0)
        run.tokenizer.load_state_dict(state["tokenizer"])
        run.prior.load_state_dict(state["prior"])
        run.averaged = copy.deepcopy((run.tokenizer, run.prior))
        run.averaged[0].load_state_dict(state["averaged_tokenizer"])
        run.averaged[1].load_state_dict(state["averaged_prior"])
        run.optimizers.load_state_dict(state["optimizers"])
        run.generator.set_state(state["generator"])
        run.step, run.seconds, run.best = state["step"], state["seconds"], state["best"]
        return run


def load_averaged(path):
    """The averaged (tokenizer, prior) of a checkpoint file, in evaluation mode."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    tokenizer, prior = Tokenizer(Architecture.from_dict(state["architecture"])), Prior()
    tokenizer.load_state_dict(state["averaged_tokenizer"])
    prior.load_state_dict(state["averaged_prior"])
    return tokenizer.eval(), prior.eval()


def average_checkpoints(paths, out):
    """Write to `out` a checkpoint whose weights are the mean of the averaged weights of the files `paths`."""
    check_free(out)
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    mean = {}
    for part in ("tokenizer", "prior"):
        weights = [state[f"averaged_{part}"] for state in states]
        mean[part] = {name: sum(w[name] for w in weights) / len(weights) for name in weights[0]}
        mean[f"averaged_{part}"] = mean[part]
    save(states[-1] | mean, out)


def train_tokenizer(options):
    """Train as `options` say, see TrainOptions and the module's text. Gives the last validation table."""
    checkpoint = options.out / "checkpoint.pt"
    check_run(checkpoint, options.resume)
    torch.set_flush_denormal(True)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    train, val = PictureCache(options.data, options.cache), PictureCache(options.val, options.cache)
    if options.resume and checkpoint.is_file():
        run = Run.from_state_dict(torch.load(checkpoint, weights_only=True))
    else:
        run = Run(Architecture(), options.seed)
        run.initialise(to_float(np.stack(random_crops(train, PCA_CROPS, options.seed))))
        if options.start:
            run.start_from(*load_shipped(options.start))
    batches = crop_batches(train, options.batch, seed=(options.seed, run.step))
    with open(options.out / "log.jsonl", "a") as log:
        return _train(run, batches, val, options, checkpoint, log)


def _train(run, batches, val, options, checkpoint, log):
    budget = options.minutes * 60.0
    validate_seconds = min(900.0, max(60.0, budget / 10))
    started = time.monotonic() - run.seconds
    logged = saved = validated = run.seconds
    losses = []
    bar = tqdm(total=round(budget), initial=round(run.seconds), unit="s", desc="train", disable=None)
    while run.seconds < budget:
        losses.append(run.update(to_float(next(batches)), run.seconds / budget))
        run.seconds = time.monotonic() - started
        bar.update(round(run.seconds) - bar.n)
        if run.seconds - logged >= LOG_SECONDS:
            speed = len(losses) * options.batch / (run.seconds - logged)
            bar.set_postfix(loss=f"{np.mean(losses):.4f}", images_per_s=f"{speed:.0f}")
            _log(log, run, loss=float(np.mean(losses)), images_per_s=speed)
            losses, logged = [], run.seconds
        if run.seconds - validated >= validate_seconds:
            _validate(run, val, options.out, log)
            run.seconds = validated = time.monotonic() - started
            logged, losses = validated, []
        if run.seconds - saved >= SAVE_SECONDS:
            save(run.state_dict(), checkpoint)
            saved = run.seconds
    bar.close()
    table = _validate(run, val, options.out, log)
    save(run.state_dict(), checkpoint)
    return table


def _log(log, run, **values):
    line = {"step": run.step, "minutes": round(run.seconds / 60, 2)} | values
    log.write(json.dumps(line) + "\n")
    log.flush()


def _validate(run, val, out, log):
    table = validate(*run.averaged, val)
    cost = float(np.mean([np.log(row["cost"]) for row in table]))
    _log(log, run, val=table, mean_log_cost=cost)
    if cost < run.best:
        run.best = cost
        save(run.state_dict(), out / "best.pt")
    return table
