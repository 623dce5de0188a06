"""Encoding pictures with codecs and scoring what comes back; results are kept on disk, so a second run only adds.

Sizes, times and PSNR are measured at every quality and scale of a codec; other metrics, which cost seconds, only
at those files near one of the BUDGETS that are best by PSNR, and at scales beside theirs.
"""

import contextlib
import hashlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from odpiece.codec.comparison.metrics import find_metric
from odpiece.codec.comparison.subjects import Finding
from odpiece.formats.errors import OutputError
from odpiece.formats.files import make_folder, write_bytes

BPP_RANGE = (0.003, 0.2)  # bits a pixel, of the whole file: those of odpiece's up to the quality USUAL
BUDGETS = 8  # sizes in that range, evenly spaced by ratio
USUAL, FURTHER = 1024, 1.5  # for each octave of quality above, so many sizes more
NEAR = 1.5  # how much larger or smaller than a budget a file may be to stand for it
BEYOND = 1.3  # how much larger than the largest size the files of a ladder may be, but for the last


@dataclass
class Trial:
    """One file: its codec's name, quality and scale, its bytes, the seconds it took, its scores by metric, and the
    Findings in it by the key of a Subject.
    """

    codec: str
    quality: int | str
    scale: int
    size: int
    encode_seconds: float
    decode_seconds: float
    scores: dict = field(default_factory=dict)
    seen: dict = field(default_factory=dict)


class Original:
    """A picture, uint8 (H, W, 3) sRGB, with what the metrics know of it."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.sha256 = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
        self._scorers, self._observers = {}, {}

    def budgets(self, q=USUAL):
        """BUDGETS sizes in bytes, and further ones where odpiece's files of quality `q` are usually larger."""
        low, high = (bpp * self.pixels.shape[0] * self.pixels.shape[1] / 8 for bpp in BPP_RANGE)
        count = BUDGETS + math.ceil(FURTHER * math.log2(max(q, USUAL) / USUAL))
        return [low * (high / low) ** (i / (BUDGETS - 1)) for i in range(count)]

    def score(self, metric, decoded):
        """The score of uint8 (H, W, 3) pixels by the metric of this name."""
        if metric not in self._scorers:
            self._scorers[metric] = find_metric(metric).scorer(self.pixels)
        return self._scorers[metric](decoded)

    def findings(self, subject, decoded):
        """What is left of a Subject in the pixels that the function `decoded` gives: it is called if need be."""
        if subject.name not in self._observers:
            self._observers[subject.name] = subject.observer(self.pixels)
        observer = self._observers[subject.name]
        return observer(decoded()) if observer else []


class Record:
    """The trials of one picture by one codec, in a JSON file of the folder `cache` (None: in memory only)."""

    def __init__(self, cache, original, codec):
        self._name = f"{original.sha256[:32]}-{codec.name}.json"
        self._path = cache and Path(cache) / self._name
        self._version, self._all, self._changed = codec.version(), {}, False
        if self._path:
            with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):  # a damaged file is written anew
                self._all = {key: Trial(**facts) for key, facts in json.loads(self._path.read_text()).items()}

    def _key(self, quality, scale):
        return f"{self._version} {quality} {scale}"

    def get(self, quality, scale):
        """The Trial, None where it was never made."""
        return self._all.get(self._key(quality, scale))

    def put(self, trial):
        self._all[self._key(trial.quality, trial.scale)] = trial
        self._changed = True

    def save(self):
        if self._path and self._changed:
            facts = {key: asdict(trial) for key, trial in self._all.items()}
            with contextlib.suppress(OutputError):  # as on a full disk: what was measured counts all the same
                make_folder(self._path.parent)
                write_bytes(self._path, json.dumps(facts).encode(), force=True)


