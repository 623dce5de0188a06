"""The scans of JPEG files (ITU-T T.81), to tell a cut file that lacks scans from one that lacks no pixel."""

FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)  # SOF markers
SCAN, END = 0xDA, 0xD9
BARE = (0x01, *range(0xD0, 0xD9))  # markers without a length
COEFFICIENTS = 64


def has_all_scans(data):
    """Whether every coefficient of every component, to its last bit, is in a scan that begins in a file's bytes."""
    missing = {}
    for marker, body in _segments(data):
        if marker in FRAMES and len(body) >= 6 + 3 * body[5]:
            missing = {body[6 + 3 * i]: set(range(COEFFICIENTS)) for i in range(body[5])}
        elif marker == SCAN and len(body) >= 4 + 2 * body[0]:
            first, last, bits = body[1 + 2 * body[0] :][:3]
            for component in body[1 : 1 + 2 * body[0] : 2]:
                if bits & 15 == 0:
                    missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(missing) and not any(missing.values())


def _segments(data):
    """(marker, its data) of each segment of a JPEG file that is there as a whole."""
    at = 2
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 1:
        marker = data[at + 1]
        if marker in (0, 0xFF) or marker in BARE:  # within a scan, or filling
            at += 1 if marker == 0xFF else 2
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == END or end > len(data) or end < at + 4:
            return
        yield marker, data[at + 4 : end]
        at = end
