"""Reading whole inputs and writing whole outputs; "-" stands for standard input and output.

Names such as s3://bucket/name go to remote.py; file:///folder/name is the local /folder/name.
"""

import errno
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from odpiece.formats import remote
from odpiece.formats.errors import ImageError, OptionError, OutputError, OutputExistsError, ReaderGoneError

STANDARD = "-"
ODP_SUFFIXES = (".odp", ".odpi")
URL = re.compile(r"[a-z][a-z0-9+.-]+://")
STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}
DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
NO_LINKS = {
    errno.EPERM,
    errno.EACCES,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.ENOTSUP,
}  # file systems without hard links


def local_path(path):
    """`path`, or the local path that a URL file:///... means."""
    if not str(path).startswith("file://"):
        return path
    from urllib.parse import urlsplit
    from urllib.request import url2pathname  # loads all that networks need

    return url2pathname(urlsplit(path).path)


def is_remote(path):
    """Whether `path` is a URL, but none of file://."""
    return bool(URL.match(str(path))) and not str(path).startswith("file://")


def with_suffix(path, suffix):
    """`path` with its suffix replaced, or added where it has none."""
    return os.path.splitext(path)[0] + suffix if is_remote(path) else str(Path(local_path(path)).with_suffix(suffix))


def add_suffix(path, suffix):
    """`path` with `suffix` after its own."""
    return (path if is_remote(path) else str(Path(local_path(path)))) + suffix


def encoded_name(path, keep_name=False):
    """The name of the .odp file of a picture: .odp for its suffix, or added to that of a decoded one (a.odp.png), and
    to every one if `keep_name`.
    """
    is_decoded = os.path.splitext(os.path.splitext(path)[0])[1].lower() in ODP_SUFFIXES
    return add_suffix(path, ".odp") if keep_name or is_decoded else with_suffix(path, ".odp")


def read_bytes(path):
    """All bytes of the file `path`, or of standard input for "-". Raises ImageError."""
    if is_remote(path):
        return remote.read_bytes(path)
    path = local_path(path)
    try:
        if str(path) == STANDARD:
            if sys.stdin is None:
                raise ImageError("standard input is closed")
            return sys.stdin.buffer.read()
        return Path(path).read_bytes()
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder, give a file") from None
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from None


def is_stream(path):
    """Whether `path` is "-", an open file such as /dev/stdout, a device or a pipe, which is never replaced."""
    path = local_path(path)
    if str(path) == STANDARD or _descriptor(path) is not None:
        return True
    return not is_remote(path) and os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def is_terminal(path):
    """Whether `path` is "-" or an open file, and that a terminal."""
    if str(path) == STANDARD:
        return sys.stdout is not None and sys.stdout.isatty()
    return _descriptor(path) is not None and os.isatty(_descriptor(path))


def is_taken(path):
    """Whether something local has this name, a broken link included, but no stream."""
    return os.path.lexists(local_path(path)) and not is_stream(path)


def check_output(path, force):
    """Raise OutputExistsError if `path` exists and `force` is false, OutputError if it is a folder."""
    if str(path) == STANDARD:
        return
    path = local_path(path)
    if not is_remote(path) and os.path.isdir(path):
        raise OutputError(f"{path} is a folder, give a file name")
    if not force and (remote.exists(path) if is_remote(path) else is_taken(path)):
        raise OutputExistsError(f"{path} exists, use --force to replace it")


def times_of(path, output):
    """The times of the file `path` for `output`, of the last access and the last change in nanoseconds, as
    `write_bytes` takes them; None for standard input. Raises ImageError, and OptionError where either is a URL.
    """
    if url := next(filter(is_remote, (path, output)), None):
        raise OptionError(f"{url} is a URL, which has no times to preserve: leave out --preserve")
    try:
        status = None if str(path) == STANDARD else os.stat(local_path(path))
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from None
    return status and (status.st_atime_ns, status.st_mtime_ns)


def write_bytes(path, data, force=False, times=None):
    """Write `data` to the file `path`, whole or not at all, or to standard output for "-".

    The bytes go to a temporary name in the same folder, which gets `times` (see `times_of`; None: now) and is then
    renamed. What is replaced keeps its permissions, a link the name that it points to. Raises OutputError, or
    OutputExistsError where the name is taken and `force` is false.
    """
    check_output(path, force)
    if is_remote(path):
        return remote.write_bytes(path, data)
    path = local_path(path)
    try:
        if str(path) == STANDARD:
            if sys.stdout is None:
                raise OutputError("standard output is closed")
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif is_stream(path):
            number = _descriptor(path)
            with open(path if number is None else number, "wb", closefd=number is None) as out:
                out.write(data)
        else:
            _write_and_rename(_target(path) if force else Path(path), data, force, times)
    except FileExistsError:
        raise OutputExistsError(f"{path} exists, use --force to replace it") from None
    except OSError as error:
        gone = str(path) == STANDARD and isinstance(error, BrokenPipeError)
        raise (ReaderGoneError if gone else OutputError)(f"cannot write {path}: {error.strerror}") from None


def make_folder(path):
    """Make the folder `path` and those above it where they are missing; a URL needs none. Raises OutputError."""
    if is_remote(path):
        return
    path = local_path(path)
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror}") from None


def _target(path):
    """The file that `path` means, through links, whether it exists or not."""
    target = os.path.realpath(path)
    if os.path.islink(target):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return Path(target)


def _write_and_rename(path, data, force, times):
    temporary = path.parent / f".{path.name[:40]}.{os.urandom(6).hex()}.partial"
    handle = _new_file(temporary)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        _set_permissions(temporary, path)
        if times:
            _set_times(temporary, times, path)
        if force:
            os.replace(temporary, path)
        else:
            _rename_to_free_name(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _new_file(path):
    """The descriptor of a new file, to be written by nobody else: what tempfile does, which takes long to load."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)


def _set_permissions(temporary, path):
    """Those of the file `path` that will be replaced, else those of any new file.

    Where the file system refuses, as network folders and exFAT do, it stays as it was made.
    """
    try:
        before = os.stat(path)
        mode = before.st_mode & 0o777
    except OSError:
        before, mode = None, 0o666 & ~_umask()
    with suppress(OSError):
        if before and hasattr(os, "chown"):  # which is for the superuser, whose outputs would else be closed to others
            os.chown(temporary, before.st_uid, before.st_gid)
    with suppress(OSError):
        os.chmod(temporary, mode)


def _set_times(temporary, times, path):
    try:
        os.utime(temporary, ns=times)
    except OSError as error:
        raise OutputError(f"cannot set the times of {path}: {error.strerror}, leave out --preserve") from None


def _rename_to_free_name(temporary, path):
    """Unlike rename, fails if the name was taken meanwhile; without hard links, if it was a moment before."""
    try:
        os.link(temporary, path)
        os.unlink(temporary)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(path):  # taking the name first, by an empty file, would leave that after a kill
            raise FileExistsError from None
        os.replace(temporary, path)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _descriptor(path):
    """The number of the open file that `path` names, else None."""
    found = DESCRIPTOR.fullmatch(str(path))
    return int(found[1]) if found else STREAMS.get(str(path))
