"""EXIF, ICC profile and XMP of picture files: what of them is kept with upright pixels."""

import re
import struct

from PIL.ExifTags import IFD, Base
from PIL.Image import Exif

from odpiece.formats.chunks import MAX_CHUNK

MOST = MAX_CHUNK - (1 << 13)  # bytes: a zlib stream of what cannot be compressed is a little longer
UPRIGHT = 1
ORIENTATION, SHORT = 0x0112, 3  # the EXIF tag, and its type
# The tags that describe a picture, of those beside which a TIFF file says how its pixels are stored
DESCRIBING = frozenset(
    Base[name]
    for name in (
        "ImageDescription Make Model XResolution YResolution ResolutionUnit Software DateTime Artist HostComputer "
        "Copyright Rating RatingPercent XPTitle XPComment XPAuthor XPKeywords XPSubject"
    ).split()
)
TIFF_NAMESPACE = rb"xmlns:([\w.-]+)\s*=\s*[\"']http://ns\.adobe\.com/tiff/1\.0/[\"']"
NAMES = {"exif": "exif", "icc": "icc_profile", "xmp": "xmp"}  # in Pillow


def kept_metadata(info, keep, notes):
    """The dict of EXIF and XMP, bytes, of a Pillow image's `info`, where `keep` asks for them, without orientation.

    The picture must be upright. `notes` gets a line for what is too long.
    """
    found = {}
    if "exif" in keep and (exif := info.get("exif")):
        found["exif"] = upright_exif(exif)
    if "xmp" in keep and (xmp := info.get("xmp") or info.get("XML:com.adobe.xmp")):
        found["xmp"] = upright_xmp(xmp.encode() if isinstance(xmp, str) else xmp)
    return {name: value for name, value in found.items() if is_short(name, value, notes)}


def is_short(name, value, notes):
    """Whether metadata can be in an .odp file; `notes` gets a line where not."""
    if len(value) > MOST:
        notes.append(f"the {name} is not kept: it has {len(value)} bytes, at most {MOST} are kept")
    return len(value) <= MOST


def exif_of_tags(tags, notes):
    """EXIF bytes of what the tags of a TIFF file, a Pillow Exif, say of its picture; empty where they say nothing.

    The orientation is left out. `notes` gets a line where tags cannot be written.
    """
    exif = Exif()
    described = {tag: value for tag, value in tags.items() if tag in DESCRIBING}
    lost = _copy(described, exif, exif)
    for directory in (IFD.Exif, IFD.GPSInfo):
        if found := {tag: value for tag, value in tags.get_ifd(directory).items() if tag != IFD.Interop}:
            lost += _copy(found, exif.get_ifd(directory), exif)
    if lost:
        notes.append(f"{lost} EXIF tags are broken and not kept")
    return exif.tobytes() if _says_something(exif) else b""


def _copy(values, directory, exif):
    """Put {tag: value} into a directory of `exif`; gives how many cannot be written and are left out."""
    lost = 0
    for tag, value in values.items():
        directory[tag] = value
        if not _can_be_written(exif):
            del directory[tag]
            lost += 1
    return lost


def _can_be_written(exif):
    try:
        return bool(exif.tobytes())
    except Exception:  # of many kinds, for values that do not fit their tags
        return False


def _says_something(exif):
    return len(exif) > 0 or any(exif.get_ifd(directory) for directory in (IFD.Exif, IFD.GPSInfo))


def upright_exif(exif):
    """EXIF bytes with the orientation 1 in their first directory; all else stays as it is."""
    for at, order, kind in _orientations(exif):  # Pillow would write all tags anew, and some it cannot
        exif = exif[:at] + struct.pack(f"{order}H2x" if kind == SHORT else f"{order}I", UPRIGHT) + exif[at + 4 :]
    return exif


def orientation_of(exif):
    """The orientation, 1 to 8, that EXIF bytes give, None for none; other tags, which may be broken, do not matter."""
    for at, order, kind in _orientations(exif):
        return struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", exif, at)[0]
    return None


def _orientations(exif):
    """(position of the value, byte order, type) of each entry of an orientation in the first directory."""
    start = 6 if exif[:6] == b"Exif\0\0" else 0
    order, found = {b"II": "<", b"MM": ">"}.get(exif[start : start + 2]), []
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, start + 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start + directory)
        for entry in range(start + directory + 2, start + directory + 2 + 12 * count, 12):
            tag, kind, _, _ = struct.unpack_from(f"{order}2H2I", exif, entry)
            if tag == ORIENTATION:
                found.append((entry + 8, order, kind))
    except struct.error:  # it is broken or ends there
        pass
    return found


def upright_xmp(xmp):
    """XMP bytes with the orientation 1, whatever the prefix of TIFF's namespace and the quotes are."""
    prefixes = {b"tiff", *re.findall(TIFF_NAMESPACE, xmp)}
    pattern = rb"\b((?:" + b"|".join(map(re.escape, prefixes)) + rb"):Orientation(?:\s*=\s*[\"']|\s*>)\s*)[2-8]"
    return re.sub(pattern, rb"\g<1>1", xmp)
