"""What share/ tells a desktop about .odp files, asked of the real tools."""

import configparser
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import cli
from odpiece.codec import decode, encode

SHARE = Path(__file__).resolve().parent.parent / "share"
SYSTEM = "/usr/share"
PRESENTATION = "application/vnd.oasis.opendocument.presentation"
VERSION_1 = bytes.fromhex("9d50 2c3f 01020304 ff01 ff01 beef")  # magic, version 1, q = 64, a model, 256x256
OTHER_VERSION = VERSION_1[:2] + b"\xec" + VERSION_1[3:]
NO_MAGIC = b"\x9dQ" + VERSION_1[2:]
PICTURES = {"a.odp": VERSION_1, "a.odpi": VERSION_1, "no_suffix": VERSION_1, "spread.odp": b"\x9dP\x3f\xff" + bytes(40)}
OTHERS = {"newer": OTHER_VERSION, "no_magic": NO_MAGIC}


def require(*tools):
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}, which .ci/run installs where it can")


def output(*command, **variables):
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of ours, a presentation with and without its suffix, and others."""
    folder = tmp_path_factory.mktemp("files")
    for name, data in (PICTURES | OTHERS).items():
        (folder / name).write_bytes(data)
    for name in ("talk.odp", "talk"):
        with zipfile.ZipFile(folder / name, "w") as presentation:
            presentation.writestr("mimetype", PRESENTATION)
    return folder


@pytest.fixture(scope="module")
def desktop(tmp_path_factory):
    """Environment variables of a user who installed share/ in a home of his own."""
    require("update-mime-database")
    if not Path(SYSTEM, "mime", "packages", "freedesktop.org.xml").exists():
        pytest.skip("needs the system's shared-mime-info, with OpenDocument in it")
    home = tmp_path_factory.mktemp("share")
    shutil.copytree(SHARE / "mime", home / "mime")
    variables = {"XDG_DATA_HOME": str(home), "XDG_DATA_DIRS": SYSTEM, "XDG_CURRENT_DESKTOP": "GNOME"}
    output("update-mime-database", str(home / "mime"), **variables)
    return variables


@pytest.fixture(params=["gio", "xdg-mime"])
def type_of(request, folder, desktop):
    """A function: the type of a file by its name and content, as a desktop sees it. xdg-mime asks gio there."""
    require("gio", request.param)

    def ask(name):
        if request.param == "xdg-mime":
            return output("xdg-mime", "query", "filetype", str(folder / name), **desktop)
        facts = output("gio", "info", "-a", "standard::content-type", str(folder / name), **desktop)
        return facts.split("content-type: ")[1]

    return ask


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_known_by_their_content(name, type_of):
    assert type_of(name) == "image/x-odp"


@pytest.mark.parametrize("name", ["talk.odp", "talk"])
def test_presentations_stay_presentations(name, type_of):
    assert type_of(name) == PRESENTATION


@pytest.mark.parametrize("name", OTHERS)
def test_other_bytes_are_not_ours(name, type_of):
    assert type_of(name) == "application/octet-stream"


@pytest.mark.parametrize("name, expected", [("talk.odp", PRESENTATION), ("a.odpi", "image/x-odp")])
def test_the_name_alone_means_a_presentation(name, expected, folder, desktop):
    """Of one weight, both would match *.odp, and GLib would answer with ours."""
    require("gio")
    facts = output("gio", "info", "-a", "standard::fast-content-type", str(folder / name), **desktop)
    assert facts.split("fast-content-type: ")[1] == expected


@pytest.mark.parametrize("name", [*PICTURES, *OTHERS])
def test_file_knows_the_magic(name, folder):
    require("file")
    told = output("file", "-b", "-m", str(SHARE / "magic" / "odpiece"), str(folder / name))
    assert (told == "odpiece picture, version 1") == (name in PICTURES)
    mime = output("file", "-b", "--mime-type", "-m", str(SHARE / "magic" / "odpiece"), str(folder / name))
    assert (mime == "image/x-odp") == (name in PICTURES)


def test_file_names_the_suffixes(folder):
    require("file")
    assert output("file", "-b", "--extension", "-m", str(SHARE / "magic" / "odpiece"), str(folder / "a.odp")) == (
        "odp/odpi"
    )


@pytest.mark.parametrize("made_before", [False, True])
def test_the_thumbnailer_makes_a_thumbnail(made_before, tmp_path, photo):
    """Its command, split as GLib splits it; desktops name an output that has no suffix and may exist."""
    entry = configparser.ConfigParser(interpolation=None)
    entry.read(SHARE / "thumbnailers" / "odpiece.thumbnailer")
    entry = entry["Thumbnailer Entry"]
    data = encode(photo, 200)
    source, out = tmp_path / "a file's name $HOME.odp", tmp_path / "thumbnail XYZ"
    source.write_bytes(data)
    if made_before:
        out.touch()
    values = {"%i": str(source), "%o": str(out), "%s": "128", "%u": source.as_uri()}
    command = [values.get(word, word) for word in shlex.split(entry["Exec"])]
    programs = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))
    assert shutil.which(entry["TryExec"], path=programs)
    assert output(*command, PATH=programs) == ""
    with Image.open(out) as thumbnail:
        assert thumbnail.format == "PNG"
        np.testing.assert_array_equal(np.asarray(thumbnail), decode(data, tokens=64))
    assert entry["MimeType"].split(";") == ["image/x-odp", ""]


MAN = SHARE / "man" / "man1" / "odpiece.1"


def test_the_man_page_has_every_command_and_option():
    """scripts/man_page.py writes it; here only what a change of odpiece changes counts, not how click words it."""
    text = MAN.read_text().replace("\\-", "-")
    seen = 0
    for name, command in commands():
        assert f".SH {name.upper()}\n" in text
        part = text.split(f".SH {name.upper()}\n")[1].split("\n.SH ")[0]
        options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
        assert [option.name for option in options if f"{max(option.opts, key=len)}" not in part] == []
        seen += len(options)
    assert seen > 100


def commands(command=cli, name="odpiece"):
    yield name, command
    context = click.Context(command)
    for part in command.list_commands(context) if isinstance(command, click.Group) else ():
        yield from commands(command.get_command(context, part), f"{name} {part}")


def test_the_man_page_is_shown_as_it_should_be():
    require("groff")
    shown = subprocess.run(["groff", "-man", "-Tascii", "-ww", MAN], capture_output=True, text=True, check=True)
    assert shown.stderr == ""
    assert "odpiece encode photo.png -q 64    writes photo.odp" in shown.stdout
    assert "an .odp file that is cut or damaged" in shown.stdout
