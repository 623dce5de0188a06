"""The .odp container: round trips, bytes written out by hand from the layout, and every way to be damaged."""

import os
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odpiece.formats.chunks import Chunk
from odpiece.formats.container import MAX_SIDE, CoderId, Header, StoredSegment, checksum, pack, unpack
from odpiece.formats.errors import DamagedError, ImageError, NotOdpError, OptionError, VersionError
from odpiece.formats.scales import SCALES

MODEL = b"\x01\x02\x03\x04"
START = b"\x9d\x50\x24\x3f" + MODEL  # version 1, static coder, q = 64
SMALL_MEMORY = 1 << 20  # bytes


@st.composite
def headers(draw):
    """Of pictures of one segment."""
    side = st.integers(1, 512)
    width, height = draw(side), draw(side)
    q = draw(st.integers(1, 4096))
    header = Header(
        width,
        height,
        q,
        draw(st.sampled_from(CoderId)),
        draw(st.binary(min_size=4, max_size=4)),
        limit=draw(st.integers(1, q)),
        grey=draw(st.booleans()),
        scale=draw(st.sampled_from(SCALES)),
    )
    return replace(header, checksum=draw(st.integers(0, 256**header.checksum_bytes - 1)))


def header_bytes(width=b"\xff\x01", height=b"\xff\x01", fields=b"\x24\x3f", crc=b"\xbe\xef"):
    """A header by its stored parts; the picture is 256x256 unless told otherwise."""
    return b"\x9d\x50" + fields + MODEL + width + height + crc


def one(payload):
    """The segments of a file that has one."""
    return (StoredSegment(payload),)


@st.composite
def chunks(draw):
    kinds = draw(st.lists(st.integers(2, 63), unique=True, max_size=4))
    data = st.one_of(st.binary(max_size=80), st.just(bytes(300)))
    alpha = [Chunk(1, draw(data), critical=True)] if draw(st.booleans()) else []
    return tuple(alpha + [Chunk(kind, draw(data)) for kind in kinds])


@given(headers(), st.binary(max_size=40), chunks())
def test_unpack_gives_what_was_packed(header, payload, chunks):
    header = replace(header, has_chunks=bool(chunks))
    assert unpack(pack(header, one(payload), chunks)) == (header, chunks, one(payload))


@given(st.integers(1025, 5000), st.integers(1, 5000), st.integers(0, 2**32 - 1))
def test_unpack_gives_the_segments_that_were_packed(width, height, crc):
    header = Header(width, height, 500, CoderId.RAW, MODEL)
    header = replace(header, checksum=crc % 256**header.checksum_bytes)
    sizes = np.random.default_rng(crc).integers(0, 300, header.segments).tolist()
    segments = tuple(StoredSegment(bytes(range(256))[-size:] * 2, size * 7) for size in sizes)
    assert unpack(pack(header, segments)) == (header, (), segments)


@given(st.binary(max_size=30))
def test_what_can_be_read_is_written_the_same(tail):
    """No two headers mean the same: whatever unpack accepts, pack gives back byte by byte."""
    data = b"\x9d\x50" + tail
    try:
        header, chunks, segments = unpack(data)
    except (DamagedError, VersionError, ImageError):
        return
    assert pack(header, segments, chunks) == data


