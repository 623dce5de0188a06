"""Write tests/golden: small files of every kind, the SHA-256 of the tokens of each, and its picture, scaled down.

Of one file also the natural look. And codec/self_test.odp, the file of `odpiece doctor`.

For new weights before a release; once a release number is set, golden files are only added.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from odpiece.codec import decode, encode, truncate
from odpiece.codec.files import read
from odpiece.codec.self_test import QUALITY, drawn_picture
from odpiece.formats.container import CoderId
from odpiece.formats.files import read_bytes, write_bytes
from odpiece.formats.images import read_image, write_image

ROOT = Path(__file__).parent.parent
LONGEST = 50  # pixels of a stored picture
METADATA = {
    "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x0f\0\2\0\0\0\x08\0\0\0\x1aa maker\0\0\0\0\0",
    "icc": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "xmp": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
}


def golden_files():
    """{file name: bytes}."""
    photo = read_image(read_bytes(ROOT / "examples" / "photo.png")).pixels
    part = photo[96:256, 200:400]
    distance = np.hypot(*np.ogrid[-80:80, -100:100])
    soft = np.clip(300 - 4 * distance, 0, 255).astype(np.uint8)
    mask = np.where(distance < 70, 255, 0).astype(np.uint8)
    smoothed = np.clip(128 * (70 - distance) + 128, 0, 255).astype(np.uint8)
    files = {f"photo-{coder.name.lower()}.odp": encode(part, 64, coder=coder) for coder in CoderId}
    files["pixel.odp"] = encode(photo[:1, :1], 1)
    files["photo-q512.odp"] = encode(part, 512)
    files["photo-q1024.odp"] = encode(part, 1024)
    files["photo-q4096.odp"] = encode(part[:70, :130], 4096)
    files["photo-static-q4096.odp"] = encode(part[:64, :64], 4096, coder=CoderId.STATIC)
    files["photo-q1500.odp"] = encode(part[:70, :130], 1500)
    files["photo-truncated.odp"] = truncate(files["photo-q1024.odp"], 100)
    files["grey.odp"] = encode(part[..., 1], 64)
    files["mask.odp"] = encode(np.dstack([part, mask]), 64)
    files["soft.odp"] = encode(np.dstack([part, soft]), 64)
    files["grey-smoothed.odp"] = encode(np.dstack([part[..., 1], smoothed]), 64)
    files["faint.odp"] = encode(np.dstack([part, np.full_like(mask, 100)]), 64)
    files["chunks.odp"] = encode(part, 64, metadata=METADATA)
    files["segments.odp"] = encode(np.tile(photo, (3, 3, 1))[:1090, :1100], 70, scale=1)
    files["scaled.odp"] = encode(part, 64, scale="1/2")
    files["segments-raw.odp"] = encode(np.tile(photo, (1, 5, 1))[:70, :2100], 17, coder=CoderId.RAW)
    return files


def reduced(pixels):
    """`pixels` scaled down by a whole factor to at most LONGEST, each pixel a mean of a square."""
    im = Image.fromarray(pixels)
    return np.asarray(im.reduce(-(-max(im.size) // LONGEST)))


def main():
    folder = ROOT / "tests" / "golden"
    (folder / "natural").mkdir(parents=True, exist_ok=True)
    digests = {}
    for name, data in golden_files().items():
        write_bytes(folder / name, data, force=True)
        write_bytes((folder / name).with_suffix(".png"), write_image(reduced(decode(data))), force=True)
        digests[name] = read(data).tokens.sha256
    natural = decode(read_bytes(folder / "photo-learned.odp"), look="natural")
    write_bytes(folder / "natural" / "photo-learned.png", write_image(reduced(natural)), force=True)
    write_bytes(ROOT / "codec" / "self_test.odp", encode(drawn_picture(), QUALITY), force=True)
    write_bytes(folder / "tokens.json", (json.dumps(digests, indent=2) + "\n").encode(), force=True)


if __name__ == "__main__":
    main()
