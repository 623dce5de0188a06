"""Write share/man/man1/odpiece.1, the man page, from what the commands say with --help.

python scripts/man_page.py
"""

import re
from pathlib import Path

import click

from odpiece.cli.main import cli
from odpiece.formats import errors

PAGE = Path(__file__).resolve().parent.parent / "share" / "man" / "man1" / "odpiece.1"
ENDED = "130, 143, 129 ended by Ctrl\\-C, SIGTERM, SIGHUP"


def commands(command=cli, parent=None, name="odpiece"):
    """(Context, command) of the command and of all below it, in the order of --help."""
    context = click.Context(command, parent=parent, info_name=name, **command.context_settings)
    yield context, command
    for part in command.list_commands(context) if isinstance(command, click.Group) else ():
        yield from commands(command.get_command(context, part), context, part)


def roff(text):
    """Text as roff shows it as it stands."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text


def paragraphs(text):
    """The lines of a docstring; those after \\b are kept apart."""
    for paragraph in text.strip().split("\n\n"):
        lines = [line.strip() for line in paragraph.splitlines()]
        if lines[0] == "\b":
            yield from [".nf", *map(roff, lines[1:]), ".fi"]
        else:
            yield from [".PP", roff(" ".join(lines))]


def section(context, command):
    """The lines about one command."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield from [f".SH {roff(context.command_path.upper())}", f".B {roff(usage)}", *paragraphs(command.help or "")]
    for param in command.get_params(context):
        if record := param.get_help_record(context) if isinstance(param, click.Option) else None:
            yield from [".TP", f".B {roff(record[0])}", roff(" ".join(record[1].split()))]


def page():
    """The text of the page."""
    lines = ['.TH ODPIECE 1 "" odpiece "User commands"', ".SH NAME", r"odpiece \- pictures in very small files"]
    for context, command in commands():
        lines += section(context, command)
    lines += [".SH EXIT STATUS", "0 all is well, 1 other errors"]
    for code, text in re.findall(r"\w+Error +(\d+)   (.+)", errors.__doc__):
        lines += [".br", roff(f"{code} {text}")]
    return "\n".join([*lines, ".br", ENDED, ""])


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