@pytest.mark.parametrize(
    "header, stored",
    [
        (Header(256, 256, 64, CoderId.STATIC, MODEL, checksum=0xBEEF), "9d50 243f 01020304 ff01 ff01 beef"),
        (Header(1, 128, 1, CoderId.RAW, b"\xff\xfe\xfd\xfc", checksum=0x0001), "9d50 2000 fffefdfc 00 7f 0001"),
        (Header(129, 1, 1024, CoderId.LEARNED, MODEL, checksum=0), "9d50 2bff 01020304 8001 00 0000"),
        (Header(1000, 900, 513, CoderId.STATIC, MODEL, checksum=0x01234567), "9d50 2600 01020304 e707 8307 01234567"),
        (
            Header(256, 256, 64, CoderId.STATIC, MODEL, checksum=0xBEEF, grey=True),
            "9d50 343f 01020304 ff01 ff01 02 beef",
        ),
        (
            Header(256, 256, 64, CoderId.STATIC, MODEL, limit=16, checksum=0xBEEF),
            "9d50 343f 01020304 ff01 ff01 01 0f beef",
        ),
        (
            Header(256, 256, 1024, CoderId.LEARNED, MODEL, limit=200, checksum=0xBEEF),
            "9d50 3bff 01020304 ff01 ff01 01 c701 beef",
        ),
        (
            Header(1000, 900, 64, CoderId.STATIC, MODEL, checksum=0xBEEF, scale=2),
            "9d50 343f 01020304 e707 8307 10 beef",
        ),
        (
            Header(1025, 900, 64, CoderId.STATIC, MODEL, limit=16, checksum=0xBEEF, grey=True, scale=4),
            "9d50 343f 01020304 8008 8307 23 0f beef",
        ),
        (Header(256, 256, 1025, CoderId.RAW, MODEL, checksum=0xBEEF), "9d50 3000 01020304 ff01 ff01 40 beef"),
        (Header(256, 256, 4096, CoderId.LEARNED, MODEL, checksum=0xBEEF), "9d50 3bff 01020304 ff01 ff01 c0 beef"),
        (
            Header(256, 256, 2049, CoderId.STATIC, MODEL, limit=1024, checksum=0xBEEF, grey=True, scale=4),
            "9d50 3400 01020304 ff01 ff01 a3 ff07 beef",
        ),
    ],
)
def test_golden_bytes(header, stored):
    """Written out by hand from the layout in the docstring of formats/container.py."""
    assert pack(header, one(b"pay")) == bytes.fromhex(stored) + b"pay"
    assert unpack(bytes.fromhex(stored) + b"pay") == (header, (), one(b"pay"))


def test_golden_bytes_of_chunks():
    """Written out by hand, but for the CRCs: alpha, then EXIF of 65 bytes, then an unknown ancillary chunk."""
    header = Header(256, 256, 64, CoderId.STATIC, MODEL, checksum=0xBEEF, has_chunks=True)
    exif = bytes(65)
    chunks = (Chunk(1, b"\x00\x7f", critical=True), Chunk(2, exif), Chunk(9, b""))
    bodies = [b"\xc1\x02\x00\x7f", b"\x82\x41" + exif, b"\x09\x00"]
    crcs = [zlib.crc32(body).to_bytes(4, "big")[-size:] for body, size in zip(bodies, (2, 4, 2))]
    stored = bytes.fromhex("9d50 343f 01020304 ff01 ff01 04 beef") + b"".join(map(b"".join, zip(bodies, crcs))) + b"pay"
    assert pack(header, one(b"pay"), chunks) == stored
    assert unpack(stored) == (header, chunks, one(b"pay"))


def test_golden_bytes_of_segments():
    """Two segments of 16 and of 33 bytes: a byte of the first, then two of the second, three in the last round."""
    header = Header(1025, 64, 128, CoderId.STATIC, MODEL, checksum=0xBEEF)
    a, b = bytes(range(16)), bytes(range(100, 133))
    segments = StoredSegment(a, 0x0102), StoredSegment(b, 0x0304)
    rounds = b"".join(a[r : r + 1] + b[2 * r : 2 * r + 2 + (r == 15)] for r in range(16))
    stored = bytes.fromhex("9d50 247f 01020304 8008 3f beef 10 0102 21 0304") + rounds
    assert pack(header, segments) == stored
    assert unpack(stored) == (header, (), segments)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_cut_file_holds_the_first_part_of_every_segment(share):
    header = Header(3000, 2000, 128, CoderId.STATIC, MODEL)
    segments = [StoredSegment(os.urandom(160 * (i + 1)), i) for i in range(6)]
    data = pack(header, segments)
    size = round(share * sum(len(s.payload) for s in segments))
    cut = data[: len(data) - sum(len(s.payload) for s in segments) + size]
    with pytest.raises(DamagedError):
        unpack(cut)
    got = unpack(cut, partial=True).segments
    assert sum(len(part.payload) for part in got) == size and not all(part.whole for part in got)
    for part, segment in zip(got, segments):
        assert segment.payload.startswith(part.payload) and part.checksum == segment.checksum
        assert abs(len(part.payload) / len(segment.payload) - share) <= 1 / 16


