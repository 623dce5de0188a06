"""Joint training of the tokenizer and the float prior, by the clock: `minutes` is the length of a run.

The run folder holds `checkpoint.pt` (all state, written every few minutes and at the end), `best.pt`
(averaged weights with the lowest validation cost) and `log.jsonl` (a line every LOG_SECONDS, with the
validation table on some of them). A killed run goes on from its checkpoint with `resume`.
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from odpiece.formats.errors import OptionError
from odpiece.models.interface import PIECE, Q_OCTAVES, is_fine, step_size
from odpiece.models.nets.bands.prior import Prior
from odpiece.models.nets.bands.transform import Architecture, Tokenizer
from odpiece.models.training.bands import objective, pca
from odpiece.models.training.bands.colours import constrain
from odpiece.models.training.bands.exact import fit_exact
from odpiece.models.training.bands.export import load_shipped
from odpiece.models.training.bands.optimizers import Optimizers, rate_factor
from odpiece.models.training.bands.validation import validate
from odpiece.models.training.crops import FINE_STEPS, Mixture, Steps, batches
from odpiece.models.training.data import CROP, PictureCache, random_crops, to_float
from odpiece.models.training.precision import autocast
from odpiece.models.training.processes import joined
from odpiece.models.training.runs import check_free, check_run, follow, save, train, write_line

CHECKPOINT = "checkpoint.pt"  # of a run's folder
PCA_CROPS = 800
LONGEST_WATCH = 900.0  # seconds between validations
FROM_TRAINED = 0.35  # of the rates, where a run begins with trained weights
BALANCE, FINE_BALANCE = 0.5, 1.1  # costs are weighted by q^-BALANCE, so that low and high rates count alike


@dataclass(frozen=True)
class TrainOptions:
    """Options of one run.

    `data` are folders of pictures, of which `val` is none. `minutes` counts training over all resumed parts, the next
    of which ends after `part` minutes. `start` is a weights file or a checkpoint to begin with in place of principal
    components. A step of each process takes `batch` crops of 256x256, or as many pixels in larger ones. `threads` 0
    means all cores, or one beside a GPU, `device` is "cpu", "cuda" or "auto". A share `fine` of the steps teaches
    high qualities. The rates are `rate` times those of a run from scratch, FROM_TRAINED times where that is None and
    there is a `start`.
    """

    data: tuple[Path, ...]
    val: Path
    out: Path
    minutes: float
    resume: bool = False
    start: Path | None = None
    part: float | None = None
    cache: Path | None = None
    batch: int = 8
    threads: int = 0
    device: str = "auto"
    fine: float = FINE_STEPS
    rate: float | None = None
    seed: int = 0

    def __post_init__(self):
        if self.minutes < 0 or self.batch < 1:
            raise OptionError("minutes must not be negative, batch must be positive")


class Run:
    """The state of a training run in one process: networks, their averages, optimizers, random generator, clock."""

    def __init__(self, arch, seed, processes):
        torch.manual_seed(seed)
        self.processes, self.seed = processes, seed
        self.tokenizer, self.prior = (
            n.to(processes.device, memory_format=torch.channels_last) for n in (Tokenizer(arch), Prior())
        )
        self.optimizers = Optimizers([self.tokenizer, self.prior])
        self.averaged, self.rate = None, 1.0
        self.step, self.seconds, self.best = 0, 0.0, float("inf")
        self.generator = torch.Generator()
        self.reseed()

    def reseed(self):
        """Other qualities in each process and each part of a run."""
        seed = np.random.SeedSequence((self.seed, self.processes.rank, self.step)).generate_state(1)
        self.generator.manual_seed(int(seed[0]))

    def initialise(self, pixels):
        """Start from principal components of `pixels`, float (B, 3, H, W)."""
        pca.initialise(self.tokenizer, pixels)
        spread = fit_exact(self.tokenizer, pixels)
        constrain(self.tokenizer)
        steps = step_size(2.0 ** np.arange(Q_OCTAVES))
        self.prior.initialise(spread, torch.as_tensor(steps, dtype=torch.float32, device=pixels.device))
        self.averaged = copy.deepcopy((self.tokenizer, self.prior))

    def start_from(self, tokenizer, prior):
        """Take the weights of trained networks of the same architecture, but not of their natural look."""
        self.tokenizer.load_state_dict(tokenizer.state_dict(), strict=False)
        self.prior.load_state_dict(prior.state_dict())
        self.averaged = copy.deepcopy((self.tokenizer, self.prior))

    def update(self, batch, progress):
        """One step on a Batch (training/crops.py); gives {"loss": value}."""
        pixels = to_float(batch.pixels, self.processes.device)
        quality = objective.draw_quality(batch.lowest, torch.as_tensor(batch.highest), self.generator)
        rows, columns = pixels.shape[2] // PIECE, pixels.shape[3] // PIECE
        lengths = objective.draw_lengths(quality, rows, columns, self.generator)
        with autocast(pixels.device):
            error, bits = objective.run(self.tokenizer, self.prior, pixels, quality, lengths.to(pixels.device))
        balance = FINE_BALANCE if is_fine(batch.lowest) else BALANCE
        weight = (quality.float() ** -balance / pixels[0, 0].numel()).to(pixels.device)
        loss = (objective.cost(error, bits, quality) * weight).mean()
        loss.backward()
        self.processes.average_gradients(self.optimizers.parameters)
        self.optimizers.step(self.rate * rate_factor(self.step, progress))
        constrain(self.tokenizer)
        self.step += 1
        for average, current in zip(self.averaged, (self.tokenizer, self.prior)):
            follow(average, current, self.step)
        return {"loss": loss.item()}

    def state_dict(self):
        tokenizer, prior = self.averaged
        return {
            "architecture": self.tokenizer.arch.to_dict(),
            "tokenizer": self.tokenizer.state_dict(),
            "prior": self.prior.state_dict(),
            "averaged_tokenizer": tokenizer.state_dict(),
            "averaged_prior": prior.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "seed": self.seed,
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "rate": self.rate,
        }

    @classmethod
    def from_state_dict(cls, state, processes):
        run = cls(Architecture.from_dict(state["architecture"]), state["seed"], processes)
        run.tokenizer.load_state_dict(state["tokenizer"])
        run.prior.load_state_dict(state["prior"])
        run.averaged = copy.deepcopy((run.tokenizer, run.prior))
        run.averaged[0].load_state_dict(state["averaged_tokenizer"])
        run.averaged[1].load_state_dict(state["averaged_prior"])
        run.optimizers.load_state_dict(state["optimizers"])
        run.step, run.seconds, run.best = state["step"], state["seconds"], state["best"]
        run.rate = state["rate"]
        run.reseed()
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
    """Train as `options` say, see TrainOptions and the module's text.

    Gives the last validation table, or None in all processes but the first.
    """
    check_run(options.out / CHECKPOINT, options.resume)  # in every process, before the first can have written it
    torch.set_flush_denormal(True)
    options.out.mkdir(parents=True, exist_ok=True)
    with joined(options.device) as processes:
        processes.use_threads(options.threads)
        with processes.first_before_others():
            caches = [PictureCache(folder, options.cache) for folder in options.data]
            val = PictureCache(options.val, options.cache)
        run = _begun(options, caches, processes)
        with open(options.out / "log.jsonl", "a") as log:
            return _train(run, Mixture(caches), val, options, log)


def _begun(options, caches, processes):
    """The Run that `options` ask for, resumed or new."""
    checkpoint = options.out / CHECKPOINT
    if options.resume and checkpoint.is_file():
        return Run.from_state_dict(torch.load(checkpoint, map_location=processes.device, weights_only=True), processes)
    if options.start:
        load = load_shipped if options.start.suffix == ".safetensors" else load_averaged
        tokenizer, prior = load(options.start)
        run = Run(replace(tokenizer.arch, grain_hidden=0), options.seed, processes)
        run.start_from(tokenizer, prior)
        run.rate = options.rate or FROM_TRAINED
        return run
    run = Run(Architecture(), options.seed, processes)
    run.rate = options.rate or run.rate
    run.initialise(to_float(np.stack(random_crops(caches[0], PCA_CROPS, options.seed)), processes.device))
    return run


def _train(run, mixture, val, options, log):
    steps = Steps(mixture, options.batch * CROP**2, run.seed, run.processes.rank, options.fine)

    def save_run():
        save(run.state_dict(), options.out / CHECKPOINT)

    def watch():
        return _validate(run, val, options.out, log)

    seconds = min(LONGEST_WATCH, max(60.0, 6.0 * options.minutes))
    length = {"minutes": options.minutes, "part": options.part}
    made = batches(steps, run.step, run.processes.loaders)
    train(run, made, run.processes, log, save_run, watch=watch, watch_seconds=seconds, **length)
    if not run.processes.first:
        return None
    table = watch()
    save_run()  # with what the last validation found best
    return table


def _validate(run, val, out, log):
    table = validate(*run.averaged, val)
    cost = float(np.mean([np.log(row["cost"]) for row in table]))
    write_line(log, run, val=table, mean_log_cost=cost)
    if cost < run.best:
        run.best = cost
        save(run.state_dict(), out / "best.pt")
    return table
