"""Reading inputs, and writing outputs whole or not at all."""

import contextlib
import errno
import io
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from odpiece.formats.errors import ImageError, OptionError, OutputError, OutputExistsError, ReaderGoneError
from odpiece.formats.files import check_output, read_bytes, times_of, write_bytes

NEW, OLD = b"new \x00\xff bytes" * 1000, b"old"
LONG_NAME = "x" * 300 + ".odp"  # no file system of ours takes more than 255 bytes
SMALLER_THAN_NEW = 1000  # bytes


def failing(error):
    """A function that raises `error` whatever it is given."""

    def fail(*args, **kwargs):
        raise error

    return fail


def no_space():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("data", [b"", b"a", NEW])
def test_what_is_written_is_read(data, tmp_path):
    write_bytes(tmp_path / "out", data)
    assert read_bytes(tmp_path / "out") == data
    assert os.listdir(tmp_path) == ["out"]


def test_paths_may_be_strings_and_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bytes("out", NEW)
    assert read_bytes("out") == (tmp_path / "out").read_bytes() == NEW


@pytest.mark.parametrize("name", ["é" * 120 + ".odp", "-a", " ", ".odp", "new\nline"])
def test_odd_names(name, tmp_path):
    write_bytes(tmp_path / name, NEW)
    assert os.listdir(tmp_path) == [name]
    assert read_bytes(tmp_path / name) == NEW


def test_reading_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(NEW)))
    assert read_bytes("-") == NEW


@pytest.mark.parametrize("force", [False, True])
def test_writing_standard_output(force, capfdbinary, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_bytes("-", NEW, force)
    assert capfdbinary.readouterr() == (NEW, b"")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["missing", ".", "missing/file", "file/inside", LONG_NAME])
def test_inputs_that_cannot_be_read(name, tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(ImageError, match="^[^\n]+$"):
        read_bytes(tmp_path / name)


def test_an_existing_file_is_kept_without_force(tmp_path):
    (tmp_path / "out").write_bytes(OLD)
    with pytest.raises(OutputExistsError, match="--force"):
        write_bytes(tmp_path / "out", NEW)
    assert (tmp_path / "out").read_bytes() == OLD
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_that_appears_at_the_last_moment_is_kept_too(tmp_path, monkeypatch):
    """check_output has seen a free name; somebody else takes it before the new file gets it."""
    real = os.open

    def opened(name, *args, **kwargs):
        (tmp_path / "out").write_bytes(OLD)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(OutputExistsError):
        write_bytes(tmp_path / "out", NEW)
    assert (tmp_path / "out").read_bytes() == OLD
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("exists", [False, True])
def test_force_replaces(exists, tmp_path):
    if exists:
        (tmp_path / "out").write_bytes(OLD)
    write_bytes(tmp_path / "out", NEW, force=True)
    assert (tmp_path / "out").read_bytes() == NEW
    assert os.listdir(tmp_path) == ["out"]


def test_a_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExistsError):
        check_output(tmp_path / "out", force=False)
    with pytest.raises(OutputExistsError):
        write_bytes(tmp_path / "out", NEW)
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_in_other_folders(force, tmp_path, monkeypatch):
    """The temporary file is in the output's folder: a rename from elsewhere may cross file systems."""
    real, folders = os.open, []
    monkeypatch.setattr(os, "open", lambda name, *args: folders.append(Path(name).parent) or real(name, *args))
    write_bytes(tmp_path / "out", NEW, force)
    assert folders == [tmp_path]
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("check_only", [False, True])
def test_a_folder_is_never_replaced(force, check_only, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OutputError, match="folder"):
        check_output(folder, force) if check_only else write_bytes(folder, NEW, force)
    assert folder.is_dir()
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["missing/out", "file/out", LONG_NAME])
def test_places_where_nothing_can_be_written(name, force, tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(OutputError, match="^[^\n]+$"):
        write_bytes(tmp_path / name, NEW, force)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("name", ["out", "missing/out", LONG_NAME])
def test_check_output_never_writes(name, tmp_path):
    with contextlib.suppress(OutputError):
        check_output(tmp_path / name, force=True)
    assert os.listdir(tmp_path) == []


def test_check_output_of_an_existing_file(tmp_path):
    (tmp_path / "out").write_bytes(OLD)
    check_output(tmp_path / "out", force=True)
    check_output("-", force=False)
    with pytest.raises(OutputExistsError):
        check_output(tmp_path / "out", force=False)


@pytest.mark.parametrize("error", [no_space(), PermissionError(errno.EPERM, os.strerror(errno.EPERM))])
def test_a_failure_leaves_the_old_file_and_nothing_else(error, tmp_path, monkeypatch):
    (tmp_path / "out").write_bytes(OLD)
    monkeypatch.setattr(os, "replace", failing(error))
    with pytest.raises(OutputError, match=error.strerror):
        write_bytes(tmp_path / "out", NEW, force=True)
    assert (tmp_path / "out").read_bytes() == OLD
    assert os.listdir(tmp_path) == ["out"]


def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", failing(no_space()))
    with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)):
        write_bytes(tmp_path / "out", NEW)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_file_systems_that_refuse_permissions(code, force, tmp_path, monkeypatch):
    """SMB, exFAT, gcsfuse, mountpoint-s3: the file has what they give it."""
    for function in ("chmod", "chown", "link"):
        monkeypatch.setattr(os, function, failing(OSError(code, os.strerror(code))))
    write_bytes(tmp_path / "out", NEW, force)
    write_bytes(tmp_path / "out", OLD, force=True)
    assert (tmp_path / "out").read_bytes() == OLD
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666, 0o755])
def test_force_keeps_permissions(mode, tmp_path):
    (tmp_path / "out").write_bytes(OLD)
    (tmp_path / "out").chmod(mode)
    with umask(0o022):
        write_bytes(tmp_path / "out", NEW, force=True)
    assert (tmp_path / "out").read_bytes() == NEW
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode


