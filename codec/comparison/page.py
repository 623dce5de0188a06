"""One HTML page that needs no network: curves, tables, and for each picture every codec beside the original."""

import base64
import io
import json
import math
from importlib import resources
from importlib.util import find_spec

from PIL import Image

from odpiece.codec.comparison.curves import envelope
from odpiece.codec.comparison.extra import extra
from odpiece.codec.comparison.metrics import METRICS
from odpiece.codec.comparison.peers import CODECS
from odpiece.codec.comparison.report import REFERENCE
from odpiece.codec.files import truncate

MAX_SIDE = 1024  # pixels: larger pictures are shown downscaled
SHOWN = {"format": "WEBP", "quality": 92, "method": 4}  # how pictures are embedded
SIZES = (4, 16, 64, 256, 1024, 4096)  # qualities of the reference at whose bytes pictures are shown
TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


def require_page():
    """Raise MissingExtraError if a package is missing."""
    with extra("--html"):
        if find_spec("plotly") is None:
            raise ImportError("plotly")


def page(measured, codecs, found, rates, metrics, read, look, tune):
    """The bytes of the page; `found` and `rates` as of report.rows and report.bd_rates.

    `codecs` are {name: Codec}, all that were measured; `read(name)` gives the uint8 (H, W, 3) pixels of a Measured's
    picture, `look` and `tune` are how the reference was decoded and encoded. Raises MissingExtraError.
    """
    with extra("--html"):
        from plotly.offline import get_plotlyjs
    data = {
        "look": look,
        "tune": tune,
        "metrics": {m: METRICS[m].title for m in metrics},
        "curves": [_mean_curves(found, metrics, len(measured)), *(_curves(picture, metrics) for picture in measured)],
        "rates": {CODECS[peer].title: [rates[peer][m] for m in metrics] for peer in rates},
        "rows": [_row(row, metrics) for row in found],
        "pictures": [_picture(picture, codecs, read(picture.name)) for picture in measured],
    }
    template = resources.files(__package__).joinpath("page.html").read_text()
    text = json.dumps(_finite(data), separators=(",", ":")).replace("</", "<\\/")
    return template.replace("/*PLOTLY*/", get_plotlyjs()).replace("/*DATA*/null", text).encode()


def _finite(value):
    """`value` without nan and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _mean_curves(found, metrics, pictures):
    """{"name", metric: {codec: [[bytes, bits a pixel, score], ...]}} of the Rows that all pictures have."""
    whole = [row for row in found if row.pictures == pictures]
    names = [name for name in CODECS if any(row.codec == name for row in whole)]
    points = {
        m: {n: [(row.size, row.bpp, row.scores[m]) for row in whole if row.codec == n] for n in names} for m in metrics
    }
    return {"name": "mean of all pictures"} | _titled(points)


def _curves(picture, metrics):
    points = {m: {codec: _envelope(picture, codec, m) for codec in picture.trials} for m in metrics}
    return {"name": picture.name} | _titled(points)


def _envelope(picture, codec, metric):
    sign = 1 if METRICS[metric].higher_is_better else -1
    return [(size, 8 * size / picture.pixels, sign * score) for size, score in envelope(picture.curve(codec, metric))]


def _titled(points):
    return {m: {CODECS[codec].title: curve for codec, curve in curves.items()} for m, curves in points.items()}


def _row(row, metrics):
    name = f"odpiece -q {row.quality}" if row.codec == REFERENCE else CODECS[row.codec].title
    return [name, row.size, row.bpp, *(row.scores[m] for m in metrics), row.pictures]


def _picture(picture, codecs, pixels):
    qualities = [t.quality for t in picture.trials[REFERENCE]]
    shown = [q for q in SIZES if q in qualities] or qualities[-1:]
    height, width, _ = pixels.shape
    return {
        "name": picture.name,
        "size": [width, height],
        "original": _embedded(pixels),
        "sizes": [{"quality": q, "files": _files(picture, codecs, pixels, q)} for q in shown],
        "tokens": _arriving(codecs[REFERENCE], pixels, shown[-1]),
    }


def _files(picture, codecs, pixels, quality):
    """Of every codec the file that has the best PSNR at no more bytes than the reference's, or its smallest."""
    files = []
    for codec, trials in picture.trials.items():
        best = picture.best_file(codec, picture.at_quality(quality)) or min(trials, key=lambda t: t.size)
        data = codecs[codec].encode(pixels, best.quality, best.scale)
        scale = f", 1/{best.scale} size" if best.scale > 1 else ""
        label = f"{CODECS[codec].title}{scale}: {best.size} bytes, {best.scores['psnr']:.1f} dB"
        files.append({"label": label, "image": _embedded(codecs[codec].decode(data, pixels.shape))})
    return files


def _arriving(codec, pixels, quality):
    """The picture after 1, 2, 4, ... tokens a piece of one file."""
    data = codec.encode(pixels, quality)
    counts = [n for n in TOKENS if n <= quality]
    pictures = [codec.decode(truncate(data, n), pixels.shape) for n in counts]
    return [{"count": n, "of": quality, "image": _embedded(picture)} for n, picture in zip(counts, pictures)]


def _embedded(pixels):
    """A data URI."""
    im, out = Image.fromarray(pixels), io.BytesIO()
    im.thumbnail((MAX_SIDE, MAX_SIDE))
    im.save(out, **SHOWN)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"
