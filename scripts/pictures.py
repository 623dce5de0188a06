"""Folders of pictures, for the other scripts."""

from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image


def read_folder(folder, count=None):
    """uint8 (H, W, 3) pixels of the pictures in `folder`: all, or about `count`, evenly spaced by name."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    step = max(1, len(files) // count) if count else 1
    return [read_image(read_bytes(path), path.name).pixels for path in files[::step]]
