"""Many pictures by many codecs, in several processes."""

import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from odpiece.codec.comparison.measure import Original, measure
from odpiece.codec.comparison.peers import Codec
from odpiece.codec.comparison.report import Measured
from odpiece.formats.errors import ImageError
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image


@dataclass(frozen=True)
class Task:
    """One picture file by one codec; `metrics` are names, `cache` is a folder or None."""

    path: Path
    codec: Codec
    metrics: tuple
    cache: Path | None


@dataclass(frozen=True)
class Outcome:
    """What became of a task: the picture's size in pixels and its Trials, or the message of an ImageError."""

    pixels: int = 0
    trials: tuple = ()
    error: str = ""


@lru_cache(maxsize=1)
def _open(path):
    return Original(read_image(read_bytes(path), path.name).pixels)


def run_task(task):
    """The Outcome of a Task. Raises MissingExtraError."""
    try:
        original = _open(task.path)
    except ImageError as error:
        return Outcome(error=str(error))
    height, width, _ = original.pixels.shape
    return Outcome(height * width, tuple(measure(original, task.codec, task.metrics, task.cache)))


def run_tasks(tasks, jobs=1):
    """(task, its Outcome) of each of `tasks`, as they are done, in `jobs` processes."""
    if jobs == 1:
        yield from ((task, run_task(task)) for task in tasks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_share_cores) as pool:
        pending = {pool.submit(run_task, task): task for task in tasks}
        try:
            for done in as_completed(pending):
                yield pending[done], done.result()
        finally:  # after an error or an interruption the rest is not waited for
            pool.shutdown(cancel_futures=True)


def _share_cores():
    """One thread a process: torch and BLAS read this when they are loaded."""
    os.environ["OMP_NUM_THREADS"] = "1"


def collect(outcomes):
    """(Measured of each picture that could be read, messages about the others) of the pairs of `run_tasks`."""
    measured, errors = {}, {}
    for task, outcome in outcomes:
        if outcome.error:
            errors[task.path] = outcome.error
        else:
            picture = measured.setdefault(task.path, Measured(str(task.path), outcome.pixels, {}))
            picture.trials[task.codec.name] = outcome.trials
    return [measured[path] for path in sorted(measured)], [errors[path] for path in sorted(errors)]
