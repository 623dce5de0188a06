"""Batches that are killed, or whose disk fills up: no half output, a clear error, nothing left behind."""

import contextlib
import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
from threading import Timer

import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec import encode
from odpiece.formats.errors import OutputError

COMMANDS = {
    "encode": ["encode", "photo.png", "-q", "500", "-o", "out/photo.odp"],
    "decode": ["decode", "photo.odp", "-o", "out/photo.png"],
    "truncate": ["truncate", "photo.odp", "-q", "60", "-o", "out/short.odp"],
    "progressive": ["decode", "photo.odp", "-o", "-", "--progressive", "out/steps"],
}
PROGRAM = """
import resource, signal, sys
from odpiece.cli.main import main

# As kill -9 amid a write: the signal's default action ends the process when a file passes the limit
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
main(sys.argv[2:])
"""
# All commands in one process, each under a limit on the size of files; the limit ends what cannot be written
LIMITED = """
import json, resource, sys
from odpiece.cli.main import main

commands, limit = json.loads(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
for command in commands:
    try:
        main([*command, "--quiet"])
    except SystemExit as end:
        print(end.code, file=sys.stderr)
"""
NO_LIMIT = 1 << 30
# onnxruntime keeps a database of its own, whose writes would meet the limits
QUIET = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
PAGE = 4096  # bytes; tmpfs counts whole pages


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, photo):
    """{name: bytes}: photo.png and photo.odp, encoded at q = 500."""
    out = io.BytesIO()
    Image.fromarray(photo).save(out, "PNG")
    return {"photo.png": out.getvalue(), "photo.odp": encode(photo, 500)}


def prepare(folder, inputs):
    for name, data in inputs.items():
        (folder / name).write_bytes(data)
    (folder / "out").mkdir()


@pytest.fixture
def folder(tmp_path, monkeypatch, inputs):
    """The working directory, with the inputs and an empty folder `out`."""
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, inputs)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory, inputs):
    """{path in the working directory: bytes} of what all commands write when nothing goes wrong."""
    folder = tmp_path_factory.mktemp("whole")
    prepare(folder, inputs)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        for command in COMMANDS.values():
            main([*command, "--quiet"])
    return outputs(folder)


def outputs(folder):
    """{path: bytes} of the files below `out`, but for temporary ones."""
    found = (path for path in (folder / "out").rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in found
        if not (path.name.startswith(".") and path.suffix == ".partial")
    }


def start(command, limit=NO_LIMIT):
    arguments = [sys.executable, "-B", "-c", PROGRAM, str(limit), *COMMANDS[command]]
    return subprocess.Popen(arguments, env=QUIET, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def temporary_files(folder):
    return list((folder / "out").rglob(".*.partial"))


def outputs_of(command, whole):
    """What of `whole` a command writes: a folder, or the one file it names."""
    place = COMMANDS[command][-1]
    return {path: data for path, data in whole.items() if path == place or path.startswith(f"{place}/")}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_kill_amid_the_write(command, folder, whole):
    """Half of the largest output is written, under a temporary name."""
    mine = outputs_of(command, whole)
    limit = max(map(len, mine.values())) // 2
    with start(command, limit) as process:
        assert process.wait() == -signal.SIGXFSZ
    left = outputs(folder)
    assert left.items() <= mine.items() and len(left) < len(mine)
    assert [path.stat().st_size for path in temporary_files(folder)] == [limit]


@pytest.mark.parametrize("command", ["encode", "progressive"])
def test_kills_upon_seeing_the_temporary_file_and_at_random(command, folder, whole):
    """Whatever the moment was: an output that has its name is whole, and a second run, forced, is not disturbed."""
    mine = outputs_of(command, whole)
    for kill in (kill_on_sight, kill_at_random, kill_at_random):
        with start(command) as process:
            kill(process, folder)
        assert process.returncode in (0, -signal.SIGKILL)
        left = outputs(folder)
        assert left.items() <= mine.items()
        for path in [*left, *temporary_files(folder)]:
            os.unlink(path)


def kill_on_sight(process, folder):
    while process.poll() is None and not temporary_files(folder):
        pass
    process.kill()


def kill_at_random(process, folder):
    killer = Timer(random.uniform(0.3, 1.5), process.kill)
    killer.start()
    process.wait()
    killer.cancel()


def check_error(text, place, code):
    """`text` is one line that names the output in `place`, and the error."""
    assert text.startswith(f"odpiece: cannot write {place}") and text.count("\n") == 1
    assert os.strerror(code) in text


def test_files_that_may_not_grow(folder, whole):
    """RLIMIT_FSIZE as a disk that is full after some bytes."""
    limit = min(map(len, outputs_of("truncate", whole).values())) - 1
    arguments = [json.dumps(list(COMMANDS.values())), str(limit)]
    done = subprocess.run([sys.executable, "-B", "-c", LIMITED, *arguments], env=QUIET, capture_output=True)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 0 and len(lines) == 2 * len(COMMANDS)
    for command, message, code in zip(COMMANDS.values(), lines[::2], lines[1::2]):
        check_error(message + "\n", command[-1], errno.EFBIG)
        assert int(code) == OutputError.exit_code
    assert temporary_files(folder) == []
    assert outputs(folder).items() <= whole.items()


@pytest.fixture
def full_disk(folder):
    """The folder `out` on a file system without a free byte."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={4 * PAGE}", "tmpfs", "out"], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        (folder / "out" / "filler").write_bytes(bytes(4 * PAGE))
        yield folder
    finally:
        subprocess.run(["umount", "out"], cwd=folder, check=True)


@pytest.mark.parametrize("free", [0, 1], ids=["full", "one page free"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(command, free, full_disk, whole, capsysbinary):
    filler = full_disk / "out" / "filler"
    os.truncate(filler, (4 - free) * PAGE)
    mine = outputs_of(command, whole)
    fits = free and max(map(len, mine.values())) <= PAGE and len(mine) == 1
    try:
        main([*COMMANDS[command], "--quiet"])
    except SystemExit as end:
        assert not fits and end.code == OutputError.exit_code
        check_error(capsysbinary.readouterr().err.decode(), COMMANDS[command][-1], errno.ENOSPC)
    else:
        assert fits
    left = outputs(full_disk)
    del left["out/filler"]
    assert left.items() <= mine.items() and (left == mine) == bool(fits)
    assert temporary_files(full_disk) == []
