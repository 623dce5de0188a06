"""Files at URLs such as s3://bucket/name, by fsspec, whose clients find credentials where they always do.

An object store shows an object when it has arrived whole, so nothing is ever half there.
"""

import posixpath
from contextlib import contextmanager

from odpiece.formats.errors import ImageError, MissingExtraError, OdpieceError, OptionError, OutputError


def _open(url):
    """(file system of fsspec, path in it) of `url`. Raises MissingExtraError, OptionError."""
    try:
        from fsspec.core import url_to_fs

        return url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(f"{url}: {error}: pip install 'odpiece[remote]' brings what s3:// needs") from None
    except ValueError as error:
        raise OptionError(f"{url} cannot be used: {error}") from None


@contextmanager
def _failing(kind, what):
    """Turn what a client raises, of its own many classes, into `kind`, one line that begins with `what`."""
    try:
        yield
    except OdpieceError:
        raise
    except Exception as error:
        reason = str(error).splitlines() or [type(error).__name__]
        raise kind(f"{what}: {reason[0]}") from None


def read_bytes(url):
    """All bytes at `url`. Raises ImageError."""
    with _failing(ImageError, f"cannot read {url}"):
        system, path = _open(url)
        return system.cat_file(path)


def write_bytes(url, data):
    """Write `data` to `url`. Raises OutputError."""
    with _failing(OutputError, f"cannot write {url}"):
        system, path = _open(url)
        system.pipe_file(path, data)


def exists(url):
    """Whether something is at `url`. Raises OutputError."""
    with _failing(OutputError, f"cannot look for {url}"):
        system, path = _open(url)
        return system.exists(path)


def is_folder(url):
    """Whether there are files below `url`. Raises ImageError."""
    with _failing(ImageError, f"cannot read {url}"):
        system, path = _open(url)
        return system.isdir(path)


def list_files(url):
    """The paths below `url`, relative to it. Raises ImageError."""
    with _failing(ImageError, f"cannot list {url}"):
        system, path = _open(url)
        root = path.rstrip("/") + "/"
        return sorted(found.removeprefix(root) for found in system.find(path))


def existing(urls):
    """The set of those of `urls` at which something is, by one request for each folder. Raises OutputError."""
    folders, found = {}, set()
    for url in urls:
        folders.setdefault(posixpath.dirname(url), []).append(url)
    for folder, inside in folders.items():
        with _failing(OutputError, f"cannot list {folder}"):
            names = _names(*_open(folder))
        found.update(url for url in inside if posixpath.basename(url) in names)
    return found


def _names(system, path):
    try:
        return {posixpath.basename(name) for name in system.ls(path, detail=False)}
    except FileNotFoundError:
        return set()
