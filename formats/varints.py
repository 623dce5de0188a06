"""Varints (LEB128): seven bits a byte, low bits first, the high bit set on all bytes but the last."""

from odpiece.formats.errors import DamagedError

MAX_BYTES = 5


def pack_varint(number):
    """The bytes of an int >= 0."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def read_varint(data, at):
    """(number, position after it); DamagedError if it is cut, has over 5 bytes or a needless zero byte."""
    number = 0
    for i, byte in enumerate(data[at : at + MAX_BYTES]):
        number |= (byte & 127) << 7 * i
        if byte < 128:
            if byte == 0 and i:
                break
            return number, at + i + 1
    raise DamagedError("the file ends inside its header" if len(data) < at + MAX_BYTES else "the header is damaged")
