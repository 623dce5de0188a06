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
DIGESTS = json.loads((GOLDEN / "tokens.json").read_text())
TOLERANCE = 2  # levels, of means over squares: float networks differ a little from machine to machine


@pytest.fixture(scope="module")
def contents():
    return {name: read((GOLDEN / name).read_bytes()) for name in DIGESTS}


def test_all_files_are_listed():
    assert {path.name for path in GOLDEN.glob("*.odp")} == DIGESTS.keys()
    assert {path.with_suffix(".odp").name for path in GOLDEN.glob("*.png")} == DIGESTS.keys()


def test_every_kind_of_file_is_there(contents):
    headers = [c.header for c in contents.values()]
    chunks = [chunk for c in contents.values() for chunk in c.chunks]
    assert {h.coder for h in headers} == set(CoderId)
    assert {h.grey for h in headers} == {h.limit < h.q for h in headers} == {h.segments > 1 for h in headers}
    assert {chunk.type for chunk in chunks} == set(ChunkType)
    assert {chunk.data[0] for chunk in chunks if chunk.type == ChunkType.ALPHA} == {0, 1, 2, 3}


@pytest.mark.parametrize("name", DIGESTS)
def test_tokens_are_exact(name, contents):
    assert contents[name].tokens.sha256 == DIGESTS[name]


def assert_close(pixels, path):
    with Image.open(path) as expected:
        im = Image.fromarray(pixels)
        assert im.mode == expected.mode
        got = np.asarray(im.reduce(-(-im.width // expected.width)))
        assert np.abs(got.astype(int) - np.asarray(expected)).max() <= TOLERANCE


@pytest.mark.parametrize("name", DIGESTS)
def test_pixels_are_close(name, contents):
    assert_close(contents[name].picture(contents[name].tokens), (GOLDEN / name).with_suffix(".png"))


def test_pixels_of_the_natural_look_are_close(contents):
    learned = contents["photo-learned.odp"]
    assert_close(learned.picture(learned.tokens, "natural"), GOLDEN / "natural" / "photo-learned.png")


def test_metadata_is_exact(contents):
    kept = contents["chunks.odp"].metadata
    assert kept["exif"].startswith(b"Exif\0\0MM") and kept["icc"][36:40] == b"acsp"
    assert kept["xmp"] == b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
