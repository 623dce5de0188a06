"""Training pictures: decoded once into an array cache, then cropped at random.

The cache is two files, outside the picture folder: `pixels.u8` (every picture's RGB bytes, one after
the other) and `index.json` (name, source, height, width, offset of each). A folder `train/` may have
an index `train.tsv` beside it (columns file, source, ...); it gives each picture's source, by which
sampling is weighted. Pictures named in held_out.txt are decoded, too, but nothing is trained on them: they are for
`odpiece compare --tasks`.
"""

import csv
import hashlib
import json
import os
import queue
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from odpiece.formats.alpha import fill_transparent
from odpiece.formats.errors import ImageError, OptionError, OutputError
from odpiece.formats.files import read_bytes
from odpiece.formats.images import SUFFIXES, read_image
from odpiece.models.threads import available_cores
from odpiece.models.training.held_out import held_out

CROP = 256
MAX_SHRINK = 2.5  # largest factor by which a crop is scaled down

# Sources with one kind of subject, or with screens and documents, are drawn less often per picture.
SOURCE_WEIGHT = {
    "catsdogs": 0.35,
    "clothing": 0.3,
    "clothing_rest": 0.3,
    "cars_rgb": 0.4,
    "flower_photos": 0.6,
    "illustration": 0.3,
}
READER = "as encode reads them, 1"  # part of a cache's name: the number grows when pictures are read otherwise


def list_pictures(folder):
    """Sorted paths of the picture files directly in `folder`."""
    return sorted(p for p in Path(folder).iterdir() if p.suffix.lower() in SUFFIXES)


def _some_pictures(folder):
    if paths := list_pictures(folder):
        return paths
    raise OptionError(f"no pictures in {folder}")


def _left(names, folder):
    """Those indices of `names`, file names in `folder`, that are not held out. Raises OptionError where none is."""
    if left := [i for i, name in enumerate(names) if name not in held_out()]:
        return left
    raise OptionError(f"all pictures in {folder} are held out of training, give others")


def load_rgb(path):
    """uint8 (H, W, 3) sRGB pixels of a picture file, read as `encode` reads it. Raises ImageError."""
    pixels = read_image(read_bytes(path), str(path)).pixels
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] in (2, 4):
        pixels = fill_transparent(pixels[..., :-1], pixels[..., -1])
    return pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)


def _load_or_warn(path):
    """As `load_rgb`, or None and a line on standard error for a file that cannot be read."""
    try:
        return load_rgb(path)
    except ImageError as error:
        tqdm.write(f"warning: skipped: {error}", file=sys.stderr)
        return None


