"""The .odp header: round trips, bytes written out by hand from the layout, and every way to be damaged."""

import tracemalloc
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odpiece.formats.container import MAX_PIXELS, MAX_SIDE, CoderId, Header, checksum, pack, unpack
from odpiece.formats.errors import DamagedError, NotOdpError, OptionError, VersionError

MODEL = b"\x01\x02\x03\x04"
START = b"\x9d\x50\x04\x3f" + MODEL  # version 0, static coder, q = 64
SMALL_MEMORY = 1 << 20  # bytes


@st.composite
def headers(draw):
    width = draw(st.integers(1, MAX_SIDE))
    height = draw(st.integers(1, min(MAX_SIDE, MAX_PIXELS // width)))
    if draw(st.booleans()):
        width, height = height, width
    q = draw(st.integers(1, 1024))
    header = Header(
        width,
        height,
        q,
        draw(st.sampled_from(CoderId)),
        draw(st.binary(min_size=4, max_size=4)),
        limit=draw(st.integers(1, q)),
    )
    return replace(header, checksum=draw(st.integers(0, 256**header.checksum_bytes - 1)))


def header_bytes(width=b"\xff\x01", height=b"\xff\x01", fields=b"\x04\x3f", crc=b"\xbe\xef"):
    """A header by its stored parts; the picture is 256x256 unless told otherwise."""
    return b"\x9d\x50" + fields + MODEL + width + height + crc


@given(headers(), st.binary(max_size=40))
def test_unpack_gives_what_was_packed(header, payload):
    assert unpack(pack(header, payload)) == (header, payload)


@given(st.binary(max_size=30))
def test_what_can_be_read_is_written_the_same(tail):
    """No two headers mean the same: whatever unpack accepts, pack gives back byte by byte."""
    data = b"\x9d\x50" + tail
    try:
        header, payload = unpack(data)
    except (DamagedError, VersionError):
        return
    assert pack(header, payload) == data


@pytest.mark.parametrize(
    "header, stored",
    [
        (Header(256, 256, 64, CoderId.STATIC, MODEL, checksum=0xBEEF), "9d50 043f 01020304 ff01 ff01 beef"),
        (Header(1, 128, 1, CoderId.RAW, b"\xff\xfe\xfd\xfc", checksum=0x0001), "9d50 0000 fffefdfc 00 7f 0001"),
        (Header(129, 1, 1024, CoderId.LEARNED, MODEL, checksum=0), "9d50 0bff 01020304 8001 00 0000"),
        (Header(4000, 3000, 513, CoderId.STATIC, MODEL, checksum=0x01234567), "9d50 0600 01020304 9f1f b717 01234567"),
        (Header(1048576, 1, 2, CoderId.STATIC, MODEL, checksum=0xDEADBEEF), "9d50 0401 01020304 ffff3f 00 deadbeef"),
        (
            Header(256, 256, 64, CoderId.STATIC, MODEL, limit=16, checksum=0xBEEF),
            "9d50 143f 01020304 ff01 ff01 0f beef",
        ),
        (
            Header(256, 256, 1024, CoderId.LEARNED, MODEL, limit=200, checksum=0xBEEF),
            "9d50 1bff 01020304 ff01 ff01 c701 beef",
        ),
    ],
)
def test_golden_bytes(header, stored):
    """Written out by hand from the layout in the docstring of formats/container.py."""
    assert pack(header, b"pay") == bytes.fromhex(stored) + b"pay"
    assert unpack(bytes.fromhex(stored) + b"pay") == (header, b"pay")


@pytest.mark.parametrize("coder", CoderId)
def test_header_of_256x256_is_at_most_14_bytes_at_every_q(coder):
    sizes = {len(pack(Header(256, 256, q, coder, MODEL), b"")) for q in range(1, 1025)}
    assert max(sizes) <= 14


@pytest.mark.parametrize(
    "width, height, size",
    [(1, 1, 2), (512, 512, 2), (513, 512, 4), (512, 513, 4), (4096, 64, 2), (4097, 64, 4), (64, 4097, 4)],
)
def test_checksum_has_two_bytes_up_to_64_pieces(width, height, size):
    assert Header(width, height, 1, CoderId.RAW, MODEL).checksum_bytes == size


@pytest.mark.parametrize("width, rows_columns", [(1, (1, 1)), (64, (1, 1)), (65, (1, 2)), (640, (1, 10))])
def test_rows_and_columns_count_begun_pieces(width, rows_columns):
    header = Header(width, 64, 1, CoderId.RAW, MODEL)
    assert (header.rows, header.columns) == rows_columns


@pytest.mark.parametrize("data", [b"", b"\x9d", b"P", b"\x9dQ" + bytes(30), b"\x89PNG\r\n\x1a\n", bytes(30)])
def test_foreign_bytes_are_no_odp(data):
    with pytest.raises(NotOdpError):
        unpack(data)


@pytest.mark.parametrize(
    "header", [header_bytes(), header_bytes(b"\xff\xff\x3f", b"\x00", crc=b"\0\0\0\0"), header_bytes(b"\0", b"\0")]
)
def test_every_cut_of_a_header_is_an_error(header):
    assert unpack(header)[1] == b""
    for size in range(len(header)):
        with pytest.raises(NotOdpError if size < 2 else DamagedError):
            unpack(header[:size])


@pytest.mark.parametrize("version", range(1, 8))
@pytest.mark.parametrize("rest", [b"\x3f" + bytes(30), b"\xff" * 30])
def test_newer_versions_are_named(version, rest):
    """Whatever follows the version may mean something else there, so nothing else is looked at."""
    for low_bits in (0x00, 0x1F):
        with pytest.raises(VersionError, match=f"version {version}"):
            unpack(b"\x9d\x50" + bytes([version << 5 | low_bits]) + rest)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(header_bytes(fields=b"\x14\x3f", crc=b"\x3f\xbe\xef"), id="limit of q"),
        pytest.param(header_bytes(fields=b"\x14\x3f", crc=b"\x40\xbe\xef"), id="limit above q"),
        pytest.param(header_bytes(fields=b"\x0c\x3f"), id="unknown coder"),
        pytest.param(header_bytes(width=b"\xff\x81\x00"), id="needless zero byte in width"),
        pytest.param(header_bytes(height=b"\x80\x00"), id="needless zero byte in height"),
        pytest.param(header_bytes(width=b"\x81\x80\x80\x80\x80\x01"), id="width of six bytes"),
        pytest.param(header_bytes(height=b"\xff" * 12), id="height without end"),
        pytest.param(header_bytes(width=b"\x80\x80\x40", height=b"\x00"), id="width of MAX_SIDE + 1"),
        pytest.param(header_bytes(width=b"\x00", height=b"\x80\x80\x40"), id="height of MAX_SIDE + 1"),
        pytest.param(header_bytes(b"\xff\xff\x3f", b"\xff\xff\x3f"), id="MAX_SIDE x MAX_SIDE"),
        pytest.param(header_bytes(b"\xff\xff\xff\xff\x7f", b"\xff\xff\xff\xff\x7f"), id="largest varints"),
    ],
)
def test_impossible_headers_are_damaged_and_cost_nothing(damaged):
    tracemalloc.start()
    try:
        with pytest.raises(DamagedError):
            unpack(damaged + bytes(8))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < SMALL_MEMORY


def test_the_largest_picture_is_accepted_and_one_row_more_is_not():
    width = 1 << 14
    height = MAX_PIXELS // width
    header = Header(width, height, 1, CoderId.RAW, MODEL)
    data = pack(header, b"")
    assert unpack(data) == (header, b"")
    assert data[8:12] == b"\xff\x7f" + bytes([height - 1 & 127 | 128, height - 1 >> 7])
    row_more = bytes([height & 127 | 128, height >> 7])
    with pytest.raises(DamagedError):
        unpack(data[:10] + row_more + data[12:])


@pytest.mark.parametrize(
    "wrong",
    [
        {"q": 0},
        {"q": 1025},
        {"q": -1},
        {"limit": 2},
        {"limit": -1},
        {"width": 0},
        {"height": 0},
        {"width": MAX_SIDE + 1},
        {"height": MAX_SIDE + 1},
        {"width": MAX_SIDE, "height": MAX_SIDE},
    ],
)
def test_headers_outside_the_format_cannot_be_made(wrong):
    good = {"width": 10, "height": 20, "q": 1, "coder": CoderId.RAW, "model": MODEL}
    assert Header(**good).width == 10
    with pytest.raises(OptionError):
        Header(**good | wrong)


@pytest.mark.parametrize("model", [b"", b"\1\2\3", b"\1\2\3\4\5"])
def test_a_fingerprint_of_another_length_never_becomes_a_file(model):
    with pytest.raises(OptionError):
        pack(Header(10, 20, 1, CoderId.RAW, model), b"")


@pytest.mark.parametrize("width, stored, crc_bytes", [(256, b"\xff\x01", 2), (1000, b"\xe7\x07", 4)])
def test_checksum_is_the_crc_of_header_and_tokens(width, stored, crc_bytes):
    """The oracle is zlib over bytes put together by hand."""
    crc = zlib.crc32(START + stored + b"\xe7\x07" + b"some tokens")
    assert checksum(Header(width, 1000, 64, CoderId.STATIC, MODEL), b"some tokens") == crc % 256**crc_bytes


@pytest.mark.parametrize(
    "change",
    [
        {"width": 1001},
        {"height": 901},
        {"q": 65},
        {"limit": 63},
        {"coder": CoderId.RAW},
        {"model": b"\x01\x02\x03\x05"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_checksum_depends_on_every_field(change):
    header = Header(1000, 900, 64, CoderId.STATIC, MODEL)
    assert checksum(replace(header, **change), b"tokens") != checksum(header, b"tokens")


@given(st.binary(min_size=1, max_size=50), st.data())
def test_checksum_depends_on_every_token_byte(tokens, data):
    """In a picture with a whole CRC-32, which finds every change within one byte."""
    header = Header(1000, 900, 64, CoderId.STATIC, MODEL)
    at = data.draw(st.integers(0, len(tokens) - 1))
    change = data.draw(st.integers(1, 255))
    changed = tokens[:at] + bytes([tokens[at] ^ change]) + tokens[at + 1 :]
    assert checksum(header, changed) != checksum(header, tokens)


def test_checksum_does_not_depend_on_the_stored_checksum():
    header = Header(1000, 900, 64, CoderId.STATIC, MODEL)
    assert checksum(replace(header, checksum=5), b"tokens") == checksum(header, b"tokens")
