"""Try an installed odpiece: a round trip, and the golden files to the same tokens and nearly the same pixels.

python -I scripts/installed.py FOLDER_OF_THE_TESTS
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import odpiece
from odpiece.cli.main import main as command
from odpiece.codec.files import read

TOLERANCE = 2  # grey levels, as in tests/codec/test_golden.py


def round_trip():
    """Encode and decode a picture by the command line; its colours come back."""
    ramp = np.linspace(0, 255, 200, dtype=np.uint8)
    pixels = np.dstack([np.tile(ramp, (150, 1)), np.tile(ramp[:150, None], 200), np.full((150, 200), 99, np.uint8)])
    with tempfile.TemporaryDirectory() as folder:
        source, packed, back = (str(Path(folder) / name) for name in ("a.png", "a.odp", "b.png"))
        Image.fromarray(pixels).save(source)
        command(["encode", source, "-o", packed, "-q", "256", "--quiet"])
        command(["decode", packed, "-o", back, "--quiet"])
        with Image.open(back) as im:
            error = np.abs(np.asarray(im).astype(int) - pixels).mean()
    if error > 3:
        raise SystemExit(f"the round trip is off by {error:.1f} grey levels in the mean")


def golden_files(folder):
    """Decode each golden file; gives how many there are."""
    digests = json.loads((folder / "tokens.json").read_text())
    for name, digest in digests.items():
        contents = read((folder / name).read_bytes())
        if contents.tokens.sha256 != digest:
            raise SystemExit(f"{name} has other tokens")
        im = Image.fromarray(contents.picture(contents.tokens))
        with Image.open((folder / name).with_suffix(".png")) as expected:
            got = np.asarray(im.reduce(-(-im.width // expected.width))).astype(int)
            if np.abs(got - np.asarray(expected)).max() > TOLERANCE:
                raise SystemExit(f"{name} has other pixels")
    return len(digests)


if __name__ == "__main__":
    tests = Path(sys.argv[1])
    if Path(odpiece.__file__).is_relative_to(tests.parent):
        raise SystemExit(f"{odpiece.__file__} is not an installed odpiece")
    round_trip()
    count = sum(golden_files(path.parent) for path in (tests / "golden").rglob("tokens.json"))
    print(f"odpiece {odpiece.__version__}: round trip and {count} golden files")
