"""What examples/web/ shows of previews: a photograph beside ThumbHash, BlurHash and odpiece in tens of bytes.

    python scripts/web_previews.py examples/photo.png

Writes examples/web/previews/: the photograph scaled to 256x256 and what ThumbHash and BlurHash make of it, and
previews.json, which holds the bytes of odpiece's files, that the page decodes itself. Needs odpiece[compare].
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from odpiece.cli.encode import to_data_uri
from odpiece.codec import encode
from odpiece.codec.comparison.peers import find_peer
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image

FOLDER = Path(__file__).parent.parent / "examples" / "web" / "previews"
SIDE = 256  # pixels
PEERS = {
    "thumbhash.webp": ("thumbhash", "-"),
    "blurhash-4x3.webp": ("blurhash", "4x3"),
    "blurhash-5x5.webp": ("blurhash", "5x5"),
}
QUALITIES = (1, 2, 4)


def pictures_of_peers(pixels):
    """[{title, bytes, picture}], the picture a file that is written."""
    rows = []
    for file, (name, quality) in PEERS.items():
        peer = find_peer(name)
        data = peer.encode(pixels, quality)
        write(peer.decode(data, pixels.shape), file)
        rows.append({"title": f"{peer.title} {quality}".removesuffix(" -"), "bytes": len(data), "picture": file})
    return rows


def files_of_odpiece(pixels):
    """[{title, bytes, file}], the file a data: URI."""
    files = {q: encode(pixels, q) for q in QUALITIES}
    uris = {q: to_data_uri(data).decode().strip() for q, data in files.items()}
    return [{"title": f"odpiece -q {q}", "bytes": len(files[q]), "file": uri} for q, uri in uris.items()]


def write(pixels, name):
    Image.fromarray(pixels).save(FOLDER / name, lossless=True, method=6)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    photo = parser.parse_args().photo
    pixels = Image.fromarray(read_image(read_bytes(photo), photo.name).pixels)
    pixels = np.asarray(pixels.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    FOLDER.mkdir(exist_ok=True)
    write(pixels, "original.webp")
    rows = pictures_of_peers(pixels) + files_of_odpiece(pixels)
    (FOLDER / "previews.json").write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
