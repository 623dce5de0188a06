"""Commands that read many .odp files and write none: what they are given, and what becomes of files that fail."""

import json
from dataclasses import dataclass
from functools import wraps

import click

from odpiece.cli.options import OdpFile
from odpiece.formats.errors import BatchError, OdpieceError
from odpiece.formats.files import STANDARD, read_bytes, write_bytes


@dataclass(frozen=True)
class Inputs:
    """The names of files and folders that a command was given."""

    names: tuple[str, ...]
    recursive: bool
    as_json: bool

    @property
    def is_one(self):
        """Whether it is one file, of which nothing but what it holds is printed, and whose error is the command's."""
        return len(self.names) == 1 and not self.recursive

    def each(self, describe):
        """Print `describe(name, data)`, bytes without the last newline, of the name and the bytes of each file.

        Files that fail are reported on standard error, with `as_json` also as an object. Where there were some, raises
        BatchError after the last, but for one file its own error. Raises ImageError where there is nothing to do.
        """
        names, failed = self._found()
        for name in names:
            try:
                write_bytes(STANDARD, describe(name, read_bytes(name)) + b"\n")
            except OdpieceError as error:
                if self.is_one:
                    raise
                failed.append(name)
                self._report(name, str(error), error.exit_code)
        if failed:
            raise BatchError(f"{len(failed)} of {len(names)} failed, as listed above")

    def _found(self):
        """(names of files, names of folders that cannot be read)."""
        from odpiece.codec.batch.plan import find_files
        from odpiece.codec.batch.work import Decoding

        if self.names == (STANDARD,):
            return [STANDARD], []
        plan = find_files(Decoding(), self.names, recursive=self.recursive)
        for record in plan.failed:
            self._report(record.input, record.error, record.exit_code)
        return [job.input for job in plan.jobs], [record.input for record in plan.failed]

    def _report(self, name, error, exit_code):
        click.echo(f"failed: {error if name in error else f'{name}: {error}'}", err=True)
        if self.as_json:
            record = {"input": name, "error": error, "exit_code": exit_code}
            write_bytes(STANDARD, json.dumps(record).encode() + b"\n")


def many_inputs(function):
    """INPUT..., --recursive and --json; the command gets them as `inputs`."""

    @click.argument("names", metavar="INPUT...", nargs=-1, required=True, type=OdpFile())
    @click.option("-r", "--recursive", is_flag=True, help="Take what is in folders and in those below them.")
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each file.")
    @wraps(function)
    def command(*args, names, recursive, as_json, **kwargs):
        return function(*args, inputs=Inputs(names, recursive, as_json), **kwargs)

    return command
