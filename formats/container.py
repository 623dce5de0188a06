"""The .odp container, version 1. docs/format.md has this table and all that is below it: tokens, walk, coders.

All numbers are unsigned; those of several bytes are big-endian. A varint is LEB128: seven bits a byte,
low bits first, the high bit set on all bytes but the last, no more bytes than the number needs.

    header
    bytes  field
    2      magic: 9D 50
    2      bits 15-13  version: 1
           bit  12     1 where the flags follow
           bits 11-10  coder: 0 raw, 1 static, 2 learned; 3 is reserved
           bits 9-0    the low bits of q - 1, for the quality q = 1..4096
    4      model: the first bytes of the SHA-256 of the weights file; of the tables file for static tiles
    1-3    width - 1 in pixels, varint, below 2^20
    1-3    height - 1 in pixels, varint, below 2^20
    0-1    flags, where bit 12 is set, and then not all zero
           bits 7-6    the high bits of q - 1
           bits 5-4    scale: 0 the picture is coded at its own size, 1 at 1/2 and 2 at 1/4 along each side; 3 is
                       reserved
           bit  3      1 for tiles: their layout follows
           bit  2      1 where chunks follow the header
           bit  1      1 for a grey picture
           bit  0      1 where the limit follows
    0-2    limit - 1, varint, where flag bit 0 is set: the most tokens a piece keeps, 1..q - 1; else it is q
    0-1    layout, where flag bit 3 is set: 0 the whole picture resized to one tile of 256x256 pixels; 1..129
           tiles of 256x256 that overlap by at least layout - 1 pixels. Such a file has q up to 256, which is
           the tokens of each tile, no limit, a scale of 0, the coder raw or static, and one
           segment
    2 or 4 checksum: CRC-32 (zlib) of the header's bytes before it followed by the token bytes; its low
           two bytes for pictures of at most 64 pieces (64x64 coded pixels each) or 4 tiles, else all four

    chunks, where flag bit 2 is set: one or more, no type twice
    1      bit  7      1 where another chunk follows this one
           bit  6      1 critical: readers that do not know the type give up; 0 ancillary: they skip the chunk
           bits 5-0    type: 1 alpha (critical); 2 EXIF, 3 ICC profile, 4 XMP (ancillary)
    1-4    length of the data, varint, at most 2^24
    length data
    2 or 4 CRC-32 of the chunk's bytes before it; its low two bytes for data of at most 64 bytes, else all four

    segment table, for pictures of two or more segments: for each, in raster order
    1-4    length of its payload, varint
    2      the low two bytes of the CRC-32 of the header's bytes before the checksum followed by the
           segment's token bytes

    payloads
    rest   of one segment: its payload. Of more: 16 rounds; in round r = 0..15, of each segment in raster
           order, the bytes from floor(r * L / 16) to before floor((r + 1) * L / 16) of its L bytes

Segments are rectangles of pieces, at most S pieces along a side: S = 64 up to q = 16, 32 up to q = 64, 16 up to
q = 2048, else 8.
The rows of pieces are parted into n = ceil(rows / S), at floor(i * rows / n), i = 0..n; columns alike.
Token bytes are the pieces' lengths (tokens kept) as little-endian uint16 in raster order, then the quantized
latents of each band, coarse to fine, as little-endian int16 (latents, rows, columns): of the whole picture for
the header's checksum, of the segment alone for the table's. Those of tiles are the tokens as little-endian
uint16, first token of all tiles, second of all tiles, and so on; tiles in raster order.
"""

import struct
import zlib
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from odpiece.formats.chunks import Chunk, pack_chunks, read_chunks
from odpiece.formats.errors import DamagedError, ImageError, NotOdpError, OptionError, VersionError
from odpiece.formats.rounds import interleave, separate
from odpiece.formats.scales import SCALES, by_true_size, small_side
from odpiece.formats.tiles import MOST_TOKENS, Layout
from odpiece.formats.varints import MAX_BYTES, pack_varint, read_varint

