"""Options that several commands share, and the messages they govern."""

import math
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from odpiece.cli.completion import complete
from odpiece.formats.container import MAX_PIXELS
from odpiece.formats.errors import ImageError, OdpieceError, OutputError
from odpiece.formats.files import ODP_SUFFIXES, STANDARD, is_remote, local_path
from odpiece.models.backends import BACKENDS, DEVICES

BAR = 20  # characters


class File(click.ParamType):
    """The name of a file or folder, a URL or "-", as it stands; the shell completes names of files."""

    name = "file"

    def shell_complete(self, ctx, param, incomplete):
        return [CompletionItem(incomplete, type="file")]


class OdpFile(File):
    """Completed are names of .odp files."""

    suffixes = ODP_SUFFIXES

    def shell_complete(self, ctx, param, incomplete):
        return complete(incomplete, self.suffixes)


class PictureFile(OdpFile):
    """Completed are names of pictures."""

    @property
    def suffixes(self):
        from odpiece.formats.images import SUFFIXES  # loads Pillow

        return SUFFIXES


class Finite(click.FloatRange):
    """A number in a range, without nan and the infinities."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number", param, ctx)
        return number


@dataclass(frozen=True)
class Console:
    """Messages on standard error: warnings and the result unless quiet, details if verbose."""

    quiet: bool
    verbose: bool
    started: float

    @contextmanager
    def stages(self, *names):
        """On a terminal, a bar that shows which of the stages `names` is on; gives the function that begins one."""
        shown = sys.stderr.isatty() and not self.quiet

        def begin(name):
            done = names.index(name)
            bar = "#" * (BAR * done // len(names))
            if shown:
                click.echo(f"\r{name:<12}{done}/{len(names)} |{bar:<{BAR}}|", err=True, nl=False)

        try:
            yield begin
        finally:
            if shown:
                click.echo("\r\x1b[K", err=True, nl=False)

    def warn(self, message):
        if not self.quiet:
            click.echo(f"warning: {message}", err=True)

    def result(self, message):
        if not self.quiet:
            click.echo(message, err=True)

    def detail(self, message):
        """`message` with the seconds since the command started."""
        if self.verbose and not self.quiet:
            click.echo(f"[{time.perf_counter() - self.started:6.2f} s] {message}", err=True)


def output_options(function):
    """--force, --quiet and --verbose; the command gets `force` and a Console as `console`."""

    @click.option("-f", "--force", is_flag=True, help="Replace existing outputs.")
    @click.option("--quiet", is_flag=True, help="Print nothing but errors.")
    @click.option("-v", "--verbose", is_flag=True, help="Say what is done and how long it takes.")
    @wraps(function)
    def command(*args, quiet, verbose, **kwargs):
        return function(*args, console=Console(quiet, verbose, time.perf_counter()), **kwargs)

    return command


def max_pixels_option(function):
    """--max-pixels; the command gets `max_pixels`."""
    return click.option(
        "--max-pixels",
        type=click.IntRange(1),
        default=MAX_PIXELS,
        show_default=True,
        metavar="N",
        help="Refuse pictures of more pixels, before any memory is taken for them.",
    )(function)


def preserve_option(function):
    """--preserve; the command gets `preserve`."""
    return click.option("--preserve", is_flag=True, help="Give outputs the times of their inputs.")(function)


def model_option(function):
    """--model; the command gets the name or path, or None, as `model`."""
    return click.option("--model", metavar="NAME|PATH", help="Model, by its name or where it is; see odpiece models.")(
        function
    )


def backend_options(function):
    """--backend and --device; the command gets `backend` and `device`."""
    backend = click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default=BACKENDS[0],
        show_default=True,
        help="What computes tokens from pixels and pixels from tokens; torch needs odpiece[torch].",
    )
    device = click.option(
        "--device",
        type=click.Choice(DEVICES),
        default=DEVICES[0],
        show_default=True,
        help="Where it computes them; auto is cuda where the backend can use it, else cpu, and -v says which.",
    )
    return backend(device(function))


def output_path(source, output, named):
    """Where a result goes: `output` if given, standard output for input "-", else the name `named(source)`."""
    if output:
        return output
    if source != STANDARD and not is_remote(source) and not Path(local_path(source)).name:
        raise ImageError(f"{source or 'an empty name'} is no file, give a file")
    return STANDARD if source == STANDARD else named(source)


def shown(path):
    """A path for messages."""
    return "standard output" if path == STANDARD else path


def shown_input(path):
    """The path of an input for messages."""
    return "standard input" if path == STANDARD else path


def about(name, message):
    """`message` begun with `name`, unless it has the name already: at its beginning, or before a colon."""
    has_it = message.startswith(f"{name} ") or f" {name}:" in f" {message}"
    return message if has_it else f"{name}: {message}"


@contextmanager
def errors_about(name):
    """Every OdpieceError raised inside gets `name` into its message, see `about`, but not those that name an output."""
    try:
        yield
    except OutputError:
        raise
    except OdpieceError as error:
        error.args = (about(name, str(error)),)
        raise
