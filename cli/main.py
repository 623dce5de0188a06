"""The command `odpiece`: a group of thin commands, and errors as one line with an exit code."""

import sys
from importlib import import_module

import click

from odpiece.cli.streams import Terminated, drop_output, prepare_streams, signals_raised
from odpiece.formats.errors import OdpieceError, OutputError, ReaderGoneError

INTERRUPTED = 130
COMMANDS = ("compare", "decode", "doctor", "encode", "info", "models", "train", "truncate", "verify", "view")


class _Commands(click.Group):
    """The commands, each of the module of its name, which is imported when it is asked for."""

    def list_commands(self, ctx):
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):
        return getattr(import_module(f"odpiece.cli.{cmd_name}"), cmd_name) if cmd_name in COMMANDS else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="odpiece", message="odpiece %(version)s")
def cli():
    """Learned image compression for very small files.

    \b
    odpiece encode photo.png -q 64    writes photo.odp
    odpiece decode photo.odp          writes photo.odp.png
    """


def main(arguments=None):
    """Run the command line and exit; `arguments` are sys.argv's by default."""
    prepare_streams()
    try:
        with signals_raised():
            cli.main(arguments, prog_name="odpiece", standalone_mode=False)
    except ReaderGoneError as error:
        drop_output()
        sys.exit(error.exit_code)
    except OdpieceError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except MemoryError:
        _fail("out of memory: the picture is too large for this machine", OdpieceError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", INTERRUPTED)
    except Terminated as end:
        _fail(str(end), end.exit_code)
    except OSError as error:  # of click's own texts; commands raise none
        _fail(f"cannot write: {error.strerror}", OutputError.exit_code)


def _fail(message, code):
    click.echo(f"odpiece: {message}", err=True)
    sys.exit(code)