MAGIC = b"\x9dP"
VERSION = 1
MAX_SIDE = 1 << 20  # pixels
MAX_PIXELS = 178_956_970  # the default limit of readers, as Pillow's
FLAGS_FOLLOW = 1 << 12
LIMIT_FLAG, GREY_FLAG, CHUNKS_FLAG, TILES_FLAG, SCALE_FLAGS = 1, 2, 4, 8, 16 | 32
SCALE_SHIFT, Q_SHIFT, Q_BITS = 4, 6, 10  # of the flags, and how many bits of q - 1 are not there
LOW_Q, MOST_Q = (1 << Q_BITS) - 1, 4096
SMALL_PIECES, SMALL_TILES = 64, 4  # pictures of at most so many have a checksum of two bytes
MODEL_BYTES = 4
PIECE = 64  # pixels along the side of a piece
SEGMENTS = {16: 64, 64: 32, 2048: 16, MOST_Q: 8}  # up to each q the most pieces along the side of a segment
SEGMENT_CHECKSUM = 2  # bytes
MAX_ROW = MAX_BYTES + SEGMENT_CHECKSUM  # bytes of a row of the segment table
MOST_BYTES = 90_000  # that the payload of a piece can take: all latents escaped, at 54 bits each, and more
MOST_TILE_BYTES = 1_000  # that the payload of a tile can take: 24 bits a token, and more


class CoderId(IntEnum):
    """How the tokens' probabilities are found."""

    RAW = 0
    STATIC = 1
    LEARNED = 2


