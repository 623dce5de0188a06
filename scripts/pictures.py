"""Folders of pictures, for the other scripts."""

from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image


def read_folder(folder, count=None):
    """uint8 (H, W, 3) pixels of the pictures in `folder`: all, or about `count`, evenly spaced by name."""
    return [read_image(read_bytes(path), path.name).pixels for path in files_of(folder, count)]


def files_of(folder, count=None):
    """Paths of what `read_folder` reads."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return files[:: max(1, len(files) // count) if count else 1]
