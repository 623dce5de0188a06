"""Tables of the static coder of a One-D-Piece model: probabilities of the 4096 tokens at each of the 256 positions.

They are counted after the weights were made, so they have a file and a SHA-256 of their own, by which an .odp file
that needs them names them. Tables that are replaced are kept, under their fingerprint: files made with them
stay readable.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from odpiece.formats.errors import DamagedError, OutputError

TENSOR = "static.tokens"
SHAPE = (256, 4096)


@dataclass(frozen=True)
class TileTables:
    """The tables in the file `path`; `fingerprint` is the first 4 bytes of its SHA-256."""

    path: Path
    fingerprint: bytes

    @cached_property
    def rows(self):
        """uint32 (256, 4096), see codec/range_coder.py. Raises DamagedError."""
        try:
            rows = load_file(self.path).get(TENSOR)
        except (SafetensorError, OSError) as error:
            raise DamagedError(f"{self.path} cannot be read: {error}".splitlines()[0]) from None
        if rows is None or rows.shape != SHAPE or rows.dtype != np.uint32:
            raise DamagedError(f"{self.path} holds no tables: count them again by odpiece train prior")
        return rows


def find_tables(weights):
    """The TileTables beside the weights file `weights`, the current ones first."""
    current, kept = _current(weights), sorted(weights.parent.glob(f"{weights.stem}.static-*.safetensors"))
    return [_open(path) for path in (current, *kept) if path.is_file()]


def write_tables(weights, rows):
    """Make `rows`, uint32 (256, 4096), the current tables beside the weights file; gives the TileTables.

    Raises OutputError.
    """
    current = _current(weights)
    temporary = current.with_suffix(".partial")
    try:
        temporary.write_bytes(save({TENSOR: np.ascontiguousarray(rows, dtype=np.uint32)}))
        if current.is_file():
            former = _open(current)
            os.replace(current, weights.with_name(f"{weights.stem}.static-{former.fingerprint.hex()}.safetensors"))
        os.replace(temporary, current)
    except OSError as error:
        raise OutputError(f"cannot write {current}: {error.strerror}") from None
    return _open(current)


def _current(weights):
    return weights.with_name(f"{weights.stem}.static.safetensors")


def _open(path):
    return TileTables(path, hashlib.sha256(path.read_bytes()).digest()[:4])