@dataclass(frozen=True)
class Header:
    """The checked fields of a header; sizes in pixels, `model` is 4 bytes, `checksum` as stored.

    `limit` is the most tokens a piece keeps: q (also for 0), or less in a file that was truncated.
    `has_chunks` says whether chunks follow. `layout` is a Layout for the tokens of tiles, else None. `scale`, of
    SCALES, is how many times smaller the picture is coded along each side: `width` and `height` are its true size, q
    and limit those of the pieces of the small one.
    """

    width: int
    height: int
    q: int
    coder: CoderId
    model: bytes
    limit: int = 0
    checksum: int = 0
    grey: bool = False
    has_chunks: bool = False
    layout: Layout | None = None
    scale: int = 1

    def __post_init__(self):
        if not 1 <= self.q <= MOST_Q:
            raise OptionError(f"q is {self.q}, give 1 to {MOST_Q}")
        if not 0 <= self.limit <= self.q:
            raise OptionError(f"the limit is {self.limit}, give 1 to q = {self.q}")
        if self.limit == 0:
            object.__setattr__(self, "limit", self.q)
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise OptionError(f"{self.width}x{self.height} pixels: sides of 1 to {MAX_SIDE} are supported")
        if len(self.model) != MODEL_BYTES:
            raise OptionError(f"the model's fingerprint has {len(self.model)} bytes, give {MODEL_BYTES}")
        if self.scale not in SCALES:
            raise OptionError(f"the scale is 1/{self.scale}, give 1, 1/2 or 1/4")
        tiles_fit = self.q <= MOST_TOKENS and self.limit == self.q and self.scale == 1
        if self.layout and (self.coder == CoderId.LEARNED or not tiles_fit):
            raise OptionError(f"tiles have at most {MOST_TOKENS} tokens, no limit, no scale, and no learned coder")

    @property
    def coded_size(self):
        """(height, width) of the picture as it is coded."""
        return small_side(self.height, self.scale), small_side(self.width, self.scale)

    @property
    def rows(self):
        """Rows of pieces."""
        return -(-self.coded_size[0] // PIECE)

    @property
    def columns(self):
        """Columns of pieces."""
        return -(-self.coded_size[1] // PIECE)

    @property
    def quality(self):
        """q by the true size: the most tokens for 64x64 pixels of it, a whole number or not."""
        return by_true_size(self.q, self.scale)

    @property
    def segment_side(self):
        """The most pieces along the side of a segment: at most 4096 blocks of the finest band that q reaches."""
        return next(side for q, side in SEGMENTS.items() if self.q <= q)

    @property
    def tiles(self):
        """The number of tiles; 0 for a picture of pieces."""
        return self.layout.count(self.height) * self.layout.count(self.width) if self.layout else 0

    @property
    def segments(self):
        """The number of segments."""
        if self.layout:
            return 1
        return -(-self.rows // self.segment_side) * -(-self.columns // self.segment_side)

    @property
    def checksum_bytes(self):
        return 2 if (self.tiles <= SMALL_TILES if self.layout else self.rows * self.columns <= SMALL_PIECES) else 4

    @property
    def most_bytes(self):
        """More than the payload of a file of one segment can take."""
        return MOST_TILE_BYTES * self.tiles if self.layout else MOST_BYTES * self.rows * self.columns

    @property
    def flags(self):
        kinds = self.grey * GREY_FLAG | self.has_chunks * CHUNKS_FLAG | bool(self.layout) * TILES_FLAG
        numbers = SCALES.index(self.scale) << SCALE_SHIFT | (self.q - 1 >> Q_BITS) << Q_SHIFT
        return (self.limit < self.q) * LIMIT_FLAG | kinds | numbers


class StoredSegment(NamedTuple):
    """A segment as stored: `checksum` is None where the file has one segment, `whole` false where it was cut."""

    payload: bytes
    checksum: int | None = None
    whole: bool = True


class File(NamedTuple):
    """All parts of a file."""

    header: Header
    chunks: tuple[Chunk, ...]
    segments: tuple[StoredSegment, ...]


def checksum(header, *token_bytes):
    """The checksum, an int, that belongs to `header` and these token bytes, in one or several buffers."""
    return _crc(header, token_bytes) & ((1 << 8 * header.checksum_bytes) - 1)


def segment_checksum(header, *token_bytes):
    """The checksum, an int, of a segment with these token bytes, as above."""
    return _crc(header, token_bytes) & ((1 << 8 * SEGMENT_CHECKSUM) - 1)


def pack(header, segments, chunks=()):
    """The bytes of a file from a Header, whose checksum must be set, its StoredSegments and Chunks."""
    parts = [_pack_fields(header), header.checksum.to_bytes(header.checksum_bytes, "big"), pack_chunks(chunks)]
    if len(segments) > 1:
        parts += [pack_varint(len(s.payload)) + s.checksum.to_bytes(SEGMENT_CHECKSUM, "big") for s in segments]
    return b"".join(parts) + interleave([segment.payload for segment in segments])


def unpack(data, *, max_pixels=MAX_PIXELS, partial=False):
    """The File of a file's bytes; where `partial` is true its end may be missing, and damaged chunks are left out.

    Raises NotOdpError, VersionError for another version or an unknown critical chunk, ImageError for more
    pixels than `max_pixels`, DamagedError for fields that cannot be.
    """
    header, at = unpack_header(data, max_pixels=max_pixels)
    chunks, at = read_chunks(data, at, partial) if header.has_chunks else ((), at)
    if header.segments == 1:
        return File(header, chunks, (StoredSegment(_checked_payload(data, at, header, len(data) - at)),))
    return File(header, chunks, _read_segments(data, at, header, partial))


def unpack_header(data, *, max_pixels=MAX_PIXELS):
    """(Header, position after it) of a file's bytes, of which 24 are enough. Raises as `unpack` does."""
    if data[:2] != MAGIC:
        raise NotOdpError("this is not an .odp file")
    if len(data) < 8:
        raise DamagedError("the file ends inside its header")
    (fields,) = struct.unpack_from(">H", data, 2)
    _check_version(fields >> 13)
    width, at = read_varint(data, 8)
    height, at = read_varint(data, at)
    flags, at = _read_flags(data, at) if fields & FLAGS_FOLLOW else (0, at)
    q = (fields & LOW_Q | flags >> Q_SHIFT << Q_BITS) + 1
    limit, at = read_varint(data, at) if flags & LIMIT_FLAG else (q - 1, at)
    kinds = {"grey": bool(flags & GREY_FLAG), "has_chunks": bool(flags & CHUNKS_FLAG)}
    kinds["scale"] = SCALES[(flags & SCALE_FLAGS) >> SCALE_SHIFT]
    layout, at = _read_byte(data, at) if flags & TILES_FLAG else (None, at)
    try:
        coder, layout = CoderId(fields >> Q_BITS & 3), None if layout is None else Layout.of_code(layout)
        header = Header(width + 1, height + 1, q, coder, bytes(data[4:8]), limit + 1, layout=layout, **kinds)
    except ValueError as error:  # OptionError is one, too
        raise DamagedError(f"the header is damaged: {error}") from None
    if header.flags != flags:
        raise DamagedError("the header is damaged: it gives a limit that is none")
    if header.width * header.height > max_pixels:
        raise ImageError(f"{header.width}x{header.height} pixels, the limit is {max_pixels}: --max-pixels allows more")
    end = at + header.checksum_bytes
    if len(data) < end:
        raise DamagedError("the file ends inside its header")
    return replace(header, checksum=int.from_bytes(data[at:end], "big")), end


def _check_version(version):
    if version == 0:
        raise VersionError("the file has version 0, which was never released: encode its picture again")
    if version != VERSION:
        raise VersionError(f"the file has version {version}, this odpiece reads version {VERSION}: update odpiece")


def _read_byte(data, at):
    if at == len(data):
        raise DamagedError("the file ends inside its header")
    return data[at], at + 1


def _read_flags(data, at):
    flags, at = _read_byte(data, at)
    if (flags & SCALE_FLAGS) >> SCALE_SHIFT >= len(SCALES):
        raise VersionError("the file has flags that this odpiece does not know: update odpiece")
    if flags == 0:
        raise DamagedError("the header is damaged: it announces flags and has none")
    return flags, at


def _pack_fields(header):
    fields = VERSION << 13 | bool(header.flags) * FLAGS_FOLLOW | header.coder << Q_BITS | header.q - 1 & LOW_Q
    sizes = pack_varint(header.width - 1) + pack_varint(header.height - 1)
    flags = bytes([header.flags]) if header.flags else b""
    limit = pack_varint(header.limit - 1) if header.flags & LIMIT_FLAG else b""
    layout = bytes([header.layout.code]) if header.layout else b""
    return MAGIC + struct.pack(">H", fields) + header.model + sizes + flags + limit + layout


def _crc(header, token_bytes):
    crc = zlib.crc32(_pack_fields(header))
    for part in token_bytes:
        crc = zlib.crc32(part, crc)
    return crc


def _checked_payload(data, at, header, length):
    if length > header.most_bytes:
        raise DamagedError(f"the file is damaged: {length} bytes are more than so many pixels can take")
    return bytes(data[at : at + length])


def _read_segments(data, at, header, partial):
    """The StoredSegments of a file of more than one, whose table starts at `at`."""
    table, at = _read_table(data, at, header.segments)
    if at > len(data):
        if not partial:
            raise DamagedError(f"the file is cut or damaged: it is too short for {header.segments} segments")
        return (StoredSegment(b"", whole=False),) * header.segments
    lengths = [length for length, _ in table]
    if max(lengths) > MOST_BYTES * header.segment_side**2:
        raise DamagedError("the segment table is damaged")
    if sum(lengths) != len(data) - at and not partial:
        raise DamagedError("the file is cut or damaged: its segments take more or fewer bytes than there are")
    payloads = separate(bytes(data[at:]), lengths)
    return tuple(
        StoredSegment(payload, stored, len(payload) == length) for payload, (length, stored) in zip(payloads, table)
    )


def _read_table(data, at, segments):
    """([(length, checksum)], position after them) of a segment table; a position beyond the end where it is cut."""
    padded, table = bytes(data) + b"\1" * MAX_ROW, []
    while len(table) < segments and at <= len(data):
        length, at = read_varint(padded, at)
        table.append((length, int.from_bytes(padded[at : at + SEGMENT_CHECKSUM], "big")))
        at += SEGMENT_CHECKSUM
    return table, at