def test_force_keeps_the_owner(tmp_path):
    (tmp_path / "out").write_bytes(OLD)
    try:
        os.chown(tmp_path / "out", 12345, 54321)
    except OSError:
        pytest.skip("needs the right to give files away")
    write_bytes(tmp_path / "out", NEW, force=True)
    status = (tmp_path / "out").stat()
    assert (status.st_uid, status.st_gid, (tmp_path / "out").read_bytes()) == (12345, 54321, NEW)


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("links", [1, 3])
def test_force_writes_what_a_link_points_to(links, exists, tmp_path):
    """In the target's own folder, relative to the link, through further links; a new target gets the usual mode."""
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
    target = tmp_path / "there" / "target"
    if exists:
        target.write_bytes(OLD)
        target.chmod(0o600)
    (tmp_path / "here" / "link0").symlink_to("../there/target")
    for i in range(1, links):
        (tmp_path / "here" / f"link{i}").symlink_to(f"link{i - 1}")
    with umask(0o022):
        write_bytes(tmp_path / "here" / f"link{links - 1}", NEW, force=True)
    assert target.read_bytes() == NEW and stat.S_IMODE(target.stat().st_mode) == (0o600 if exists else 0o644)
    assert sorted(os.listdir(tmp_path / "here")) == [f"link{i}" for i in range(links)]
    assert all(path.is_symlink() for path in (tmp_path / "here").iterdir())
    assert os.listdir(tmp_path / "there") == ["target"]


@pytest.mark.parametrize("target", ["link", "missing/file"])
def test_links_that_lead_nowhere(target, tmp_path):
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(OutputError, match="cannot write .*link: "):
        write_bytes(tmp_path / "link", NEW, force=True)
    assert os.listdir(tmp_path) == ["link"] and (tmp_path / "link").is_symlink()


TIMES = (1_000_000_000_123_456_789, 987_654_321_000_000_000)