def test_pieces_and_segments_are_those_of_the_small_picture():
    whole, small = (Header(2050, 1000, 500, CoderId.RAW, MODEL, scale=scale) for scale in (1, 4))
    assert (whole.rows, whole.columns, whole.segments, whole.checksum_bytes, whole.quality) == (16, 33, 3, 4, 500)
    assert (small.rows, small.columns, small.segments, small.checksum_bytes, small.quality) == (4, 9, 1, 2, 31.25)
    assert small.coded_size == (250, 513)
    assert replace(small, q=64, limit=64).quality == 4


@pytest.mark.parametrize("change", [-1, 1])
def test_segments_must_take_all_bytes(change):
    header = Header(1025, 64, 128, CoderId.STATIC, MODEL)
    data = pack(header, [StoredSegment(b"abc", 1), StoredSegment(b"defg", 2)])
    with pytest.raises(DamagedError):
        unpack(data + b"x" if change > 0 else data[:-1])


def test_unknown_chunks():
    header = Header(256, 256, 64, CoderId.STATIC, MODEL, has_chunks=True)
    assert unpack(pack(header, one(b"pay"), [Chunk(40, b"data")])).chunks == (Chunk(40, b"data"),)
    with pytest.raises(VersionError, match="type 40: update odpiece"):
        unpack(pack(header, one(b"pay"), [Chunk(40, b"data", critical=True)]))


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([Chunk(5, b"a"), Chunk(5, b"b")], id="twice"),
        pytest.param([Chunk(1, b"\0\0")], id="ancillary alpha"),
        pytest.param([Chunk(2, b"data", critical=True)], id="critical EXIF"),
    ],
)
def test_chunks_that_cannot_be(chunks):
    with pytest.raises(DamagedError):
        unpack(pack(Header(9, 9, 1, CoderId.RAW, MODEL, has_chunks=True), one(b""), chunks))


@pytest.mark.parametrize("size", [0, 2, 64, 65])
def test_every_flipped_bit_of_a_chunk_is_noticed(size):
    """In its data, for sure; else it may become another valid chunk or none, but with two bytes of CRC never did."""
    data = pack(Header(9, 9, 1, CoderId.RAW, MODEL, has_chunks=True), one(b""), [Chunk(7, bytes(size))])
    start = len(data) - size - (4 if size <= 64 else 6)
    for bit in range(8 * start, 8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 128 >> bit % 8
        with pytest.raises((DamagedError, VersionError)):
            unpack(bytes(changed))
        if 8 * (start + 2) <= bit:
            assert unpack(bytes(changed), partial=True).chunks == ()


@pytest.mark.parametrize("coder", CoderId)
def test_header_of_256x256_is_14_bytes_and_one_more_above_1024(coder):
    for qualities, size in ((range(1, 1025), 14), (range(1025, 4097), 15)):
        assert {len(pack(Header(256, 256, q, coder, MODEL), one(b""))) for q in qualities} == {size}


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
    "header", [header_bytes(), header_bytes(b"\xff\x07", b"\x7f", crc=b"\0\0"), header_bytes(b"\0", b"\0")]
)
def test_every_cut_of_a_header_is_an_error(header):
    assert unpack(header).segments == one(b"")
    for size in range(len(header)):
        with pytest.raises(NotOdpError if size < 2 else DamagedError):
            unpack(header[:size])


@pytest.mark.parametrize("version", range(2, 8))
@pytest.mark.parametrize("rest", [b"\x3f" + bytes(30), b"\xff" * 30])
def test_newer_versions_are_named(version, rest):
    """Whatever follows the version may mean something else there, so nothing else is looked at."""
    for low_bits in (0x00, 0x1F):
        with pytest.raises(VersionError, match=f"version {version}"):
            unpack(b"\x9d\x50" + bytes([version << 5 | low_bits]) + rest)


