"""Encoding and decoding many files: the options, and the way from the plan to the records."""

import json
import os
from contextlib import closing
from dataclasses import dataclass, fields
from functools import wraps

import click

from odpiece.cli.options import File
from odpiece.cli.tally import Tally
from odpiece.formats.files import STANDARD, make_folder, read_bytes, write_bytes


@dataclass(frozen=True)
class Batch:
    """The options for many files."""

    recursive: bool
    files_from: str | None
    jobs: int | None
    skip_existing: bool
    dry_run: bool
    as_json: bool
    engine: str
    ray_address: str | None

    def is_one(self, inputs):
        """Whether one file is named, and no others are asked for."""
        return len(inputs) == 1 and not self.recursive and not self.files_from

    def into_folder(self, inputs, output):
        """Whether `output` (a name or None) is a folder to write into, not a file."""
        return not self.is_one(inputs) or (output or "").endswith("/")

    def is_wanted(self, inputs, output):
        """Whether this is not the plain way of one file."""
        asked = self.jobs or self.skip_existing or self.dry_run or self.as_json or self.engine != "local"
        return bool(asked) or self.into_folder(inputs, output) or os.path.isdir(inputs[0])


def batch_options(function):
    """The options for many files; the command gets a Batch as `batch`."""

    @click.option("-r", "--recursive", is_flag=True, help="Take what is in folders and in those below them.")
    @click.option(
        "--files-from",
        type=File(),
        metavar="LIST",
        help="Also the names in the file LIST (- for standard input), one a line or with zero bytes between.",
    )
    @click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Processes. [default: one for each core]")
    @click.option("--skip-existing", is_flag=True, help="Leave out what exists: goes on where an earlier run ended.")
    @click.option("--dry-run", is_flag=True, help="Say what would be done, write nothing.")
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file on standard output.")
    @click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="This machine, or a Ray cluster (needs odpiece[ray]).",
    )
    @click.option(
        "--ray-address", metavar="A", help="Of the cluster. [default: $RAY_ADDRESS, else one is started here]"
    )
    @wraps(function)
    def command(*args, **kwargs):
        options = {field.name: kwargs.pop(field.name) for field in fields(Batch)}
        return function(*args, batch=Batch(**options), **kwargs)

    return command


def run_batch(work, inputs, output, batch, force, console):
    """Do the Work (codec/batch/work.py) for `inputs` and all that `batch` lists.

    Raises BatchError when some of many files failed, the error of the file where only one was named, and before any
    work begins as `make_plan` does.
    """
    plan = _plan(work, inputs, output, batch, force)
    if batch.dry_run:
        _show(plan, batch)
        return
    if batch.engine == "local":  # the machines of a cluster may have what this one has not
        work.require()
    if output and plan.jobs and batch.into_folder(inputs, output):
        make_folder(output)
    with Tally(plan, console, batch.as_json) as tally, closing(_records(plan.jobs, work, batch, force)) as records:
        for record in records:
            tally.add(record)
    tally.conclude(batch.is_one(inputs))


def _plan(work, inputs, output, batch, force):
    from odpiece.codec.batch.plan import Job, make_plan

    if not inputs and not batch.files_from:
        raise click.UsageError("Missing argument 'INPUT...'.")
    if force and batch.skip_existing:
        raise click.UsageError("give only one of --force and --skip-existing")
    if STANDARD in inputs or output == STANDARD:
        raise click.UsageError("- stands for one file, alone and without the options for many")
    existing = "replace" if force else "skip" if batch.skip_existing else "refuse"
    if output and not batch.into_folder(inputs, output):
        return make_plan(work, [], jobs=[Job(inputs[0], output)], existing=existing)
    listed = _listed(batch.files_from) if batch.files_from else []
    return make_plan(work, inputs, listed, output=output, recursive=batch.recursive, existing=existing)


def _listed(path):
    """The names in a file, as the system gives names to programs."""
    data = read_bytes(path)
    names = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [os.fsdecode(name) for name in names if name]


def _show(plan, batch):
    """One line for each job, as JSON or for people."""
    for job in plan.jobs:
        facts = {"input": job.input, "output": job.output}
        line = json.dumps(facts) if batch.as_json else f"{job.input} -> {job.output}"
        write_bytes(STANDARD, os.fsencode(line + "\n"))
    click.echo(plan.summary("to do"), err=True)


def _records(jobs, work, batch, force):
    if batch.engine == "ray" and jobs:
        from odpiece.codec.batch.ray_engine import do_all

        return do_all(jobs, work, force, batch.jobs, batch.ray_address)
    from odpiece.codec.batch.processes import do_all

    return do_all(jobs, work, force, batch.jobs)
