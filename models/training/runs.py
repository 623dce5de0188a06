"""What training runs share: the clock, the log, the average of their weights, how they save.

A run has `step` (int), `seconds` (float, of training alone, over all its parts) and `update(batch, progress)`, which
trains one step, counts it, and gives {name: value} for the log.
"""

import json
import time

import numpy as np
import torch
from tqdm import tqdm

from odpiece.formats.errors import OutputExistsError

LOG_SECONDS = 15
SAVE_SECONDS = 180
AVERAGE_DECAY = 0.9985  # of the exponential moving average of the weights


@torch.no_grad()
def follow(average, current, step):
    """Move the weights of the network `average` towards those of `current`: an exponential moving average."""
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1.0 - decay)


def check_free(path, advice="give another --out, or remove it"):
    """Raise OutputExistsError where the file `path` exists: what took hours to train is never overwritten."""
    if path.exists():
        raise OutputExistsError(f"{path} exists: {advice}")


def check_run(checkpoint, resume):
    """Raise OutputExistsError where a run has left the file `checkpoint` and it is not to `resume` from there."""
    if not resume:
        check_free(checkpoint, "give --resume to go on from it, or another --out")


def save(state, path):
    """Write `state` with torch.save under a temporary name, then rename."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def write_line(log, run, **values):
    """Write a line of JSON to the file `log`: step, minutes, and `values`."""
    log.write(json.dumps({"step": run.step, "minutes": round(run.seconds / 60, 2)} | values) + "\n")
    log.flush()


def train(run, batches, processes, log, save_run, *, minutes, part=None, watch=None, watch_seconds=float("inf")):
    """Update `run` on `batches` until it has had `minutes`, over all its parts, or `part` minutes in this one.

    The first of the `processes` writes means to the file `log`, calls `save_run()` every few minutes and at the end,
    and `watch()` every `watch_seconds`, whose time does not count.
    """
    budget, began = 60.0 * minutes, run.seconds
    end = min(budget, began + 60.0 * part) if part else budget
    started, logged, saved, watched, values = time.monotonic() - began, began, began, began, []
    bar = tqdm(total=round(budget), initial=round(began), unit="s", disable=None if processes.first else True)
    while run.seconds < end:
        values.append(run.update(next(batches), run.seconds / budget))
        run.seconds = processes.agree(time.monotonic() - started)  # all stop at the same step, with the same rates
        if not processes.first:
            continue
        bar.update(round(run.seconds) - bar.n)
        if run.seconds - logged >= LOG_SECONDS:
            pace = (run.seconds - logged) / len(values)
            write_line(log, run, seconds_a_step=round(pace, 3), **_means(values))
            logged, values = run.seconds, []
        if run.seconds - saved >= SAVE_SECONDS:
            save_run()
            saved = run.seconds
        if run.seconds - watched >= watch_seconds:
            before = time.monotonic()
            watch()
            started += time.monotonic() - before
            watched = run.seconds
    bar.close()
    if processes.first:
        save_run()


def _means(values):
    return {name: float(np.mean([v[name] for v in values])) for name in values[0]}
