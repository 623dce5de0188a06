"""odpiece compare: pictures by odpiece and by other codecs at the same bytes."""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from odpiece.cli.options import output_options
from odpiece.formats.errors import ImageError, MissingExtraError, OutputError
from odpiece.formats.files import STANDARD, check_output, make_folder, write_bytes

LINE_SECONDS = 60


def _numbers(context, parameter, value):
    """(1, 2) of "1,2"; None of None."""
    if value is None:
        return None
    try:
        numbers = tuple(sorted({int(part) for part in value.split(",")}))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of whole numbers such as 1,2,4") from None
    if not 1 <= numbers[0] <= numbers[-1] <= 4096:
        raise click.BadParameter("give numbers from 1 to 4096")
    return numbers


def _names(context, parameter, value):
    return value and tuple(dict.fromkeys(value.split(",")))


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--codecs", metavar="LIST", callback=_names, help="Of jpeg,webp,avif,jxl,thumbhash,blurhash.")
@click.option("--metrics", metavar="LIST", callback=_names, help="Of psnr,ms-ssim,ssimulacra2,st-lpips.")
@click.option(
    "-q", "--quality", "qualities", metavar="LIST", callback=_numbers, help="odpiece's. [default: 1,2,4,...,4096]"
)
@click.option(
    "--look", type=click.Choice(["faithful", "natural"]), default="faithful", show_default=True, help="odpiece's."
)
@click.option(
    "--downscale",
    metavar="LIST",
    callback=_numbers,
    help="The peers'. [default: 1,2,3,4,6,8, for large pictures 12,16]",
)
@click.option("--json", "json_path", metavar="FILE", help="Write mean curves in the format of CompressAI's bench.")
@click.option("--csv", "csv_path", metavar="FILE", help="Write one line for every file that was measured.")
@click.option(
    "--html",
    "html_folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write DIR/index.html: curves, tables and every picture beside the original, in one file.",
)
@click.option("--tasks", is_flag=True, help="Also: how often a frozen classifier names the picture as the original.")
@click.option("-j", "jobs", type=click.IntRange(1), metavar="N", help="Processes. [default: one for each core]")
@output_options
def compare(
    paths, codecs, metrics, qualities, look, downscale, json_path, csv_path, html_folder, tasks, jobs, force, console
):
    """Compare odpiece with other codecs on pictures and folders of pictures.

    By default with all codecs and metrics that are installed; AVIF, JPEG XL, ThumbHash, BlurHash and all metrics but
    PSNR need odpiece[compare]. Files are whole and without metadata. Peers encode the picture downscaled, too, and
    their best at the bytes of each odpiece file counts. A BD-rate says how many more bytes odpiece needs for the same
    quality (less than zero: it is better), as the median over pictures. Results are cached: a second run only adds.
    """
    html_path = html_folder and html_folder / "index.html"
    for output in filter(None, (json_path, csv_path, html_path)):
        check_output(output, force)
    files = _files(paths)

    from odpiece.codec.comparison import report
    from odpiece.codec.comparison.metrics import METRICS, find_metric
    from odpiece.codec.comparison.page import page, require_page
    from odpiece.codec.comparison.peers import PEERS, find_peer, odpiece
    from odpiece.codec.comparison.recognition import load_classifier

    peers = _required(map(find_peer, codecs)) if codecs else _installed(PEERS, console)
    peers = [replace(p, scales=downscale, least=0) if downscale and p.ladder else p for p in peers]
    ours = odpiece(look)
    ours = replace(ours, qualities=qualities or ours.qualities)
    chosen = _required(map(find_metric, metrics)) if metrics else _installed(METRICS.values(), console)
    metrics = tuple(metric.name for metric in chosen)
    classify = load_classifier() if tasks else None  # here and below: what is missing is said before the long work
    if html_path:
        require_page()

    codecs = {codec.name: codec for codec in (ours, *peers)}
    measured = _measure(files, codecs.values(), metrics, jobs, console)
    rows, rates = report.rows(measured, metrics), report.bd_rates(measured, metrics)
    tables = [report.row_cells(rows, metrics, len(measured)), report.rate_cells(rates, metrics)]
    if tasks:
        tables.append(_agreement_table(measured, codecs, classify))
    if json_path:
        description = f"pictures: {len(measured)}, at the bytes of odpiece -q {','.join(map(str, ours.qualities))}"
        write_bytes(json_path, report.bench(rows, metrics, description), force)
    if csv_path:
        write_bytes(csv_path, report.trial_csv(measured, metrics), force)
    if html_path:
        make_folder(html_folder)
        write_bytes(html_path, page(measured, codecs, rows, rates, metrics, _pixels, look), force)
    # at last, since whoever reads it may go away
    write_bytes(STANDARD, "\n\n".join("\n".join(report.aligned(cells)) for cells in tables).encode() + b"\n")


def _agreement_table(measured, codecs, classify):
    from odpiece.codec.comparison.recognition import agreement_cells, agreements

    return agreement_cells(agreements(measured, codecs, _pixels, classify))


def _pixels(name):
    from odpiece.codec.comparison.tasks import comparable_pixels

    return comparable_pixels(name)[0]


def _files(paths):
    """The files of `paths`, those directly in folders included."""
    return list(dict.fromkeys(file for path in paths for file in (_inside(path) if os.path.isdir(path) else [path])))


def _inside(folder):
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise ImageError(f"cannot read the folder {folder}: {error.strerror}") from None


def _required(choices):
    """`choices` (codecs or metrics) as a list. Raises MissingExtraError for one whose packages are missing."""
    choices = list(choices)
    for choice in choices:
        choice.require()
    return choices


def _installed(choices, console):
    """Those of `choices` (codecs or metrics) whose packages are there; the others are named in a warning."""
    found, missing = [], []
    for choice in choices:
        try:
            choice.require()
            found.append(choice)
        except MissingExtraError:
            missing.append(choice.title)
    if missing:
        console.warn(f"without {', '.join(missing)}: pip install 'odpiece[compare]' adds them")
    return found


def _measure(files, codecs, metrics, jobs, console):
    from tqdm import tqdm

    from odpiece.codec.comparison.tasks import Task, collect, run_tasks

    cache = _cache(console)
    tasks = [Task(path, codec, metrics, cache) for path in files for codec in codecs]
    outcomes = _told_by_lines(run_tasks(tasks, jobs), len(tasks), console)
    with tqdm(outcomes, total=len(tasks), desc="compare", leave=False, disable=console.quiet or None) as bar:
        measured, messages = collect(bar)
    for message in messages:
        console.warn(message)
    if not measured:
        raise ImageError("no picture could be compared, give picture files or folders of them")
    return measured


def _cache(console):
    """The folder for results, None with a warning where there can be none."""
    from odpiece.codec.comparison.measure import default_cache

    try:
        return default_cache()
    except OutputError as error:
        console.warn(f"results are not kept for a second run: {error}")


def _told_by_lines(outcomes, total, console):
    """`outcomes`; where there is no terminal for a bar, a line a minute says how many of `total` there are."""
    began = told = time.monotonic()
    for count, outcome in enumerate(outcomes, 1):
        yield outcome
        now = time.monotonic()
        if now - told >= LINE_SECONDS and not sys.stderr.isatty():
            told = now
            console.result(f"compare: {count} of {total} done in {(now - began) / 60:.0f} min")
