"""What lies in a folder and in the folders below it, on this machine or at a URL, or stands in a list."""

import codecs
import os
import posixpath
from dataclasses import dataclass, field

from odpiece.formats import remote
from odpiece.formats.files import is_remote, local_path, read_bytes


@dataclass
class Listing:
    """`files`: paths relative to the folder, sorted; `links`: links to folders, not followed; `errors`: folders
    that cannot be read, with the reasons.
    """

    files: list[str] = field(default_factory=list)
    links: int = 0
    errors: list[tuple[str, str]] = field(default_factory=list)


def is_folder(path):
    """Whether `path` is a folder, or a URL below which there are files. Raises ImageError."""
    return remote.is_folder(path) if is_remote(path) else os.path.isdir(local_path(path))


def join(folder, path):
    """`path`, which is relative, below `folder`."""
    return posixpath.join(folder, path.replace(os.sep, "/")) if is_remote(folder) else os.path.join(folder, path)


def list_folder(folder, leave_out=None):
    """The Listing of `folder`, without hidden files and folders and without the folder `leave_out`.

    Links to files count as files; links to folders are not followed, so no file is found twice and no circle is
    walked. Raises ImageError where a URL cannot be listed.
    """
    if is_remote(folder):
        prefix = (leave_out or "").rstrip("/") + "/"
        found = (path for path in remote.list_files(folder) if not _is_hidden(path))
        return Listing([path for path in found if not leave_out or not join(folder, path).startswith(prefix)])
    folder = local_path(folder)
    listing, without = Listing(), leave_out and not is_remote(leave_out) and os.path.realpath(local_path(leave_out))

    def failed(error):
        listing.errors.append((error.filename, error.strerror))

    for root, folders, files in os.walk(folder, onerror=failed):
        listing.links += sum(os.path.islink(os.path.join(root, name)) for name in folders)
        folders[:] = [n for n in folders if n[0] != "." and os.path.realpath(os.path.join(root, n)) != without]
        below = os.path.relpath(root, folder)
        listing.files += [os.path.normpath(os.path.join(below, name)) for name in files if name[0] != "."]
    listing.files.sort()
    return listing


def read_names(path):
    """The names in the list file `path` ("-": standard input), one a line or with zero bytes between, as the system
    gives names to programs; a byte-order mark, as editors on Windows write, is none of them. Raises ImageError.
    """
    data = read_bytes(path)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    return [os.fsdecode(name) for name in (data.split(b"\0") if b"\0" in data else data.splitlines()) if name]


def _is_hidden(path):
    return any(part.startswith(".") for part in path.split("/"))


def ignores_case(folder):
    """Whether the local `folder`, or the one above it that exists, takes a.png and A.png for the same name."""
    import tempfile  # takes long to load

    while not os.path.isdir(folder):
        folder = os.path.dirname(folder) or "."
    try:
        with tempfile.NamedTemporaryFile(prefix=".case", dir=folder) as file:
            return os.path.exists(os.path.join(folder, os.path.basename(file.name).swapcase()))
    except OSError:  # nothing can be written there, which is said when it is tried
        return False
