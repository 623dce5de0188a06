"""What scripts/demo prints: examples/photo.png at -q 64 beside JPEG and WebP at their nearest sizes."""

import math
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from odpiece.codec.comparison.measure import Original, measure
from odpiece.codec.comparison.peers import SCALES, find_peer
from odpiece.codec.targets import psnr
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image

PHOTO = Path(__file__).parent.parent / "examples" / "photo.png"
QUALITY = 64


def round_trip(folder):
    """(file size in bytes, decoded pixels) through the command line."""
    packed, decoded = folder / "photo.odp", folder / "photo.odp.png"
    for command in (["encode", PHOTO, "-q", str(QUALITY), "-o", packed], ["decode", packed]):
        print("$ odpiece", *(str(c).replace(f"{folder}/", "").replace(f"{PHOTO.parent.parent}/", "") for c in command))
        subprocess.run(["odpiece", *map(str, command), "--quiet"], check=True)
    return packed.stat().st_size, read_image(read_bytes(decoded)).pixels


def main():
    original = read_image(read_bytes(PHOTO)).pixels
    with tempfile.TemporaryDirectory() as folder:
        size, pixels = round_trip(Path(folder))
    print(f"\n{'examples/photo.png':<26}{'bytes':>8}{'PSNR dB':>10}")
    print(f"{f'odpiece -q {QUALITY}':<26}{size:>8}{psnr(original, pixels):>10.2f}")
    for peer in (find_peer("jpeg"), find_peer("webp")):
        for scales, label in ((SCALES[:1], "full size"), (SCALES[1:], "downscaled")):
            trial = nearest_size(original, replace(peer, scales=scales), size)
            name = f"{peer.title} {label}" + (f" by {trial.scale}" if trial.scale > 1 else "")
            print(f"{name:<26}{trial.size:>8}{trial.scores['psnr']:>10.2f}")


def nearest_size(original, codec, size):
    """The codec's Trial whose size in bytes is nearest to `size`, as a ratio."""
    return min(measure(Original(original), codec, ("psnr",)), key=lambda t: abs(math.log(t.size / size)))


if __name__ == "__main__":
    main()
