"""Where tiles lie, and the header of files of tiles."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odpiece.formats.container import CoderId, Header, StoredSegment, pack, unpack
from odpiece.formats.errors import DamagedError, OptionError, VersionError
from odpiece.formats.tiles import TILE, Layout

HEADER = Header(600, 300, 32, CoderId.RAW, b"\1\2\3\4", layout=Layout(32), checksum=0xBEEF)


@given(st.integers(1, 5000), st.integers(0, 128))
def test_tiles_cover_a_side_and_overlap(size, overlap):
    starts = Layout(overlap).starts(size)
    assert starts[0] == 0 and starts[-1] == max(0, size - TILE)
    assert all(0 < b - a <= TILE - overlap for a, b in zip(starts, starts[1:]))
    assert len(starts) == Layout(overlap).count(size)
    fewest = max(1, int(np.ceil((size - overlap) / (TILE - overlap))))
    assert len(starts) == fewest


@pytest.mark.parametrize("size", [1, 256, 257, 100_000])
def test_a_whole_picture_is_one_tile(size):
    assert Layout().starts(size) == [0]


@pytest.mark.parametrize("layout", [Layout(), Layout(0), Layout(32), Layout(128)])
@pytest.mark.parametrize("kinds", [{}, {"grey": True}])
def test_headers_return(layout, kinds):
    header = replace(HEADER, layout=layout, **kinds)
    if header.checksum_bytes == 4:
        header = replace(header, checksum=0xDEADBEEF)
    assert unpack(pack(header, [StoredSegment(b"xyz")])) == (header, (), (StoredSegment(b"xyz"),))


def test_the_bytes_of_a_header():
    data = pack(HEADER, [StoredSegment(b"xyz")])
    assert data == bytes.fromhex("9d50 301f 01020304 d704 ab02 08 21 0000beef") + b"xyz"
    assert HEADER.tiles == 6 and replace(HEADER, layout=Layout()).tiles == 1


def test_two_bytes_of_checksum_up_to_four_tiles():
    assert [replace(HEADER, width=w, layout=Layout(0)).checksum_bytes for w in (512, 513)] == [2, 4]
    assert replace(HEADER, width=1 << 20, layout=Layout()).checksum_bytes == 2


@pytest.mark.parametrize(
    "changes", [{"q": 257}, {"limit": 31}, {"coder": CoderId.LEARNED}], ids=["q", "limit", "coder"]
)
def test_what_tiles_cannot_have(changes):
    with pytest.raises(OptionError):
        replace(HEADER, **changes)


@pytest.mark.parametrize("overlap", [-1, 129])
def test_overlaps_that_cannot_be(overlap):
    with pytest.raises(OptionError, match="give 0 to 128"):
        Layout(overlap)


@pytest.mark.parametrize(
    "fields",
    [
        "9d50 311f 01020304 d704 ab02 08 21 0000beef",  # q = 288
        "9d50 381f 01020304 d704 ab02 08 21 0000beef",  # learned
        "9d50 301f 01020304 d704 ab02 09 01 21 0000beef",  # a limit
        "9d50 301f 01020304 d704 ab02 08 82 0000beef",  # layout 130
        "9d50 301f 01020304 d704 ab02 08",  # cut before the layout
        "9d50 301f 01020304 d704 ab02 08 21 0000be",
    ],
)
def test_damaged_headers(fields):
    with pytest.raises(DamagedError):
        unpack(bytes.fromhex(fields))


def test_payloads_too_long_for_the_tiles():
    unpack(pack(HEADER, [StoredSegment(bytes(6000))]))
    with pytest.raises(DamagedError, match="more than so many pixels"):
        unpack(pack(HEADER, [StoredSegment(bytes(6001))]))


def test_further_flags_need_a_newer_odpiece():
    with pytest.raises(VersionError):
        unpack(bytes.fromhex("9d50 301f 01020304 d704 ab02 38 21 0000beef"))
