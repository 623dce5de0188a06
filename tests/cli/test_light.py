"""The command line starts without its heavy libraries, and is documented."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from odpiece.cli.main import cli, main

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"numpy", "torch", "onnx", "onnxruntime", "constriction", "PIL", "safetensors"}


def commands(command=cli, name="odpiece"):
    """(full name, command) of the command and of all below it."""
    yield name, command
    for part in command.list_commands(None) if isinstance(command, click.Group) else ():
        yield from commands(command.get_command(None, part), f"{name} {part}")


COMMANDS = dict(commands())
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]


def loaded_by(program):
    """Names of the top-level modules that are loaded after a program has run in a process of its own."""
    report = "\nimport json, sys; print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", program + report], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["encode", "--help"],
        ["decode", "-h"],
        ["info", "--help"],
        ["train", "tokenizer", "--help"],
    ],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments):
    assert loaded_by(f"from odpiece.cli.main import main; main({arguments!r})") & HEAVY == set()


def test_loading_is_seen():
    """The oracle for the test above."""
    assert "numpy" in loaded_by("import numpy")


def test_the_codec_does_not_load_torch():
    loaded = loaded_by("import odpiece.codec, odpiece.models.library, odpiece.models.onnx_backend")
    assert "onnxruntime" in loaded
    assert loaded & {"torch", "onnx"} == set()


def test_the_walk_finds_the_commands():
    assert {"odpiece encode", "odpiece decode", "odpiece info", "odpiece train tokenizer"} <= COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_have_help(name):
    assert (COMMANDS[name].help or "").strip()


@pytest.mark.parametrize("name, option", OPTIONS, ids=[f"{name} {option.opts[0]}" for name, option in OPTIONS])
def test_options_have_help(name, option):
    assert (option.help or "").strip()


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_commands_are_documented(name):
    texts = (path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    assert any(re.search(rf"\b{name}\b", text) for text in texts)


def test_the_help_of_encode_and_decode_is_in_groups(capsys):
    for name in ("encode", "decode"):
        command = COMMANDS[f"odpiece {name}"]
        main([name, "--help"])
        out = capsys.readouterr().out
        sections = out.split("\n\n")[-len(command._groups) :]
        assert "\nOptions:" not in out
        assert [section.split(":\n")[0] for section in sections] == list(command._groups.values())
        assert all(f"{option.opts[-1]} " in "".join(sections) for _, option in OPTIONS if option in command.params)
