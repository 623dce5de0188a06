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

FIRST_SECONDS, LINE_SECONDS = 10, 60  # until the first line that says how long it takes, and between further ones
ALL = "all"


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
@click.option("--metrics", metavar="LIST", callback=_names, help="Of psnr,ms-ssim,ssimulacra2,st-lpips,wasserstein.")
@click.option(
    "-q", "--quality", "qualities", metavar="LIST", callback=_numbers, help="odpiece's. [default: 1,2,4,...,4096]"
)
@click.option(
    "--look", type=click.Choice(["faithful", "natural"]), default="faithful", show_default=True, help="odpiece's."
)
@click.option(
    "--tune", type=click.Choice(["psnr", "ssim"]), default="psnr", show_default=True, help="odpiece's, as of encode."
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
@click.option(
    "--tasks",
    metavar="[LIST]",
    is_flag=False,
    flag_value=ALL,
    callback=_names,
    help="Also how much of what networks see in the originals survives. Of classes,text,faces; alone: all.",
)
@click.option("-j", "jobs", type=click.IntRange(1), metavar="N", help="Processes. [default: one for each core]")
@output_options
def compare(
    paths,
    codecs,
    metrics,
    qualities,
    look,
    tune,
    downscale,
    json_path,
    csv_path,
    html_folder,
    tasks,
    jobs,
    force,
    console,
):
    """Compare odpiece with other codecs on pictures and folders of pictures.

    By default with all codecs and metrics that are installed; AVIF, JPEG XL, ThumbHash, BlurHash and all metrics but
    PSNR need odpiece[compare], --tasks needs odpiece[tasks]. Files are whole and without metadata. Peers encode the
    picture downscaled, too, and their best at the bytes of each odpiece file counts. A BD-rate says how many more bytes
    odpiece needs for the same quality (less than zero: it is better), as the median over pictures. Results are cached:
    a second run only adds.
    """
    html_path = html_folder and html_folder / "index.html"
    for output in filter(None, (json_path, csv_path, html_path)):
        check_output(output, force)
    files = _files(paths)

    from odpiece.codec.comparison import report
    from odpiece.codec.comparison.extra import COMPARE, TASKS
    from odpiece.codec.comparison.metrics import METRICS, find_metric
    from odpiece.codec.comparison.page import page, require_page
    from odpiece.codec.comparison.peers import PEERS, find_peer, odpiece
    from odpiece.codec.comparison.subjects import SUBJECTS, find_subject

    peers = _required(map(find_peer, codecs)) if codecs else _installed(PEERS, COMPARE, console)
    peers = [replace(p, scales=downscale, least=0) if downscale and p.ladder else p for p in peers]
    ours = odpiece(look, tune)
    ours = replace(ours, qualities=qualities or ours.qualities)
    chosen = _required(map(find_metric, metrics)) if metrics else _installed(METRICS.values(), COMPARE, console)
    metrics = tuple(metric.name for metric in chosen)
    if html_path:  # here and below: what is missing is said before the long work
        require_page()
    if tasks == (ALL,):
        subjects = _installed(SUBJECTS.values(), TASKS, console) or _required(SUBJECTS.values())
    else:
        subjects = _required(map(find_subject, tasks or ()))

    codecs = {codec.name: codec for codec in (ours, *peers)}
    measured = _measure(files, codecs.values(), metrics, max(ours.qualities), jobs, console)
    rows, rates = report.rows(measured, metrics), report.bd_rates(measured, metrics)
    tables = [report.row_cells(rows, metrics, len(measured)), report.rate_cells(rates, metrics)]
    if subjects:
        tables += _survival_tables(measured, codecs, tune, subjects, rows, jobs, console)
    if json_path:
        reference = f"odpiece -q {','.join(map(str, ours.qualities))} --tune {tune} --look {look}"
        description = f"pictures: {len(measured)}, at the bytes of {reference}"
        write_bytes(json_path, report.bench(rows, metrics, description), force)
    if csv_path:
        write_bytes(csv_path, report.trial_csv(measured, metrics), force)
    if html_path:
        make_folder(html_folder)
        write_bytes(html_path, page(measured, codecs, rows, rates, metrics, _pixels, look, tune), force)
    # at last, since whoever reads it may go away
    write_bytes(STANDARD, "\n\n".join("\n".join(report.aligned(cells)) for cells in tables).encode() + b"\n")


def _survival_tables(measured, codecs, tune, subjects, rows, jobs, console):
    from odpiece.codec.comparison.peers import CODECS, odpiece
    from odpiece.codec.comparison.recognition import View, run_views, survival_cells, tally
    from odpiece.codec.comparison.report import REFERENCE
    from odpiece.models.interface import LOOKS

    titled = {f"{REFERENCE} {look}": odpiece(look, tune) for look in LOOKS}
    titled |= {CODECS[name].title: codecs[name] for name in measured[0].trials if name != REFERENCE}
    cache, names = _cache(console), tuple(subject.name for subject in subjects)
    views = [View(picture, titled, names, cache) for picture in measured]
    total, messages = tally(_watched(run_views(views, jobs), len(views), "tasks", console))
    for message in messages:
        console.warn(message)
    rates = {row.quality: row.bpp for row in rows if row.codec == REFERENCE}
    return [survival_cells(total, subject, titled, rates) for subject in subjects]


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
    """`choices` (codecs, metrics or tasks) as a list. Raises MissingExtraError for one whose packages are missing."""
    choices = list(choices)
    for choice in choices:
        choice.require()
    return choices


def _installed(choices, extra, console):
    """Those of `choices` (codecs, metrics or tasks) whose packages are there; the others are named in a warning, as is
    the extra that has them.
    """
    found, missing = [], []
    for choice in choices:
        try:
            choice.require()
            found.append(choice)
        except MissingExtraError:
            missing.append(choice.title)
    if missing:
        console.warn(f"without {', '.join(missing)}: pip install 'odpiece[{extra}]' adds them")
    return found


def _measure(files, codecs, metrics, highest, jobs, console):
    from odpiece.codec.comparison.tasks import Task, collect, run_tasks

    cache = _cache(console)
    tasks = [Task(path, codec, metrics, cache, highest) for path in files for codec in codecs]
    measured, messages = collect(_watched(run_tasks(tasks, jobs), len(tasks), "compare", console))
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


def _watched(outcomes, total, name, console):
    """`outcomes`, with a bar; where there is no terminal for one, with lines that say how many of `total` there are."""
    from tqdm import tqdm

    outcomes = _told_by_lines(outcomes, total, name, console)
    with tqdm(outcomes, total=total, desc=name, leave=False, disable=console.quiet or None) as bar:
        yield from bar


def _told_by_lines(outcomes, total, name, console):
    began = time.monotonic()
    due = began + FIRST_SECONDS
    for count, outcome in enumerate(outcomes, 1):
        yield outcome
        now = time.monotonic()
        if now >= due and not sys.stderr.isatty():
            due = now + LINE_SECONDS
            minutes = (now - began) / 60
            to_go = f", about {minutes * (total - count) / count:.0f} min to go" if count < total else ""
            console.result(f"{name}: {count} of {total} done in {minutes:.0f} min{to_go}")
