"""Many pictures by many codecs, in several processes."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from odpiece.codec.batch.processes import run_all
from odpiece.codec.comparison.measure import USUAL, Original, measure
from odpiece.codec.comparison.peers import CODECS, Codec
from odpiece.codec.comparison.report import REFERENCE, Measured
from odpiece.formats.errors import ImageError, told
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image


@dataclass(frozen=True)
class Task:
    """One picture file by one codec; `metrics` are names, `cache` is a folder or None, `q` the highest of odpiece's."""

    path: Path
    codec: Codec
    metrics: tuple
    cache: Path | None
    q: int = USUAL


@dataclass(frozen=True)
class Outcome:
    """What became of a task: the picture's size in pixels, its Trials, and `notes` on what of it is not compared; or
    the message of an error.
    """

    pixels: int = 0
    trials: tuple = ()
    notes: tuple = ()
    error: str = ""


def comparable_pixels(path):
    """The pixels of a picture file as every codec and metric takes them, uint8 (H, W, 3), and notes on what of the
    file is not compared: grey has three equal channels, transparency is laid on white. Raises ImageError.
    """
    picture = read_image(read_bytes(path), Path(path).name)
    grey = picture.pixels.ndim == 2 or picture.pixels.shape[2] == 2
    planes = np.atleast_3d(picture.pixels)
    colours = planes[..., [0, 0, 0] if grey else [0, 1, 2]]
    if planes.shape[2] % 2:
        return colours, picture.notes
    alpha = planes[..., -1:].astype(np.uint16)
    laid = (colours * alpha + 255 * (255 - alpha) + 127) // 255
    return laid.astype(np.uint8), (*picture.notes, "transparency is not compared, the picture is laid on white")


@lru_cache(maxsize=1)
def open_original(path):
    """(the Original of a picture file, notes on what of it is not compared). Raises ImageError."""
    pixels, notes = comparable_pixels(path)
    return Original(pixels), notes


def run_task(task):
    """(the Task, its Outcome), whatever happens: one picture must not end the work on all others."""
    try:
        original, notes = open_original(task.path)
        trials = tuple(measure(original, task.codec, task.metrics, task.cache, task.q))
    except ImageError as error:
        return task, Outcome(error=str(error))
    except Exception as error:
        return task, Outcome(error=f"{task.path.name}: {told(error)}")
    height, width, _ = original.pixels.shape
    return task, Outcome(height * width, trials, notes)


def _lost(task, error):
    return task, Outcome(error=f"{task.path.name}: {error}")


def run_tasks(tasks, jobs=None):
    """(task, its Outcome) of each of `tasks`, as they are done, in `jobs` processes (default: one a core)."""
    return run_all(run_task, tasks, _lost, jobs)


def collect(outcomes):
    """(Measured of each picture that all codecs could do, messages about the others) of the pairs of `run_tasks`.

    A codec that could do none of the pictures which the reference could is left out.
    """
    found = {}
    for task, outcome in outcomes:
        found.setdefault(task.path, {})[task.codec.name] = outcome
    useless = _useless(found.values())
    kept = {path: {name: o for name, o in found[path].items() if name not in useless} for path in sorted(found)}
    failed = {path: error for path, done in kept.items() if (error := _first_error(done.values()))}
    measured = {path: _measured(path, done) for path, done in kept.items() if path not in failed}
    messages = [f"{CODECS[name].title} is left out: {error}" for name, error in useless.items()]
    messages += [f"skipped: {error}" for error in failed.values()]
    return list(measured.values()), messages + _notes({path: kept[path][REFERENCE].notes for path in measured})


def _useless(pictures):
    """{codec: its first error} of those that failed wherever the reference did not."""
    possible = [done for done in pictures if not done[REFERENCE].error]
    names = possible[0] if possible else ()
    return {
        name: _first_error(done[name] for done in possible) for name in names if all(d[name].error for d in possible)
    }


def _first_error(outcomes):
    return next((outcome.error for outcome in outcomes if outcome.error), None)


def _measured(path, done):
    return Measured(str(path), done[REFERENCE].pixels, {name: outcome.trials for name, outcome in done.items()})


def _notes(notes):
    """A message for each different note of {path: notes}."""
    paths = {}
    for path, lines in notes.items():
        for line in lines:
            paths.setdefault(line, []).append(path.name)
    more = {line: f" (and {len(names) - 1} more)" * (len(names) > 1) for line, names in paths.items()}
    return [f"{names[0]}{more[line]}: {line}" for line, names in paths.items()]