def test_version_0_was_never_released():
    with pytest.raises(VersionError, match="never released"):
        unpack(b"\x9d\x50\x0b\xff" + bytes(30))


@pytest.mark.parametrize("flags", [48, 49, 112, 176, 240, 255])
def test_reserved_flags_need_a_newer_odpiece(flags):
    with pytest.raises(VersionError, match="update odpiece"):
        unpack(header_bytes(fields=b"\x34\x3f", crc=bytes([flags]) + b"\xbe\xef"))


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(header_bytes(fields=b"\x34\x3f", crc=b"\x01\x3f\xbe\xef"), id="limit of q"),
        pytest.param(header_bytes(fields=b"\x34\x3f", crc=b"\x01\x40\xbe\xef"), id="limit above q"),
        pytest.param(header_bytes(fields=b"\x2c\x3f"), id="unknown coder"),
        pytest.param(header_bytes(fields=b"\x34\x3f", crc=b"\x00\xbe\xef"), id="no flags"),
        pytest.param(header_bytes(fields=b"\x34\x3f", crc=b"\x41\xbf\x08\xbe\xef"), id="limit of a q above 1024"),
        pytest.param(header_bytes(fields=b"\x34\x3f", crc=b"\x48\x00\xbe\xef"), id="tiles of a q above 1024"),
        pytest.param(header_bytes(b"\xff\xff\x3f", b"\x7f"), id="no segment table"),
        pytest.param(header_bytes(b"\xff\x3f", b"\xff\x3f") + bytes(185), id="a table too short for 64 segments"),
        pytest.param(header_bytes(width=b"\xff\x81\x00"), id="needless zero byte in width"),
        pytest.param(header_bytes(height=b"\x80\x00"), id="needless zero byte in height"),
        pytest.param(header_bytes(width=b"\x81\x80\x80\x80\x80\x01"), id="width of six bytes"),
        pytest.param(header_bytes(height=b"\xff" * 12), id="height without end"),
        pytest.param(header_bytes(width=b"\x80\x80\x40", height=b"\x00"), id="width of MAX_SIDE + 1"),
        pytest.param(header_bytes(width=b"\x00", height=b"\x80\x80\x40"), id="height of MAX_SIDE + 1"),
        pytest.param(header_bytes(b"\x00", b"\x00") + bytes(90_001), id="a payload that is too long"),
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


@pytest.mark.parametrize("sides", [b"\xff\xff\x03" * 2, b"\xff\xff\x3f" * 2], ids=["65535", "MAX_SIDE"])
def test_pixels_above_the_limit_cost_nothing(sides):
    data = header_bytes(sides[:3], sides[3:]) + bytes(40)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match="--max-pixels"):
            unpack(data)
        with pytest.raises(DamagedError, match="too short"):
            unpack(data, max_pixels=1 << 41)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < SMALL_MEMORY


def test_the_limit_of_pixels_is_the_last_that_is_read():
    data = pack(Header(100, 90, 1, CoderId.RAW, MODEL), one(b""))
    assert unpack(data, max_pixels=9000).header.width == 100
    with pytest.raises(ImageError, match="100x90 pixels, the limit is 8999"):
        unpack(data, max_pixels=8999)


@pytest.mark.parametrize(
    "wrong",
    [
        {"q": 0},
        {"q": 4097},
        {"q": -1},
        {"limit": 2},
        {"limit": -1},
        {"width": 0},
        {"height": 0},
        {"width": MAX_SIDE + 1},
        {"height": MAX_SIDE + 1},
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
        pack(Header(10, 20, 1, CoderId.RAW, model), one(b""))


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
        {"q": 65, "limit": 65},
        {"q": 64 + 1024, "limit": 64 + 1024},
        {"q": 64 + 2048, "limit": 64 + 2048},
        {"limit": 63},
        {"grey": True},
        {"has_chunks": True},
        {"coder": CoderId.RAW},
        {"model": b"\x01\x02\x03\x05"},
    ],
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
