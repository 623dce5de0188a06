"""What the user sees of many files: a bar, a record of each, and at the end the sum, the warnings and the errors."""

import json
import sys
import time
from collections import Counter

import click

from odpiece.cli.options import about
from odpiece.formats.errors import BatchError, OdpieceError
from odpiece.formats.files import STANDARD, write_bytes

LAYOUT = "{n_fmt}/{total_fmt} files |{bar:20}| {postfix} {remaining} left"
UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Tally:
    """A context in which the Records of a Plan are added as they come; `conclude` says the rest."""

    def __init__(self, plan, console, as_json):
        self._plan, self._console, self._as_json = plan, console, as_json
        self._began = time.perf_counter()
        self._done, self._pixels, self._before, self._after = 0, 0, 0, 0
        self._failed, self._warnings, self._first = [], Counter(), {}

    def __enter__(self):
        from tqdm import tqdm

        hidden = self._console.quiet or (self._as_json and sys.stdout.isatty())
        self._bar = tqdm(total=len(self._plan.jobs), disable=hidden or None, leave=False, bar_format=LAYOUT)
        for job in self._plan.skipped:
            self._print({"input": job.input, "output": job.output, "skipped": True})
        for record in self._plan.failed:
            self._take(record)
        return self

    def __exit__(self, *error):
        self._bar.close()

    def add(self, record):
        """Count a Record of a job, and print it where that is wanted."""
        self._take(record)
        self._bar.set_postfix_str(f"{self._speed()}, {self._saved()},", refresh=False)
        self._bar.update()

    def _take(self, record):
        self._print(record.facts())
        if record.error:
            self._failed.append(record)
            return
        self._done += 1
        self._pixels += record.pixels
        self._before += record.input_bytes
        self._after += record.bytes
        for warning in record.warnings:
            self._warnings[warning] += 1
            self._first.setdefault(warning, record.input)
        self._console.detail(f"{record.output}: {record.width}x{record.height}, {record.bytes} bytes")

    def _print(self, facts):
        if self._as_json:
            write_bytes(STANDARD, json.dumps(facts).encode() + b"\n")

    def conclude(self, is_one):
        """Print the sum. Raises BatchError when files failed, after a line on each of them.

        Where only one file was named (`is_one`), its own error is raised instead.
        """
        if is_one and self._failed:
            raise _error_of(self._failed[0])
        for warning, count in self._warnings.items():
            more = f" (and {count - 1} more)" if count > 1 else ""
            self._console.warn(f"{self._first[warning]}{more}: {warning}")
        self._console.result(self._plan.summary(self._sum(), self._done))
        for record in self._failed:
            click.echo(f"failed: {about(record.input, record.error)}", err=True)
        if self._failed:
            total = len(self._plan.jobs) + len(self._plan.failed)
            raise BatchError(f"{len(self._failed)} of {total} failed, as listed above; the others are done")

    def _sum(self):
        if not self._done:
            return "done"
        seconds = f"{time.perf_counter() - self._began:.1f} s"
        return f"done in {seconds} ({self._speed()}), {_size(self._before)} to {_size(self._after)}"

    def _speed(self):
        return f"{self._pixels / 1e6 / max(time.perf_counter() - self._began, 1e-6):.1f} megapixels/s"

    def _saved(self):
        change = self._before - self._after
        return f"{_size(abs(change))} {'saved' if change >= 0 else 'more'}"


def _error_of(record):
    error = OdpieceError(about(record.input, record.error))
    error.exit_code = record.exit_code
    return error


def _size(count):
    """Bytes for people, with three digits.

    >>> _size(999), _size(1234), _size(5678900)
    ('999 bytes', '1.23 kB', '5.68 MB')
    """
    unit = 0
    while count >= 999.5 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {UNITS[unit]}"
