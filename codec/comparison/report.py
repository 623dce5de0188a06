"""Tables of measured pictures: every codec at the bytes of odpiece's files, and Bjontegaard rates against it."""

import csv
import io
import json
import math
from dataclasses import dataclass

import numpy as np

from odpiece.codec.comparison.curves import bd_rate, score_at
from odpiece.codec.comparison.metrics import METRICS
from odpiece.codec.comparison.peers import CODECS

REFERENCE = "odpiece"


@dataclass(frozen=True)
class Measured:
    """A picture's name and size in pixels, and its Trials by codec."""

    name: str
    pixels: int
    trials: dict

    def curve(self, codec, metric):
        """[(bytes, score that grows with quality)] of what was scored."""
        sign = 1 if METRICS[metric].higher_is_better else -1
        return [(t.size, sign * t.scores[metric]) for t in self.trials.get(codec, []) if metric in t.scores]

    def at_quality(self, quality):
        """The reference's Trial at this quality."""
        return next(t for t in self.trials[REFERENCE] if t.quality == quality)

    def best_file(self, codec, trial):
        """The codec's Trial of the best PSNR with at most as many bytes as `trial`, None where all have more.

        Of the reference that is `trial` itself.
        """
        fitting = [t for t in self.trials[codec] if t.size <= trial.size]
        best = max(fitting, key=lambda t: t.scores["psnr"], default=None)
        return trial if codec == REFERENCE else best

    def score(self, codec, metric, size):
        """The best score of a codec at `size` bytes, nan where it has no file so small."""
        sign = 1 if METRICS[metric].higher_is_better else -1
        return sign * score_at(self.curve(codec, metric), size)


@dataclass(frozen=True)
class Row:
    """A codec at the bytes of the reference at `quality`: means over the `pictures` where it can be so small."""

    codec: str
    quality: int
    pictures: int
    size: float
    bpp: float
    scores: dict
    encode_seconds: float
    decode_seconds: float


def rows(measured, metrics):
    """The Rows of all codecs at each quality of the reference, but for those with nothing larger than in the last."""
    qualities = [trial.quality for trial in measured[0].trials[REFERENCE]]
    found, sizes = [], {}
    for quality in qualities:
        for codec in sorted(measured[0].trials, key=list(CODECS).index):
            row = _row(measured, codec, quality, metrics)
            if row and row.size != sizes.get(codec):
                found.append(row)
                sizes[codec] = row.size
    return found


def _row(measured, codec, quality, metrics):
    reached = []
    for picture in measured:
        budget = picture.at_quality(quality).size
        fitting = [trial for trial in picture.trials[codec] if trial.size <= budget]
        if fitting:
            reached.append((picture, budget, max(fitting, key=lambda trial: trial.size)))
    if not reached:
        return None
    sizes = [min(budget, max(t.size for t in picture.trials[codec])) for picture, budget, _ in reached]
    bpps = [8 * size / picture.pixels for size, (picture, _, _) in zip(sizes, reached)]
    scores = {m: _mean([picture.score(codec, m, budget) for picture, budget, _ in reached]) for m in metrics}
    seconds = np.mean([(trial.encode_seconds, trial.decode_seconds) for _, _, trial in reached], axis=0)
    return Row(codec, quality, len(reached), float(np.mean(sizes)), float(np.mean(bpps)), scores, *map(float, seconds))


def _mean(values):
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else float("nan")


def bd_rates(measured, metrics):
    """{peer: {metric: (median over pictures of the reference's BD-rate against it in percent, pictures)}}."""
    peers = [codec for codec in measured[0].trials if CODECS[codec].ladder]
    return {peer: {metric: _median_bd_rate(measured, peer, metric) for metric in metrics} for peer in peers}


def _median_bd_rate(measured, peer, metric):
    rates = [bd_rate(picture.curve(peer, metric), picture.curve(REFERENCE, metric)) for picture in measured]
    finite = [rate for rate in rates if math.isfinite(rate)]
    return (float(np.median(finite)) if finite else float("nan")), len(finite)


def bench(found, metrics, description):
    """Rows as the JSON of CompressAI's bench (github.com/InterDigitalInc/CompressAI), a list of one object a codec."""
    names = list(dict.fromkeys(row.codec for row in found))
    curves = [_bench_curve([row for row in found if row.codec == name], metrics) for name in names]
    objects = [{"name": name, "description": description, "results": curve} for name, curve in zip(names, curves)]
    return json.dumps(objects, indent=2, allow_nan=False).encode() + b"\n"


def _bench_curve(found, metrics):
    return {
        "bpp": [row.bpp for row in found],
        **{m: [row.scores[m] if math.isfinite(row.scores[m]) else None for row in found] for m in metrics},
        "encoding_time": [row.encode_seconds for row in found],
        "decoding_time": [row.decode_seconds for row in found],
    }


def trial_csv(measured, metrics):
    """Every Trial as a line of CSV, with a line of names."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["picture", "codec", "quality", "scale", "bytes", "bpp", *metrics, "encode_seconds", "decode_seconds"]
    )
    for picture in measured:
        writer.writerows(_csv_line(picture, t, metrics) for trials in picture.trials.values() for t in trials)
    return out.getvalue().encode()


def _csv_line(picture, trial, metrics):
    scores = [round(trial.scores[m], 5) if m in trial.scores else "" for m in metrics]
    seconds = round(trial.encode_seconds, 4), round(trial.decode_seconds, 4)
    bpp = round(8 * trial.size / picture.pixels, 6)
    return [picture.name, trial.codec, trial.quality, trial.scale, trial.size, bpp, *scores, *seconds]


def row_cells(found, metrics, total):
    """Rows as a table of texts, its head first."""
    head = ["codec", "bytes", "bpp", *(METRICS[m].title for m in metrics), "encode s", "decode s", "pictures"]
    return [head, *(_row_cells(row, metrics, total) for row in found)]


def _row_cells(row, metrics, total):
    name = f"{row.codec} q={row.quality}" if row.codec == REFERENCE else row.codec
    scores = [_shown(row.scores[m]) for m in metrics]
    seconds = f"{row.encode_seconds:.3f}", f"{row.decode_seconds:.3f}"
    return [name, f"{row.size:.0f}", f"{row.bpp:.4f}", *scores, *seconds, f"{row.pictures} of {total}"]


def rate_cells(rates, metrics):
    """BD-rates as a table of texts, its head first."""
    head = ["BD-rate against", *(METRICS[m].title.removesuffix(" dB") for m in metrics)]
    return [head, *([CODECS[peer].title, *(_percent(*found[m]) for m in metrics)] for peer, found in rates.items())]


def _percent(rate, pictures):
    return f"{rate:+.1f} % ({pictures})" if pictures else "-"


def _shown(score):
    return "-" if math.isnan(score) else f"{score:.3f}" if abs(score) < 2 else f"{score:.2f}"


def aligned(cells):
    """Lines of text of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]) for row in cells]
