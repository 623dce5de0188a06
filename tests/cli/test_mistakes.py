"""Commands that are easily written and would do harm; and outputs that are no files, which need no --force."""

import contextlib
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec import encode
from odpiece.formats import errors

PROGRAM = "from odpiece.cli.main import main; main()"
TO_STREAM = {
    "encode": ["encode", "photo.png", "-q", "9"],
    "encode -j": ["encode", "photo.png", "-q", "9", "-j", "1"],
    "truncate": ["truncate", "photo.odp", "-q", "9"],
    "decode": ["decode", "photo.odp"],
    "decode --format": ["decode", "photo.odp", "--format", "jpg"],
}


@pytest.fixture(scope="module")
def pixels(photo):
    """uint8 (70, 90, 3)."""
    return photo[100:170, :90]


@pytest.fixture(scope="module")
def encoded(pixels):
    """The file of the picture at q = 40."""
    return encode(pixels, 40)


@pytest.fixture
def folder(tmp_path, monkeypatch, pixels, encoded):
    """The working directory, with photo.png and photo.odp, which is encoded at q = 40."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(pixels).save("photo.png")
    (tmp_path / "photo.odp").write_bytes(encoded)
    return tmp_path


def fails(capsys, code, *arguments):
    """What a command that must end with `code` says on standard error."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (code, "")
    return err


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(
    "command", ["encode photo.png out.ODP", "encode photo.png out.odpi", "decode photo.odp out.jpg"]
)
def test_an_output_among_the_inputs(folder, capsys, command, exists):
    out = command.split()[-1]
    if exists:
        Path(out).write_bytes(b"old")
    before = sorted(folder.iterdir())
    assert f"give -o {out}" in fails(capsys, 2, *command.split())
    assert sorted(folder.iterdir()) == before


def test_two_inputs_are_no_mistake(folder, photo):
    Image.fromarray(photo[:9]).save("b.png")
    main(["encode", "photo.png", "b.png", "-q", "3", "-f", "-j", "1"])
    main(["decode", "photo.odp", "b.odp", "-j", "1"])
    assert Path("b.odp.png").exists()


@pytest.mark.parametrize("command", ["encode photo.png", "encode photo.png --json", "truncate photo.odp -q 9"])
@pytest.mark.parametrize("out", ["x.png", "x.JPEG", "x.tif"])
def test_odp_bytes_under_the_name_of_a_picture(folder, capsys, command, out):
    message = fails(capsys, errors.OptionError.exit_code, *command.split(), "-o", out)
    assert out in message and "--force" in message and not Path(out).exists()
    main([*command.split(), "-o", out, "--force"])
    assert Path(out).read_bytes()[:2] == b"\x9dP"


def test_a_folder_may_be_named_like_a_picture(folder):
    main(["encode", "photo.png", "-r", "-o", "x.png", "-q", "3", "-j", "1"])
    assert Path("x.png/photo.odp").is_file()


@pytest.fixture(scope="module")
def expected(tmp_path_factory, pixels, encoded):
    """{name of a command of TO_STREAM: the bytes that it writes into a file}"""
    folder = tmp_path_factory.mktemp("expected")
    with contextlib.chdir(folder):
        Image.fromarray(pixels).save("photo.png")
        Path("photo.odp").write_bytes(encoded)
        found = {}
        for name, (command, source, *options) in TO_STREAM.items():
            out = ("x.jpg" if "--format" in options else "x.png") if command == "decode" else "x.odp"
            main([command, source, *(o for o in options if o not in ("--format", "jpg")), "-o", out, "-f"])
            found[name] = Path(out).read_bytes()
    return found


@pytest.mark.parametrize("name", TO_STREAM)
def test_a_pipe_with_a_name(folder, expected, name):
    os.mkfifo("pipe")
    got = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()))
    reader.start()
    main([*TO_STREAM[name], "-o", "pipe"])
    reader.join()
    assert got == [expected[name]] and Path("pipe").is_fifo()


@pytest.mark.parametrize(
    "name, out",
    [
        ("encode", "/dev/stdout"),
        ("encode -j", "/dev/stdout"),
        ("decode", "/dev/stdout"),
        ("encode -j", "/dev/fd/1"),
        ("decode", "/proc/self/fd/1"),
    ],
)
def test_standard_output_by_its_name(folder, expected, name, out):
    """Into a file, to which it adds: neither that nor /dev/stdout is replaced."""
    before = os.readlink("/dev/stdout")
    Path("seen").write_bytes(b"before")
    with open("seen", "ab") as seen:
        subprocess.run([sys.executable, "-c", PROGRAM, *TO_STREAM[name], "-o", out], stdout=seen, check=True)
    assert Path("seen").read_bytes() == b"before" + expected[name]
    assert os.readlink("/dev/stdout") == before


def test_an_open_pipe(folder, expected):
    ours, theirs = os.pipe()
    main([*TO_STREAM["encode"], "-o", f"/dev/fd/{theirs}"])
    os.close(theirs)
    with open(ours, "rb") as pipe:
        assert pipe.read() == expected["encode"]


def test_a_descriptor_that_is_not_open(folder, capsys):
    assert "/dev/fd/987" in fails(capsys, errors.OutputError.exit_code, *TO_STREAM["encode"], "-o", "/dev/fd/987")


def test_a_device(folder, capsys):
    main([*TO_STREAM["encode"], "-o", "/dev/null"])
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name, out", [("encode", "-"), ("encode", "/dev/stdout"), ("truncate", "-"), ("decode", "-")])
def test_a_terminal(folder, name, out):
    """Bytes stay off a pseudo-terminal, unless forced."""
    code, seen = on_terminal(*TO_STREAM[name], "-o", out)
    assert code == errors.OutputError.exit_code and b"is a terminal" in seen and seen.count(b"\n") == 1


def test_a_terminal_may_be_forced(folder):
    code, seen = on_terminal("encode", "photo.png", "-o", "-", "--force", "--quiet")
    assert code == 0 and seen[:2] == b"\x9dP"


def on_terminal(*arguments):
    """(exit code, what is seen) of a process whose output is a pseudo-terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # raised at the end of a pseudo-terminal
            while chunk := os.read(ours, 1024):
                seen += chunk
    os.close(ours)
    return process.returncode, seen
