"""Which files are to be coded and where each result goes, known and checked before any work begins."""

import os
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath

from odpiece.codec.batch.work import Job, Record
from odpiece.formats import remote
from odpiece.formats.errors import ImageError, OptionError, OutputExistsError
from odpiece.formats.files import is_remote, is_taken, local_path
from odpiece.formats.folders import ignores_case, is_folder, join, list_folder

FOLDER_LINKS = "links to folders"
NO_FILES = "pipes, devices and broken links"
NO_SUFFIX = "no suffix"


@dataclass
class Plan:
    """`jobs` to do; `skipped`, whose outputs exist; `failed`: Records of folders that cannot be read; `passed_over`:
    how many files of each suffix are none of the candidates.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[Record] = field(default_factory=list)
    passed_over: Counter = field(default_factory=Counter)

    def summary(self, what, count=None):
        """One line: how many files are `what` (default: all jobs), and how many are left out and why."""
        count = len(self.jobs) if count is None else count
        skipped = f"; {len(self.skipped)} exist already" if self.skipped else ""
        return f"{count} file{'s' * (count != 1)} {what}{skipped}{describe(self.passed_over)}"


def make_plan(work, inputs, listed=(), *, jobs=(), output=None, recursive=False, existing="refuse"):
    """The Plan of the Work (see work.py) for `inputs` and `listed`, names of files and of folders, and for `jobs`.

    Outputs are beside their inputs or in the folder `output`: a file under its own name, one of `listed` under
    the whole name, files of a folder under their names in it. What exists is to be refused, skipped or replaced
    (`existing`). Raises ImageError for a folder that is not to be searched (`recursive`) or when there is nothing
    to do, OptionError for two inputs with one output, OutputExistsError.
    """
    plan = Plan(list(jobs))
    named = [(name, os.path.basename(local_path(name)), "") for name in inputs]
    named += [(name, *[_below_root(name) if output else ""] * 2) for name in listed]
    for name, own_place, folder_place in named:
        if not _is_folder(name, work):
            sources = [(name, own_place)]
        elif recursive:
            sources = (
                (join(name, path), os.path.join(folder_place, path)) for path in _inside(name, work, plan, output)
            )
        else:
            raise ImageError(f"{name} is a folder, give -r to take what is in it")
        for source, place in sources:
            result = join(output, place) if output else source
            plan.jobs.append(Job(source, work.output_name(result)))
    plan.jobs = _without_doubles(plan.jobs)
    if not plan.jobs and not plan.failed:
        raise ImageError(f"nothing to do: no {work.candidates_are} were found{describe(plan.passed_over)}")
    if existing != "replace":
        _split_existing(plan, existing)
    return plan


def describe(passed_over):
    """Counts by suffix for a message, empty for none."""
    if not passed_over:
        return ""
    kinds = ", ".join(f"{suffix} {count}" for suffix, count in passed_over.most_common(5))
    more = ", ..." if len(passed_over) > 5 else ""
    return f"; {sum(passed_over.values())} passed over ({kinds}{more})"


def _below_root(name):
    """`name` as a relative path, so that it can stand below another folder. Raises OptionError."""
    path = name.split("://", 1)[1] if is_remote(name) else os.path.normpath(local_path(name))
    parts = PurePath(path).parts[bool(PurePath(path).anchor) :]
    if ".." in parts:
        raise OptionError(f"{name} leads out of the folder, give names without ..")
    return os.path.join(*parts) if parts else ""


def _is_folder(name, work):
    """Whether `name` is a folder; a URL that looks like a file is not asked, which would take a request for each."""
    looks_like_a_file = os.path.splitext(name)[1].lower() in work.candidates
    return not (is_remote(name) and looks_like_a_file) and is_folder(name)


def _inside(folder, work, plan, output):
    """The candidates in `folder`, relative to it; `plan` is told of what is none."""
    listing = list_folder(folder, leave_out=output)
    for path, reason in listing.errors:
        plan.failed.append(
            Record(path, error=f"cannot read the folder {path}: {reason}", exit_code=ImageError.exit_code)
        )
    plan.passed_over.update({FOLDER_LINKS: listing.links} if listing.links else {})
    for path in listing.files:
        suffix = os.path.splitext(path)[1].lower()
        if suffix in work.candidates and not is_remote(folder) and not os.path.isfile(join(local_path(folder), path)):
            plan.passed_over[NO_FILES] += 1
        elif suffix in work.candidates:
            yield path
        else:
            plan.passed_over[suffix or NO_SUFFIX] += 1


def _key(path):
    return path if is_remote(path) else os.path.abspath(local_path(path))


def _without_doubles(jobs):
    """`jobs` without those given twice. Raises OptionError where two inputs have one output."""
    owners, folded = {}, {}
    for job in jobs:
        first = owners.setdefault(_key(job.output), job)
        if _key(first.input) != _key(job.input):
            raise _collision(first, job)
    for key, job in owners.items():
        other = folded.setdefault(unicodedata.normalize("NFC", key).casefold(), job)
        if other is not job and not is_remote(key) and ignores_case(os.path.dirname(key)):
            raise _collision(other, job)
    return list(owners.values())


def _collision(first, second):
    message = f"{first.input} and {second.input} would both become {second.output}: rename one, or give them apart"
    return OptionError(message)


def _split_existing(plan, existing):
    outputs = [job.output for job in plan.jobs]
    found = remote.existing([o for o in outputs if is_remote(o)]) | {o for o in outputs if _exists_here(o)}
    if found and existing == "refuse":
        first = next(o for o in outputs if o in found)
        count = f"{len(found)} of {len(outputs)} outputs exist, the first is {first}: use"
        raise OutputExistsError(f"{count} --skip-existing to keep or --force to replace them")
    plan.skipped = [job for job in plan.jobs if job.output in found]
    plan.jobs = [job for job in plan.jobs if job.output not in found]


def _exists_here(path):
    """Whether a local file has this name; a folder has to be said when it comes to writing."""
    return not is_remote(path) and is_taken(path) and not os.path.isdir(local_path(path))
