"""Commands that are easily written and would do harm, refused before the work with what to write instead."""

import os

import click

from odpiece.formats.errors import OptionError, OutputError
from odpiece.formats.files import ODP_SUFFIXES, STANDARD, is_terminal


def check_inputs(inputs, output, *, to_odp):
    """Raise UsageError for `command IN OUT`: two inputs without -o, the second with the suffix of an output.

    Outputs are .odp files (`to_odp`) or pictures.
    """
    if len(inputs) == 2 and not output and _has_suffix(inputs[1], odp=to_odp):
        raise click.UsageError(f"{inputs[1]} is named like an output: give -o {inputs[1]} to write it")


def check_not_terminal(output, force):
    """Raise OutputError where `output` is a terminal and `force` is false."""
    if not force and is_terminal(output):
        name = "standard output" if output == STANDARD else output
        raise OutputError(f"{name} is a terminal: give -o FILE, write into a pipe, or use --force")


def check_odp_output(output, force):
    """As check_not_terminal. Raises OptionError where `output` has the suffix of a picture and `force` is false."""
    check_not_terminal(output, force)
    if not force and _has_suffix(output, odp=False):
        raise OptionError(f"{output} is named like a picture, but would be an .odp file: give NAME.odp, or use --force")


def _has_suffix(path, *, odp):
    """Whether `path` has a suffix of .odp files, or of pictures if not `odp`."""
    from odpiece.formats.images import SUFFIXES

    return os.path.splitext(path)[1].lower() in (ODP_SUFFIXES if odp else SUFFIXES)
