"""Fuzz what reads .odp files: a picture or an error of formats/errors.py, OSError in Pillow; all else is a finding.

    pip install -e '.[fuzz]'
    python fuzz/decode.py -max_total_time=1200 -timeout=20 -rss_limit_mb=3000 -max_len=2000 \\
        -artifact_prefix=tests/attacks/findings/ CORPUS tests/golden

CORPUS is a folder, made by hand and kept from run to run, that takes what is found to be new; golden files are
the seeds. A finding is written to tests/attacks/findings/, where a test looks at it ever after.
"""

import io
import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["odpiece"]):
    from odpiece.codec.files import read_partial, truncate
    from odpiece.formats.container import unpack
    from odpiece.formats.errors import OdpieceError
    from odpiece.formats.pillow_plugin import OdpImageFile

START = (Path(__file__).parent.parent / "tests" / "golden" / "pixel.odp").read_bytes()[:8]
LARGEST = 1 << 15  # pixels: larger claims are slow, and tests/attacks/test_headers.py has them


def read(data):
    """Read the bytes `data` whole, else in part, make the picture, and open them in Pillow."""
    try:
        header = unpack(data)[0]
        if header.width * header.height > LARGEST:
            return
        contents = read_partial(data)
        contents.picture(contents.tokens)
        truncate(data, 3)
    except OdpieceError:
        pass
    try:
        OdpImageFile(io.BytesIO(data))
    except (OSError, SyntaxError):  # SyntaxError is how a plugin of Pillow says that a file is not its own
        pass


def mutate(data, max_size, seed):
    """Mostly behind a true magic, version and model, without which nothing is read."""
    data = atheris.Mutate(data, max_size)
    if random.Random(seed).random() < 0.9:
        version = START[2] & 0xE0 | (data[2] & 0x1F if len(data) > 2 else 0)
        data = START[:2] + bytes([version]) + data[3:4].ljust(1, b"\0") + START[4:8] + data[8:]
    return data[:max_size]


if __name__ == "__main__":
    atheris.Setup(sys.argv, read, custom_mutator=mutate)
    atheris.Fuzz()
