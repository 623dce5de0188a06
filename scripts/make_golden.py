"""Write tests/golden: small files of every coder, and the SHA-256 of the tokens of each.

For new weights before a release; once a release number is set, golden files are only added.
"""

import json
from pathlib import Path

from odpiece.codec import encode, truncate
from odpiece.codec.picture import read
from odpiece.formats.container import CoderId
from odpiece.formats.files import read_bytes, write_bytes
from odpiece.formats.images import read_image

ROOT = Path(__file__).parent.parent


def golden_files():
    """{file name: bytes}."""
    pixels = read_image(read_bytes(ROOT / "examples" / "photo.png")).pixels
    files = {f"photo-{coder.name.lower()}.odp": encode(pixels[96:256, 200:400], 64, coder=coder) for coder in CoderId}
    files["pixel.odp"] = encode(pixels[:1, :1], 1)
    files["photo-q1024.odp"] = encode(pixels[96:256, 200:400], 1024)
    files["photo-truncated.odp"] = truncate(files["photo-q1024.odp"], 100)
    return files


def main():
    folder = ROOT / "tests" / "golden"
    folder.mkdir(exist_ok=True)
    digests = {}
    for name, data in golden_files().items():
        write_bytes(folder / name, data, force=True)
        digests[name] = read(data).tokens.sha256
    write_bytes(folder / "tokens.json", (json.dumps(digests, indent=2) + "\n").encode(), force=True)


if __name__ == "__main__":
    main()
