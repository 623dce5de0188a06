"""Chunks: alpha and metadata between the header and the payload of an .odp file, and their bytes.

A chunk is a byte of flags and type, the length of its data as a varint, the data, and a CRC-32 of all these;
see formats/container.py. EXIF, ICC profile and XMP are kept as zlib streams, alpha as formats/alpha.py says.
"""

import zlib
from dataclasses import dataclass
from enum import IntEnum

from odpiece.formats.errors import DamagedError, OptionError, VersionError
from odpiece.formats.varints import pack_varint, read_varint

MORE, CRITICAL, TYPE_BITS = 0x80, 0x40, 0x3F
MAX_CHUNK = 1 << 24  # bytes of data, as stored and inflated
SMALL_CHUNK = 64  # bytes of data up to which two bytes of the CRC are stored


class ChunkType(IntEnum):
    """The chunks that this version knows."""

    ALPHA = 1
    EXIF = 2
    ICC = 3
    XMP = 4


CRITICAL_TYPES = (ChunkType.ALPHA,)
METADATA = {"exif": ChunkType.EXIF, "icc": ChunkType.ICC, "xmp": ChunkType.XMP}


@dataclass(frozen=True)
class Chunk:
    """One chunk: its type, 0..63, its data, and whether a reader must know it."""

    type: int
    data: bytes
    critical: bool = False

    def __post_init__(self):
        if len(self.data) > MAX_CHUNK:
            raise OptionError(f"a chunk of {len(self.data)} bytes is too large, give at most {MAX_CHUNK}")

    @property
    def name(self):
        """ "alpha", "exif", ... or the number of an unknown type."""
        return ChunkType(self.type).name.lower() if self.type in set(ChunkType) else str(self.type)


def pack_chunks(chunks):
    """The bytes of a sequence of Chunks."""
    return b"".join(_pack_chunk(chunk, more=i < len(chunks)) for i, chunk in enumerate(chunks, 1))


def read_chunks(data, at, partial=False):
    """(tuple of Chunks, position after them) of the bytes `data` from position `at`.

    Raises DamagedError, where `partial` is false also for a wrong CRC (else such a chunk is left out), and
    VersionError for a critical chunk of a type that is not known.
    """
    chunks, more = [], True
    while more:
        start, head = at, data[at] if at < len(data) else 0
        length, at = read_varint(data, at + 1)
        end = at + length + _crc_bytes(length)
        if length > MAX_CHUNK or end > len(data):
            raise DamagedError("the file ends inside a chunk" if length <= MAX_CHUNK else "a chunk is damaged")
        intact = data[at + length : end] == _crc(data[start : at + length], length)
        if intact:
            chunks.append(_checked(Chunk(head & TYPE_BITS, bytes(data[at : at + length]), bool(head & CRITICAL))))
        elif not partial:
            raise DamagedError(f"chunk {head & TYPE_BITS} is damaged: its checksum does not match")
        more, at = bool(head & MORE), end
    if len({chunk.type for chunk in chunks}) < len(chunks):
        raise DamagedError("the chunks are damaged: a type occurs twice")
    return tuple(chunks), at


def metadata_chunks(metadata):
    """Chunks of a dict with any of the keys "exif", "icc" and "xmp", whose values are bytes; of None none.

    Raises OptionError.
    """
    metadata = _checked_metadata({} if metadata is None else metadata)
    return tuple(
        Chunk(kind, zlib.compress(bytes(metadata[name]), 9)) for name, kind in METADATA.items() if metadata.get(name)
    )


def _checked_metadata(metadata):
    if not isinstance(metadata, dict):
        raise OptionError(f"metadata is of type {type(metadata).__name__}, give a dict of bytes")
    if unknown := set(metadata) - set(METADATA):
        raise OptionError(f"no metadata {', '.join(sorted(map(str, unknown)))}, give {', '.join(METADATA)}")
    for name, value in metadata.items():
        if not (value is None or isinstance(value, (bytes, bytearray, memoryview))):
            raise OptionError(f"metadata {name} is of type {type(value).__name__}, give bytes")
        if value and len(value) > MAX_CHUNK:
            raise OptionError(f"the {name} has {len(value)} bytes, give at most {MAX_CHUNK}")
    return metadata


def metadata_of(chunks):
    """The dict that metadata_chunks was given. Raises DamagedError."""
    by_type = {chunk.type: chunk.data for chunk in chunks}
    return {name: _inflate(by_type[kind], name) for name, kind in METADATA.items() if kind in by_type}


def _pack_chunk(chunk, more):
    head = more * MORE | chunk.critical * CRITICAL | chunk.type
    body = bytes([head]) + pack_varint(len(chunk.data)) + chunk.data
    return body + _crc(body, len(chunk.data))


def _checked(chunk):
    """`chunk`, if this version may read it."""
    known = chunk.type in set(ChunkType)
    if known and chunk.critical != (chunk.type in CRITICAL_TYPES):
        raise DamagedError(f"chunk {chunk.type} is damaged")
    if not known and chunk.critical:
        raise VersionError(f"the file needs a newer odpiece, for its chunk of type {chunk.type}: update odpiece")
    return chunk


def _crc_bytes(length):
    return 2 if length <= SMALL_CHUNK else 4


def _crc(body, length):
    size = _crc_bytes(length)
    return (zlib.crc32(body) & ((1 << 8 * size) - 1)).to_bytes(size, "big")


def _inflate(data, name):
    try:
        stream = zlib.decompressobj()
        out = stream.decompress(data, MAX_CHUNK)
    except zlib.error:
        raise DamagedError(f"the {name} chunk is damaged") from None
    if not stream.eof or stream.unused_data:
        raise DamagedError(f"the {name} chunk is damaged or inflates to more than {MAX_CHUNK} bytes")
    return out