def default_cache_root():
    """Folder for array caches: $XDG_CACHE_HOME/odpiece or ~/.cache/odpiece. Raises OutputError."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        raise OutputError("this user has no home: give --cache, a folder for decoded pictures") from None
    return Path(base) / "odpiece"


def _sources(folder):
    """{file name: source} from the index beside `folder`, empty where there is none."""
    index = Path(folder).resolve().with_suffix(".tsv")
    if not index.is_file():
        return {}
    with open(index, newline="") as f:
        return {row["file"]: row.get("source", "") for row in csv.DictReader(f, delimiter="\t")}


def _build_cache(paths, cache, sources):
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {cache}: {error.strerror}, give another with --cache") from None
    partial = cache / "pixels.u8.partial"
    entries, offset = [], 0
    with open(partial, "wb") as out, ThreadPoolExecutor(available_cores()) as pool:
        for path, rgb in tqdm(
            zip(paths, pool.map(_load_or_warn, paths)), total=len(paths), desc="decode", disable=None
        ):
            if rgb is None:
                continue
            h, w, _ = rgb.shape
            entries.append(
                {"file": path.name, "source": sources.get(path.name, ""), "height": h, "width": w, "offset": offset}
            )
            out.write(rgb.tobytes())
            offset += rgb.size
    if not entries:
        raise OptionError(f"no picture in {paths[0].parent} can be read")
    partial.rename(cache / "pixels.u8")
    (cache / "index.json").write_text(json.dumps(entries))


class PictureCache:
    """Decoded pictures of a folder in one memory-mapped file.

    `len(cache)` pictures; `cache[i]` is uint8 (H, W, 3), a view that reads from disk on use.
    The cache is built on first use, in `root` (default: the user's cache folder), without the files that cannot be
    read, which get a warning; those held out are in it, but not in `entries`. Raises OptionError where no picture is
    left.
    """

    def __init__(self, folder, root=None):
        paths = _some_pictures(folder)
        listing = "\n".join(f"{p.name}:{p.stat().st_size}:{p.stat().st_mtime_ns}" for p in paths)
        key = hashlib.sha256(f"{READER}\n{listing}".encode()).hexdigest()[:16]
        cache = Path(root or default_cache_root()) / f"pictures-{key}"
        if not (cache / "index.json").is_file():
            _build_cache(paths, cache, _sources(folder))
        entries = json.loads((cache / "index.json").read_text())
        self.entries = [entries[i] for i in _left([e["file"] for e in entries], folder)]
        self.pixels = np.memmap(cache / "pixels.u8", dtype=np.uint8, mode="r")
        weight = np.array([SOURCE_WEIGHT.get(e["source"], 1.0) for e in self.entries])
        self.probability = weight / weight.sum()

    def __len__(self):
        return len(self.entries)

    def __getitem__(self, i):
        e = self.entries[i]
        h, w, at = e["height"], e["width"], e["offset"]
        return self.pixels[at : at + h * w * 3].reshape(h, w, 3)


def random_crop(rgb, rng, size=CROP):
    """uint8 (size, size, 3): a random square of `rgb`, scaled down by 1..MAX_SHRINK, flipped half the time."""
    h, w, _ = rgb.shape
    largest = min(h, w, int(size * MAX_SHRINK))
    side = int(round(np.exp(rng.uniform(np.log(min(size, largest)), np.log(largest)))))
    top, left = rng.integers(h - side + 1), rng.integers(w - side + 1)
    square = rgb[top : top + side, left : left + side]
    if side != size:
        square = np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.LANCZOS))
    return square[:, ::-1] if rng.random() < 0.5 else square


def random_crops(cache, count, rng):
    """A list of `count` random crops, uint8 (CROP, CROP, 3) each; `rng` is a generator or a seed."""
    rng = np.random.default_rng(rng)
    picks = rng.choice(len(cache), size=count, p=cache.probability)
    return [random_crop(cache[i], rng) for i in picks]


def middle_squares(folder, count):
    """uint8 (count, CROP, CROP, 3): middles of up to `count` pictures of `folder`, evenly spaced by name.

    Those that cannot be read are left out with a warning, those held out silently. Raises OptionError where none is
    left.
    """
    paths, squares = _some_pictures(folder), []
    paths = [paths[i] for i in _left([path.name for path in paths], folder)]
    for i in range(min(count, len(paths))):
        rgb = _load_or_warn(paths[i * len(paths) // min(count, len(paths))])
        if rgb is None:
            continue
        side = min(rgb.shape[:2])
        top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
        square = Image.fromarray(rgb[top : top + side, left : left + side])
        squares.append(np.asarray(square.resize((CROP, CROP), Image.Resampling.LANCZOS)))
    if not squares:
        raise OptionError(f"no picture in {folder} can be read")
    return np.stack(squares)


def crop_batches(cache, batch, seed, ahead=4):
    """Endless batches uint8 (batch, CROP, CROP, 3), made by one thread that works `ahead` batches ahead."""
    ready = queue.Queue(maxsize=ahead)

    def work():
        rng = np.random.default_rng(seed)
        while True:
            ready.put(np.stack(random_crops(cache, batch, rng)))

    threading.Thread(target=work, daemon=True).start()
    while True:
        yield ready.get()


def to_float(pixels, device="cpu"):
    """uint8 (B, H, W, 3) array or tensor to a float tensor (B, 3, H, W) in [-1, 1], channels last in memory."""
    x = pixels if isinstance(pixels, torch.Tensor) else torch.tensor(np.ascontiguousarray(pixels))
    x = x.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    return x.contiguous(memory_format=torch.channels_last)
