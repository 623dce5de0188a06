"""Seeds of each kind of file, and the small model that its tiles need, into FOLDER/corpus and FOLDER/models.

python fuzz/seeds.py FOLDER

Needs odpiece[torch], which writes the graphs of the model, the network of tests/reference.
"""

import os
import shutil
import sys
from itertools import product
from pathlib import Path

import numpy as np

from odpiece.codec import encode, truncate
from odpiece.codec.one_d_piece.histograms import fit
from odpiece.formats.container import CoderId
from odpiece.models.library import load_model
from odpiece.models.nets.one_d_piece.architecture import Architecture, expected_tensors
from odpiece.models.tile_tables import write_tables
from odpiece.models.training.one_d_piece.published import write_one_d_piece
from odpiece.models.user_models import new_model

TESTS = Path(__file__).resolve().parent.parent / "tests"
MODEL = "tiny"


def add_network():
    """Install the model MODEL, without tables."""
    arch = Architecture(width=48, layers=2, heads=3, hidden=16, groups=4, proxy_width=32)
    with np.load(TESTS / "reference" / "onedpiece_tiny.npz", allow_pickle=False) as file:
        tensors = {name: file[name] for name in expected_tensors(arch)}
    with new_model(MODEL) as made:
        write_one_d_piece(made, arch, tensors, trained_tokens=255)


def add_model():
    """Install it with tables under which all tokens are possible."""
    add_network()
    write_tables(load_model(MODEL).path, fit(np.random.default_rng(0).integers(0, 4096, (4, 256)) // 7)[0])
    return load_model(MODEL)


def tile_files(model):
    """{name: bytes} of files of one tile and of several, with each coder, grey, transparent and cut short."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 300, 4), dtype=np.uint8)
    coders = (CoderId.RAW, CoderId.STATIC)
    for coder, overlap in product(coders, (None, 16)):
        kind = f"tiles-{coder.name.lower()}-{overlap}"
        yield f"{kind}.odp", encode(pixels[..., :3], 8, model=model, coder=coder, overlap=overlap)
        yield f"{kind}-grey.odp", encode(pixels[:40, :40, 0], 24, model=model, coder=coder, overlap=overlap)
        clear = encode(pixels[:9, :9], 40, model=model, coder=coder, overlap=overlap, metadata={"exif": b"about it"})
        yield f"{kind}-clear.odp", clear
        yield f"{kind}-truncated.odp", truncate(clear, 5, model=model)


def main(folder):
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    os.environ["ODPIECE_MODELS"] = str(folder / "models")
    for path in TESTS.rglob("*.odp"):
        shutil.copy(path, corpus)
    for name, data in tile_files(add_model()):
        (corpus / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
