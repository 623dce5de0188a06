"""What the shell offers for a name of a file: only files that fit, and folders."""

import os
import re

from click.shell_completion import CompletionItem

UNQUOTED = re.compile(r"[\w.,+%/-]*")


def complete(incomplete, suffixes):
    """CompletionItems for the beginning of a path: files with one of `suffixes` in any case, and folders.

    Where no file fits the shell completes folders, and where a name needs quotes it completes whatever there is: click
    hands our names over as they stand.
    """
    start = os.path.basename(incomplete)
    found = [entry for entry in _entries(os.path.dirname(incomplete)) if _begins(entry.name, start)]
    files = [entry.name for entry in found if entry.is_file() and _suffix(entry.name) in suffixes]
    folders = [entry.name + "/" for entry in found if entry.is_dir()]
    if not all(map(UNQUOTED.fullmatch, [incomplete, *files, *folders])):
        return [CompletionItem(incomplete, type="file")]
    if not files:
        return [CompletionItem(incomplete, type="dir")]
    return [CompletionItem(incomplete.removesuffix(start) + name) for name in sorted(files + folders)]


def _entries(folder):
    try:
        with os.scandir(folder or ".") as entries:
            return list(entries)
    except OSError:
        return []


def _begins(name, start):
    """Whether `name` begins with `start`; a hidden one counts only if `start` asks for it."""
    return name.startswith(start) and (bool(start) or not name.startswith("."))


def _suffix(name):
    return os.path.splitext(name)[1].lower()