@pytest.mark.parametrize("force", [False, True])
def test_times_are_those_of_the_input(force, tmp_path):
    (tmp_path / "in").write_bytes(OLD)
    os.utime(tmp_path / "in", ns=TIMES)
    write_bytes(tmp_path / "out", NEW, force, times_of(tmp_path / "in", tmp_path / "out"))
    status = (tmp_path / "out").stat()
    assert (status.st_atime_ns, status.st_mtime_ns) == TIMES


def test_times_that_cannot_be_set(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "utime", failing(PermissionError(errno.EPERM, os.strerror(errno.EPERM))))
    with pytest.raises(OutputError, match="leave out --preserve"):
        write_bytes(tmp_path / "out", NEW, times=TIMES)
    assert os.listdir(tmp_path) == []


def test_what_has_no_times(tmp_path):
    (tmp_path / "in").write_bytes(OLD)
    assert times_of("-", "out") is None
    for pair in (("s3://bucket/in", "out"), (tmp_path / "in", "s3://bucket/out")):
        with pytest.raises(OptionError, match="s3://bucket"):
            times_of(*pair)
    with pytest.raises(ImageError):
        times_of(tmp_path / "missing", "out")


@pytest.mark.parametrize("force, function", [(False, "link"), (True, "replace")])
def test_an_interrupt_leaves_nothing(force, function, tmp_path, monkeypatch):
    monkeypatch.setattr(os, function, failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "out", NEW, force)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("force", [False, True])
def test_a_disk_that_fills_up_while_writing(force, tmp_path):
    """A real write that fails in its middle: the process may not write files longer than 1,000 bytes."""
    (tmp_path / "old").write_bytes(OLD)
    name = "old" if force else "out"
    program = f"""
import resource
from odpiece.formats.errors import OutputError
from odpiece.formats.files import write_bytes

resource.setrlimit(resource.RLIMIT_FSIZE, ({SMALLER_THAN_NEW}, {SMALLER_THAN_NEW}))
try:
    write_bytes({name!r}, {NEW!r}, {force})
except OutputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"cannot write {name}: {os.strerror(errno.EFBIG)}\n"
    assert (tmp_path / "old").read_bytes() == OLD
    assert os.listdir(tmp_path) == ["old"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_file_systems_without_hard_links(code, tmp_path, monkeypatch):
    """FAT and exFAT sticks and some network folders have none; writing a new file there works all the same."""
    monkeypatch.setattr(os, "link", failing(OSError(code, os.strerror(code))))
    write_bytes(tmp_path / "out", NEW)
    assert (tmp_path / "out").read_bytes() == NEW
    assert os.listdir(tmp_path) == ["out"]
    with pytest.raises(OutputExistsError):
        write_bytes(tmp_path / "out", OLD)
    assert (tmp_path / "out").read_bytes() == NEW


def test_force_never_replaces_what_is_no_file(tmp_path):
    """With --force, `-o /dev/null` must not put a file in the place of the device; a pipe stands for it here."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with contextlib.suppress(OutputError):
            write_bytes(tmp_path / "pipe", OLD, force=True)
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666)])
def test_permissions_follow_the_umask(mask, mode, force, tmp_path):
    with umask(mask):
        write_bytes(tmp_path / "out", NEW, force)
        assert os.umask(mask) == mask  # still what it was
    assert stat.S_IMODE(os.stat(tmp_path / "out").st_mode) == mode


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EPIPE])
def test_a_full_or_closed_standard_output(code, monkeypatch):
    broken = SimpleNamespace(write=failing(OSError(code, os.strerror(code))), flush=lambda: None)
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=broken))
    with pytest.raises(OutputError, match=os.strerror(code)) as caught:
        write_bytes("-", NEW)
    assert isinstance(caught.value, ReaderGoneError) == (code == errno.EPIPE)


def test_standard_streams_that_were_closed_at_the_start(monkeypatch):
    """As after `<&-` and `>&-` in a shell."""
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ImageError):
        read_bytes("-")
    with pytest.raises(OutputError):
        write_bytes("-", NEW)
