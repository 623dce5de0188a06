"""The same tokens as Python's, and the same errors: golden files, whole, cut and damaged, in Node."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from odpiece.codec import encode
from odpiece.codec.files import read, read_partial
from odpiece.formats.alpha import pack_alpha
from odpiece.formats.errors import OdpieceError
from odpiece.models.interface import GRAIN_SIZES, PIECE, grain

GOLDEN = Path(__file__).parents[1] / "golden"
DIGESTS = json.loads((GOLDEN / "tokens.json").read_text())
CUTS, FLIPS = 5, 8  # of each golden file


@pytest.fixture(scope="module")
def read_in_node(in_node, weights):
    """A function: for each of many files what was read, {"sha256": ..} or {"error": its name}."""

    def run(files, partial=False):
        return in_node("read.mjs", weights, [{"data": _text(data), "partial": partial} for data in files])

    return run


def _text(data):
    return base64.b64encode(data).decode()


def _expected(data, reader):
    """What Python reads: (sha256 or the name of the error)."""
    try:
        return reader(data).tokens.sha256
    except OdpieceError as error:
        return type(error).__name__


def _found(results):
    return [result.get("sha256") or result["error"] for result in results]


def test_golden_files(read_in_node):
    found = read_in_node([(GOLDEN / name).read_bytes() for name in DIGESTS])
    assert [result.get("sha256", result) for result in found] == list(DIGESTS.values())


@pytest.mark.parametrize("name", DIGESTS)
def test_cut_files(name, read_in_node):
    """What `--allow-partial` gives, of cuts in header, table and payload."""
    data = (GOLDEN / name).read_bytes()
    cuts = [data[:end] for end in sorted({*np.linspace(5, len(data) - 1, CUTS).astype(int).tolist()})]
    assert _found(read_in_node(cuts, partial=True)) == [_expected(cut, read_partial) for cut in cuts]


# Of learned files the payload alone: a header that announces many pieces costs the time to decode them
BITS = [("photo-static", 64), ("segments-raw", 64), ("photo-truncated", 160), ("chunks", 160), ("mask", 160)]


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("name, first", BITS)
def test_damaged_files(name, first, partial, read_in_node):
    """Flipped bits; those of the model are left out, as it is given to Node."""
    data = (GOLDEN / f"{name}.odp").read_bytes()
    number, count = int.from_bytes(data, "big"), 8 * len(data)
    bits = [*(range(32) if first == 64 else ()), *np.linspace(first, count - 1, FLIPS).astype(int).tolist()]
    flipped = [(number ^ 1 << count - 1 - bit).to_bytes(len(data), "big") for bit in bits]
    reader = read_partial if partial else read
    assert _found(read_in_node(flipped, partial)) == [_expected(file, reader) for file in flipped]


@pytest.mark.parametrize("q, scale", [(1, 1), (3, "1/4"), (7, "1/2"), (300, 1), (2500, 1)])
def test_files_of_any_quality(q, scale, photo, read_in_node):
    files = [encode(photo[:130, :90], q, scale=scale, coder=coder, effort=0) for coder in (0, 1, 2)]
    assert _found(read_in_node(files)) == [read(file).tokens.sha256 for file in files]


def _masks():
    """uint8 (H, W), 0 or 255: drawn, noise, all lengths of runs, the smallest."""
    rng = np.random.default_rng(3)
    drawn = Image.new("L", (301, 97), 255)
    ImageDraw.Draw(drawn).ellipse((20, 10, 250, 90), fill=0)
    runs = np.repeat(np.arange(2600) % 2, np.arange(2600)).astype(np.uint8) * 255
    wide = runs[: len(runs) // 5281 * 5281].reshape(-1, 5281)
    lines = np.repeat(np.array([[255], [0], [255]], np.uint8), 5281, axis=1)
    edges = [np.array(rows, np.uint8) * 255 for rows in ([[0, 1]], [[1, 0]], [[0], [1]], [[1], [0]])]
    return [np.asarray(drawn), wide, 255 - wide, 255 * rng.integers(0, 2, (41, 67), np.uint8), lines, *edges]


@pytest.mark.parametrize("mask", _masks(), ids=lambda mask: f"{mask.shape[1]}x{mask.shape[0]}")
def test_masks_are_exact(mask, in_node):
    data = pack_alpha(mask)
    height, width = mask.shape
    (found,) = in_node("alpha.mjs", [{"data": _text(data), "height": height, "width": width}])
    assert data[0] == 1 and found == hashlib.sha256(mask.tobytes()).hexdigest()


@pytest.mark.parametrize("rows, columns, windows", [(3, 5, 1), (33, 34, 4), (1, 1100, 46)])
def test_windows_make_one_picture(rows, columns, windows, in_node):
    """By a network that paints each piece with the first latents of it and of its neighbours."""
    found = in_node("windows.mjs", {"rows": rows, "columns": columns})
    assert found == {"windows": windows, "wrong": 0, "seen": True}


@pytest.mark.parametrize("rows, columns", [(2, 3), (33, 34)])
def test_the_noise_is_that_of_python(rows, columns, in_node):
    """Of the last window, which ends where the picture does."""
    found = in_node("noise.mjs", {"rows": rows, "columns": columns})
    area = np.array([found["rows"], found["columns"], rows - found["rows"], columns - found["columns"]])
    assert area[2:].any() == (rows > 2)
    for size, shape in zip(GRAIN_SIZES, found["shapes"], strict=True):
        expected = grain(size, *(PIECE // size * area))
        assert shape == [1, 1, *expected.shape]
        assert found["noise"][f"noise{size}"] == hashlib.sha256(expected.tobytes()).hexdigest()
