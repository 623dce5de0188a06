"""Training one part of a trained model, everything else frozen: what `train prior` and `train look` share."""

from dataclasses import dataclass
from pathlib import Path

import torch

from odpiece.formats.errors import OptionError
from odpiece.models.training.bands.loop import load_averaged
from odpiece.models.training.crops import FINE_STEPS, Mixture, Steps, batches
from odpiece.models.training.data import CROP, PictureCache
from odpiece.models.training.processes import joined
from odpiece.models.training.runs import check_run, save, train

RUN = "run"  # key of a run's own state in the checkpoint that it writes


@dataclass(frozen=True)
class TuningOptions:
    """Options of a run that trains one part, of the networks in `checkpoint`, and writes the checkpoint `out`.

    A share `fine` of its steps teaches high qualities. The others are as of TrainOptions (loop.py).
    """

    checkpoint: Path
    data: tuple[Path, ...]
    out: Path
    minutes: float
    part: float | None = None
    resume: bool = False
    cache: Path | None = None
    batch: int = 8
    device: str = "auto"
    seed: int = 0
    fine: float = FINE_STEPS


def tune(options, make_run):
    """Train the run that `make_run(tokenizer, prior, processes, seed)` gives, as `options` say.

    Beside what training/runs.py asks of a run, it has `state_dict`, `load_state_dict`, and `result()`: the entries of
    the checkpoint that it changes. A log, JSON lines, is written beside the checkpoint.
    """
    check_run(options.out, options.resume)  # in every process, before the first can have written it
    torch.set_flush_denormal(True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with joined(options.device) as processes:
        processes.use_threads()
        with processes.first_before_others():
            mixture = Mixture([PictureCache(folder, options.cache) for folder in options.data])
        networks = (n.to(processes.device) for n in load_averaged(options.checkpoint))
        run = make_run(*networks, processes, options.seed)
        if options.resume and options.out.is_file():
            run.load_state_dict(_own_state(options.out, processes.device))
        state = torch.load(options.checkpoint, map_location="cpu", weights_only=True)

        def save_run():
            save(state | run.result() | {RUN: run.state_dict()}, options.out)

        steps = Steps(mixture, options.batch * CROP**2, options.seed, processes.rank, options.fine)
        made = batches(steps, run.step, processes.loaders)
        with open(options.out.with_suffix(".jsonl"), "a") as log:
            train(run, made, processes, log, save_run, minutes=options.minutes, part=options.part)


def _own_state(path, device):
    state = torch.load(path, map_location=device, weights_only=True)
    if RUN not in state:
        raise OptionError(f"{path} is no checkpoint of this command that could be resumed")
    return state[RUN]
