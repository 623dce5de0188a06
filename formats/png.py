"""PNG files of 8-bit pixels, made in bands of rows by all cores.

Rows are predicted by Paeth's filter and what is left is Huffman-coded, with runs of one value but without a search for
other repeats (zlib's Z_RLE): of decoded photographs that is as small as Pillow's level 4 in half of its time, see
docs/decisions/speed.md. Each band is a deflate stream that ends on a whole byte, so that one after another they are
one.
"""

import os
import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ZLIB_HEADER = b"\x78\x01"
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by channels
PIXEL_CHUNKS = (b"IHDR", b"IDAT", b"IEND")
PAETH = 4
BAND_BYTES = 1 << 18  # that fit a core's cache with all that the filter makes of them


def pack_png(pixels, chunks=b""):
    """The bytes of a PNG file of uint8 (H, W) grey, (H, W, 2) with alpha, (H, W, 3) or (H, W, 4).

    `chunks` are bytes of further chunks, which come before the pixels.
    """
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    channels = rows.shape[1] // width
    header = struct.pack(">2I5B", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    parts = [SIGNATURE, pack_chunk(b"IHDR", header), chunks]
    parts += [pack_chunk(b"IDAT", data) for data in _deflated(rows, channels)]
    return b"".join([*parts, pack_chunk(b"IEND", b"")])


def pack_chunk(kind, data):
    """The bytes of a chunk of 4 letters `kind`."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def unpack_chunks(data):
    """The chunks, (kind, data), in the bytes of a sound PNG file."""
    at = len(SIGNATURE)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _deflated(rows, channels):
    """The parts of a zlib stream of filtered `rows`, uint8 (H, W * channels)."""
    height, size = rows.shape
    step = max(1, BAND_BYTES // size)

    def band(top):
        filtered = _paeth(rows[max(0, top - 1) : top + step], channels, first=top == 0)
        packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_RLE)
        end = zlib.Z_FINISH if top + step >= height else zlib.Z_SYNC_FLUSH
        return packer.compress(filtered) + packer.flush(end), zlib.adler32(filtered), filtered.size

    check = 1
    yield ZLIB_HEADER
    for data, part, length in _in_threads(band, range(0, height, step)):
        check = _joined_adler(check, part, length)
        yield data
    yield struct.pack(">I", check)


def _in_threads(function, items):
    if len(items) == 1:
        yield function(items[0])
        return
    from concurrent.futures import ThreadPoolExecutor  # takes long to load

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(function, items)


def _joined_adler(a, b, length):
    """Adler-32 of two buffers, one after another, from those of both and the second one's length."""
    prime = 65521
    low = ((a & 0xFFFF) + (b & 0xFFFF) - 1) % prime
    high = ((a >> 16) + (b >> 16) + length * ((a & 0xFFFF) - 1)) % prime
    return high << 16 | low


def _paeth(rows, channels, first):
    """uint8 (n, 1 + size): rows after the first, which is only looked at unless it is the picture's, filtered."""
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]]) if first else rows[:-1]
    rows = rows if first else rows[1:]
    out = np.empty((len(rows), 1 + rows.shape[1]), dtype=np.uint8)
    out[:, 0] = PAETH
    out[:, 1 : 1 + channels] = rows[:, :channels] - above[:, :channels]
    left, corner, up = rows[:, :-channels], above[:, :-channels], above[:, channels:]
    by_left = np.subtract(up, corner, dtype=np.int16)  # left + up - corner is nearest to left, up or corner
    by_up = np.subtract(left, corner, dtype=np.int16)
    by_corner = np.abs(by_left + by_up)
    by_left, by_up = np.abs(by_left), np.abs(by_up)
    guess = np.where(by_up <= by_corner, up, corner)
    guess = np.where((by_left <= by_up) & (by_left <= by_corner), left, guess)
    np.subtract(rows[:, channels:], guess, out=out[:, 1 + channels :])
    return out
