"""Golden files: written once, they decode to the same tokens for ever, and to nearly the same pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odpiece.codec.files import read
from odpiece.formats.chunks import ChunkType
from odpiece.formats.container import CoderId

GOLDEN = Path(__file__).parent.parent / "golden"
FOLDERS = [GOLDEN, *sorted(path for path in (GOLDEN / "releases").iterdir() if path.is_dir())]
DIGESTS = {
    path.parent / name: digest
    for path in (folder / "tokens.json" for folder in FOLDERS)
    for name, digest in json.loads(path.read_text()).items()
}
TOLERANCE = 2  # levels, of means over squares: float networks differ a little from machine to machine


def shown(path):
    return str(path.relative_to(GOLDEN))


@pytest.fixture(scope="module")
def contents():
    return {path: read(path.read_bytes()) for path in DIGESTS}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_all_files_are_listed(folder):
    assert set(folder.glob("*.odp")) == {path for path in DIGESTS if path.parent == folder}
    assert {path.with_suffix(".odp") for path in folder.glob("*.png")} == set(folder.glob("*.odp"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_kind_of_file_is_there(folder, contents):
    found = [c for path, c in contents.items() if path.parent == folder]
    headers = [c.header for c in found]
    chunks = [chunk for c in found for chunk in c.chunks]
    assert {h.coder for h in headers} == set(CoderId)
    assert {h.grey for h in headers} == {h.limit < h.q for h in headers} == {h.segments > 1 for h in headers}
    assert {chunk.type for chunk in chunks} == set(ChunkType)
    assert {chunk.data[0] for chunk in chunks if chunk.type == ChunkType.ALPHA} == {0, 1, 2, 3}


@pytest.mark.parametrize("path", DIGESTS, ids=shown)
def test_tokens_are_exact(path, contents):
    assert contents[path].tokens.sha256 == DIGESTS[path]


def assert_close(pixels, path):
    with Image.open(path) as expected:
        im = Image.fromarray(pixels)
        assert im.mode == expected.mode
        got = np.asarray(im.reduce(-(-im.width // expected.width)))
        assert np.abs(got.astype(int) - np.asarray(expected)).max() <= TOLERANCE


@pytest.mark.parametrize("path", DIGESTS, ids=shown)
def test_pixels_are_close(path, contents):
    assert_close(contents[path].picture(contents[path].tokens), path.with_suffix(".png"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_pixels_of_the_natural_look_are_close(folder, contents):
    learned = contents[folder / "photo-learned.odp"]
    assert_close(learned.picture(learned.tokens, "natural"), folder / "natural" / "photo-learned.png")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_metadata_is_exact(folder, contents):
    kept = contents[folder / "chunks.odp"].metadata
    assert kept["exif"].startswith(b"Exif\0\0MM") and kept["icc"][36:40] == b"acsp"
    assert kept["xmp"] == b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