def default_cache():
    """The folder for results, made where it is missing: $XDG_CACHE_HOME/odpiece/compare or ~/.cache/odpiece/compare.

    Raises OutputError where there can be none.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        raise OutputError("this user has no home: set $XDG_CACHE_HOME to a folder") from None
    cache = Path(base) / "odpiece" / "compare"
    make_folder(cache)
    if not os.access(cache, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write into {cache}")
    return cache


def measure(original, codec, metrics, cache=None, q=USUAL):
    """The Trials of an Original by a Codec, at all its qualities and scales, with the scores by `metrics` (names).

    A ladder goes up to the usual bytes of odpiece's quality `q`. Raises MissingExtraError, OptionError.
    """
    record, files, budgets = Record(cache, original, codec), {}, original.budgets(q)
    trials = list(_encode_all(original, codec, record, files, budgets[-1]))
    for trial, names in _missing_scores(trials, budgets if codec.ladder else None, metrics):
        data = files.get((trial.quality, trial.scale)) or codec.encode(original.pixels, trial.quality, trial.scale)
        decoded = codec.decode(data, original.pixels.shape)
        trial.scores |= {name: original.score(name, decoded) for name in names}
        record.put(trial)
    record.save()
    return trials


def files_up_to(original, codec, size, cache=None):
    """The Trials of an Original by a Codec, of which those of a ladder go on beyond the usual bytes, up to `size`."""
    record = Record(cache, original, codec)
    trials = list(_encode_all(original, codec, record, {}, max(original.budgets()[-1], size)))
    record.save()
    return trials


def see(original, codec, files, subjects, cache=None):
    """{(quality, scale): {name of a subject: its Findings}} of the files of an Original by a Codec.

    `files` are pairs (quality, scale). Raises MissingExtraError.
    """
    record, seen = Record(cache, original, codec), {}
    for quality, scale in files:
        trial = record.get(quality, scale) or _encode_one(original, codec, quality, scale)[0]
        if found := _unseen(original, codec, trial, subjects):
            trial.seen |= found
            record.put(trial)
        seen[quality, scale] = {s.name: [Finding(*facts) for facts in trial.seen[s.key]] for s in subjects}
    record.save()
    return seen


def _unseen(original, codec, trial, subjects):
    """{key of a subject: its Findings} of those of `subjects` that were not yet looked for in the Trial's file."""

    @lru_cache
    def decoded():
        data = codec.encode(original.pixels, trial.quality, trial.scale)
        return codec.decode(data, original.pixels.shape)

    return {s.key: original.findings(s, decoded) for s in subjects if s.key not in trial.seen}


def _missing_scores(trials, budgets, metrics):
    """(trial, names of metrics) of all that is worth scoring and not yet scored; without budgets, all trials are."""
    worth = {m: {id(t) for t in (worth_scoring(trials, budgets, m) if budgets else trials)} for m in metrics}
    for trial in trials:
        if names := [name for name in metrics if name not in trial.scores and id(trial) in worth[name]]:
            yield trial, names


def _encode_all(original, codec, record, files, size):
    """Each Trial; at every scale, a ladder ends with the first far above `size` bytes."""
    for scale in codec.scales_of(original.pixels):
        for quality in codec.qualities:
            trial = record.get(quality, scale)
            if trial is None:
                trial, files[quality, scale] = _encode_one(original, codec, quality, scale)
                record.put(trial)
            yield trial
            if codec.ladder and trial.size > BEYOND * size:
                break


def _encode_one(original, codec, quality, scale):
    began = time.perf_counter()
    data = codec.encode(original.pixels, quality, scale)
    encoded = time.perf_counter()
    pixels = codec.decode(data, original.pixels.shape)
    seconds = encoded - began, time.perf_counter() - encoded
    scores = {"psnr": original.score("psnr", pixels)}
    return Trial(codec.name, quality, scale, len(data), *seconds, scores), data


def worth_scoring(trials, budgets, metric):
    """The trials to score by `metric`: at each budget (bytes) the nearest of those that no smaller one beats in PSNR,
    and of the scales beside its own those nearest to it in bytes.
    """
    scales, worth, metric = sorted({trial.scale for trial in trials}), [], find_metric(metric)
    best = _best(trials)
    for anchor in filter(None, (_nearest(best, budget) for budget in budgets)):
        at = scales.index(anchor.scale)
        beside = (
            scale for scale in scales[max(0, at - metric.finer) : at + metric.coarser + 1] if scale != anchor.scale
        )
        near = (_nearest([t for t in trials if t.scale == scale], anchor.size) for scale in beside)
        worth += [anchor, *filter(None, near)]
    return worth


def _best(trials):
    """The trials of the envelope of bytes and PSNR."""
    best = []
    for trial in sorted(trials, key=lambda t: (t.size, -t.scores["psnr"])):
        if not best or trial.scores["psnr"] > best[-1].scores["psnr"]:
            best.append(trial)
    return best


def _nearest(trials, size):
    found = min(trials, key=lambda t: abs(math.log(t.size / size)), default=None)
    return found if found and abs(math.log(found.size / size)) < math.log(NEAR) else None
