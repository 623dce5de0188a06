"""Whatever Python says to a changed golden file, web/ says, too: the same tokens, or the error of the same name."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from odpiece.codec.files import read, read_partial
from odpiece.formats.container import CoderId, Header, StoredSegment, pack
from odpiece.formats.errors import OdpieceError
from odpiece.models.library import load_model

GOLDEN = Path(__file__).parents[1] / "golden"
FINDINGS = Path(__file__).parents[1] / "attacks" / "findings"
FILES = {name: (GOLDEN / name).read_bytes() for name in json.loads((GOLDEN / "tokens.json").read_text())}
LARGEST = 1 << 15  # pixels that a changed header may claim: more take their time
MODEL_BITS = range(32, 64)  # which stay as they are: Node is given the model
HEADER_BITS = 128
CHEAP = ("pixel.odp", "photo-raw.odp")  # of which every bit of the header is flipped
SOME_CUTS, SOME_BITS = 5, 12  # of the others


def cut(data):
    """Ends in the header and evenly in what follows."""
    return [data[:end] for end in sorted({0, 1, 7, 9, *np.linspace(10, len(data) - 1, SOME_CUTS).astype(int).tolist()})]


def flipped(data):
    """Bits of the header but for those of the model, and a few of the rest."""
    number, count = int.from_bytes(data, "big"), 8 * len(data)
    some = HEADER_BITS if data in [FILES[name] for name in CHEAP] else SOME_BITS
    bits = {*np.linspace(0, HEADER_BITS - 1, some).astype(int).tolist(), *range(HEADER_BITS, count, 1 + count // 4)}
    chosen = sorted(bit for bit in bits if bit < count and bit not in MODEL_BITS)
    return [(number ^ 1 << count - 1 - bit).to_bytes(len(data), "big") for bit in chosen]


def appended(data):
    """More bytes behind a file, or all of it again."""
    return [data + more for more in (b"\0", b"\xff", b"\0" * 40, b"\xff" * 40, data)]


def filled(data):
    """The header alone before bytes that are all alike."""
    head = data[:16]
    return [head + more * count for more in (b"\0", b"\xff", b"\x80") for count in (1, 20, 400)]


CHANGES = (cut, flipped, appended, filled)


def _said(reader, data):
    try:
        return reader(data).tokens.sha256
    except OdpieceError as error:
        return type(error).__name__


@pytest.fixture(scope="module")
def assert_alike(in_node, weights):
    """A function: that files are read alike, strictly and of damaged ones what is certain; gives what was said."""

    def check(files):
        expected = [_said(reader, data) for reader in (read, read_partial) for data in files]
        asked = [{"data": base64.b64encode(d).decode(), "partial": partial} for partial in (False, True) for d in files]
        found = in_node("read.mjs", weights, asked)
        assert [result.get("sha256") or result["error"] for result in found] == expected
        assert all("\n" not in result.get("message", "") for result in found)
        return set(expected)

    return check


@pytest.mark.parametrize("name", FILES)
def test_changed_golden_files(name, claims_at_most, assert_alike):
    files = [data for change in CHANGES for data in change(FILES[name]) if claims_at_most(data, LARGEST)]
    assert len(files) >= 10 and assert_alike(files) >= {"DamagedError", "NotOdpError"}


def test_findings(assert_alike):
    assert_alike([path.read_bytes() for path in sorted(FINDINGS.iterdir())])


def test_every_error_of_a_file_is_among_them(assert_alike):
    """The kinds that bytes can cause; test_browser.py and test_models.py have those of options and of the web."""
    header = Header(8, 8, 1, CoderId.RAW, load_model().fingerprint)
    large = pack(Header(16_000, 11_200, 1, CoderId.RAW, load_model().fingerprint), [StoredSegment(b"")])
    data = pack(header, [StoredSegment(b"")])
    said = assert_alike([b"PK" + data[2:], data[:2] + b"\xff" + data[3:], data[:2] + b"\0" + data[3:], data, large])
    assert said >= {"NotOdpError", "VersionError", "DamagedError", "ImageError"}
