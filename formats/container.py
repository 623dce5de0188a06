"""The .odp container, version 0.

All numbers are unsigned; those of several bytes are big-endian. A varint is LEB128: seven bits a byte,
low bits first, the high bit set on all bytes but the last, no more bytes than the number needs.

    bytes  field
    2      magic: 9D 50
    2      bits 15-13  version: 0
           bit  12     1 where the limit follows
           bits 11-10  coder: 0 raw, 1 static, 2 learned
           bits 9-0    q - 1, for the quality q = 1..1024
    4      model: the first bytes of the SHA-256 of the weights file
    1-5    width - 1 in pixels, varint
    1-5    height - 1 in pixels, varint
    0-2    limit - 1, varint, where bit 12 is set: the most tokens a piece keeps, 1..q - 1; else it is q
    2 or 4 checksum: CRC-32 (zlib) of the header's bytes before it followed by the token bytes; its low
           two bytes for pictures of at most 64 pieces (64x64 pixels each), else all four
    rest   payload: range coder words, big-endian, without the zero bytes at its end

The token bytes are the pieces' lengths (tokens kept) as little-endian uint16 in raster order, then the
quantized latents of each band, coarse to fine, as little-endian int16 (latents, rows, columns).
"""

import struct
import zlib
from dataclasses import dataclass, replace
from enum import IntEnum

from odpiece.formats.errors import DamagedError, NotOdpError, OptionError, VersionError

MAGIC = b"\x9dP"
VERSION = 0
MAX_SIDE = 1 << 20  # pixels
MAX_PIXELS = 178_956_970  # as Pillow's default limit
LIMIT_FLAG = 1 << 12
SMALL_PIECES = 64  # pictures of at most this many pieces have a checksum of two bytes
MODEL_BYTES = 4
PIECE = 64  # pixels along the side of a piece


class CoderId(IntEnum):
    """How the tokens' probabilities are found."""

    RAW = 0
    STATIC = 1
    LEARNED = 2


@dataclass(frozen=True)
class Header:
    """The checked fields of a header; sizes in pixels, `model` is 4 bytes, `checksum` as stored.

    `limit` is the most tokens a piece keeps: q (also for 0), or less in a file that was truncated.
    """

    width: int
    height: int
    q: int
    coder: CoderId
    model: bytes
    limit: int = 0
    checksum: int = 0

    def __post_init__(self):
        if not 1 <= self.q <= 1024:
            raise OptionError(f"q is {self.q}, give 1 to 1024")
        if not 0 <= self.limit <= self.q:
            raise OptionError(f"the limit is {self.limit}, give 1 to q = {self.q}")
        if self.limit == 0:
            object.__setattr__(self, "limit", self.q)
        if not (1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE):
            raise OptionError(f"{self.width}x{self.height} pixels: sides of 1 to {MAX_SIDE} are supported")
        if self.width * self.height > MAX_PIXELS:
            raise OptionError(f"{self.width}x{self.height} pixels: at most {MAX_PIXELS} are supported")
        if len(self.model) != MODEL_BYTES:
            raise OptionError(f"the model's fingerprint has {len(self.model)} bytes, give {MODEL_BYTES}")

    @property
    def rows(self):
        """Rows of pieces."""
        return -(-self.height // PIECE)

    @property
    def columns(self):
        """Columns of pieces."""
        return -(-self.width // PIECE)

    @property
    def checksum_bytes(self):
        return 2 if self.rows * self.columns <= SMALL_PIECES else 4


def checksum(header, token_bytes):
    """The checksum, an int, that belongs to `header` and these token bytes."""
    crc = zlib.crc32(token_bytes, zlib.crc32(_pack_fields(header)))
    return crc & ((1 << 8 * header.checksum_bytes) - 1)


def pack(header, payload):
    """The bytes of a file from a Header, whose checksum must be set, and its payload."""
    return _pack_fields(header) + header.checksum.to_bytes(header.checksum_bytes, "big") + payload


def unpack(data):
    """(Header, payload bytes) of a file's bytes.

    Raises NotOdpError, VersionError for a newer version, DamagedError for fields that cannot be.
    """
    if data[:2] != MAGIC:
        raise NotOdpError("this is not an .odp file")
    if len(data) < 8:
        raise DamagedError("the file ends inside its header")
    (fields,) = struct.unpack_from(">H", data, 2)
    if fields >> 13 != VERSION:
        raise VersionError(f"the file has version {fields >> 13}, this odpiece reads version {VERSION}: update odpiece")
    coder = fields >> 10 & 3
    if coder not in set(CoderId):
        raise DamagedError("the header is damaged")
    q = (fields & 1023) + 1
    width, at = _read_varint(data, 8)
    height, at = _read_varint(data, at)
    limit, at = _read_varint(data, at) if fields & LIMIT_FLAG else (q - 1, at)
    try:
        header = Header(width + 1, height + 1, q, CoderId(coder), bytes(data[4:8]), limit + 1)
    except OptionError as error:
        raise DamagedError(f"the header is damaged: {error}") from None
    if fields & LIMIT_FLAG and header.limit == q:
        raise DamagedError("the header is damaged: it gives a limit that is none")
    end = at + header.checksum_bytes
    if len(data) < end:
        raise DamagedError("the file ends inside its header")
    return replace(header, checksum=int.from_bytes(data[at:end], "big")), bytes(data[end:])


def _pack_fields(header):
    limited = header.limit < header.q
    fields = VERSION << 13 | limited * LIMIT_FLAG | header.coder << 10 | header.q - 1
    sizes = _pack_varint(header.width - 1) + _pack_varint(header.height - 1)
    return (
        MAGIC + struct.pack(">H", fields) + header.model + sizes + (_pack_varint(header.limit - 1) if limited else b"")
    )


def _pack_varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def _read_varint(data, at):
    """(number, position after it); DamagedError if it is cut, has over 5 bytes or a needless zero byte."""
    number = 0
    for i, byte in enumerate(data[at : at + 5]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            if byte == 0 and i:
                break
            return number, at + i + 1
    raise DamagedError("the file ends inside its header" if len(data) < at + 5 else "the header is damaged")
