"""The pictures that nothing is trained on: `odpiece compare --tasks` measures what survives of their faces and text."""

from functools import cache
from importlib import resources
from pathlib import PurePosixPath


@cache
def held_out():
    """{file name: its subject, "faces" or "text"} of held_out.txt, whose lines are `folder/name subject`."""
    lines = resources.files(__package__).joinpath("held_out.txt").read_text().splitlines()
    return {PurePosixPath(path).name: subject for path, subject in map(str.split, lines)}
