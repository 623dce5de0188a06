"""PNG files made sound before Pillow reads them: only the chunks that make the picture stay, each with its checksum.

Pillow refuses a file for a long text, a long profile or a wrong checksum of a chunk that it does not need. So it gets
the pixels and what their numbers mean, while profile, EXIF and XMP are read here.
"""

import contextlib
import zlib
from dataclasses import dataclass, field

from odpiece.formats.chunks import MAX_CHUNK
from odpiece.formats.errors import ImageError
from odpiece.formats.png import PIXEL_CHUNKS, SIGNATURE, pack_chunk

HEADER, PIXELS, END = PIXEL_CHUNKS
# What Pillow gets, and the fewest bytes of data that make sense; tRNS has as many as its kind of picture needs
LEAST = {HEADER: 13, b"PLTE": 3, b"tRNS": 1, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, PIXELS: 0, END: 0}
KEY_BYTES = {0: 2, 2: 6}  # of tRNS, by colour type
XMP_KEYWORD = b"XML:com.adobe.xmp"
RAW_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")  # as ImageMagick writes it, in hexadecimal digits
END_NOTE = "its end is missing or damaged"
LONG_TEXT = 1 << 20  # bytes, where Pillow would end


@dataclass
class Mended:
    """`data`: a PNG file, sound but that pixels may lack at its end; `info` as of a Pillow image, with "icc_profile",
    "exif" and "xmp" as bytes; `notes`: a line for each fault; `frames` of an animation.
    """

    data: bytes = b""
    info: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    frames: int = 1

    def note(self, line):
        if line not in self.notes:
            self.notes.append(line)


def mend(data, name):
    """The Mended of the bytes of a PNG file. Raises ImageError where its header or its palette is damaged."""
    found, parts, animated = Mended(), [SIGNATURE], False
    for kind, body, sound in _walk(data, name, found):
        if not sound and kind in (HEADER, b"PLTE"):
            raise ImageError(f"{name} is a damaged PNG: the checksum of its {kind.decode()} chunk does not match")
        if not sound and kind != PIXELS:
            found.note(f"its {kind.decode()} chunk is damaged and left out")
        elif _is_needed(kind, body, parts):
            if not sound:
                found.note("the checksum of its pixels does not match, they may be wrong")
            parts.append(pack_chunk(kind, body))
        elif kind == b"acTL" and len(body) >= 8:
            found.frames, animated = int.from_bytes(body[:4], "big"), True
        else:
            _look_into(kind, bytes(body), found)
    if animated and data.find(b"fcTL") > data.find(PIXELS):  # the picture itself is not one of the frames
        found.frames += 1
    found.data = b"".join([*parts, pack_chunk(END, b"")])
    return found


def _walk(data, name, found):
    """(kind, data, whether its checksum matches) of each chunk before the last, or before the file's damaged end."""
    view, at = memoryview(data), len(SIGNATURE)
    while True:
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if at == len(SIGNATURE) and kind != HEADER:
            raise ImageError(f"{name} is a damaged PNG: it does not begin with its header")
        if kind == END:
            return
        if len(kind) < 4 or not kind.isalpha():
            return found.note(END_NOTE)
        body, check = view[at + 8 : at + 8 + length], data[at + 8 + length : at + 12 + length]
        if len(check) == 4:
            yield kind, body, zlib.crc32(body, zlib.crc32(kind)) == int.from_bytes(check, "big")
        elif kind == PIXELS:  # those that are there
            yield kind, body, True
        at += 12 + length


def _is_needed(kind, body, parts):
    if kind == b"tRNS":
        colour_type = parts[1][17] if len(parts) > 1 else 3
        return len(body) >= KEY_BYTES.get(colour_type, 1)
    return kind in LEAST and len(body) >= LEAST[kind]


def _look_into(kind, body, found):
    """Take from a chunk that Pillow is not given what belongs to the picture's info."""
    if kind == b"eXIf":
        found.info["exif"] = b"Exif\0\0" + body.removeprefix(b"Exif\0\0")
    elif kind == b"iCCP":
        _keep("icc_profile", _inflated(body.partition(b"\0")[2][1:], MAX_CHUNK), found)
    elif kind in (b"tEXt", b"zTXt", b"iTXt"):
        keyword, _, rest = body.partition(b"\0")
        _take_text(keyword, _text(kind, rest, MAX_CHUNK if keyword == XMP_KEYWORD else LONG_TEXT), found)


def _text(kind, rest, longest):
    """The text in a chunk's data after the keyword; None where it inflates to more than `longest` bytes."""
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _inflated(rest[1:], longest)
    text = rest[2:].split(b"\0", 2)[-1]
    return _inflated(text, longest) if rest[:1] == b"\1" else text


def _take_text(keyword, text, found):
    if text is None or (keyword != XMP_KEYWORD and len(text) > LONG_TEXT):
        found.note(f"its text {keyword[:79].decode('latin-1')!a} is too long and left out")
    elif keyword == XMP_KEYWORD:
        found.info["xmp"] = text
    elif keyword in RAW_EXIF:
        with contextlib.suppress(ValueError):  # no hexadecimal digits
            exif = bytes.fromhex("".join(text.decode("latin-1").split("\n")[3:]))
            found.info.setdefault("exif", b"Exif\0\0" + exif.removeprefix(b"Exif\0\0"))


def _keep(name, value, found):
    if value is None:
        found.note(f"its {name.replace('_', ' ')} is too long and left out")
    elif value:
        found.info[name] = value


def _inflated(data, longest):
    """The bytes in a zlib stream, b"" where it is damaged, None where there are more than `longest`."""
    try:
        out = zlib.decompressobj().decompress(data, longest + 1)
    except zlib.error:
        return b""
    return out if len(out) <= longest else None
