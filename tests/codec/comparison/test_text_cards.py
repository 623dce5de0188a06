"""scripts/text_cards.py: text of known content and sizes stands where the index says, nowhere else."""

import csv
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "text_cards.py"
CARDS = runpy.run_path(str(SCRIPT))
pytestmark = pytest.mark.skipif(not CARDS["FONTS"].is_dir(), reason="needs fonts-dejavu-core")


def drawn(folder, photo, name, monkeypatch):
    """(the folder of the cards of a picture of 512x512, the lines of their index)."""
    (folder / "photos").mkdir(parents=True)
    Image.fromarray(photo).resize((512, 512)).save(folder / "photos" / "a.png")
    monkeypatch.setattr(sys, "argv", ["text_cards", str(folder / "photos"), str(folder / name)])
    CARDS["main"]()
    with open(folder / f"{name}.tsv", newline="") as f:
        return folder / name, list(csv.DictReader(f, delimiter="\t"))


def test_text_stands_where_the_index_says(photo, tmp_path, monkeypatch):
    cards, lines = drawn(tmp_path, photo, "cards", monkeypatch)
    plain = np.asarray(Image.open(tmp_path / "photos" / "a.png")).astype(int)
    for contrast in CARDS["CONTRASTS"]:
        here = [line for line in lines if line["contrast"] == contrast]
        sizes = [int(line["size"]) for line in here]
        assert sizes == [size for size, count in CARDS["SIZES"].items() for _ in range(count)]
        card = np.asarray(Image.open(cards / here[0]["file"])).astype(int)
        changed = (card != plain).any(axis=2)
        for line, size in zip(here, sizes):
            top = int(line["y"])
            band = changed[top : top + round(CARDS["SPACING"] * size)]
            assert band.any() and line["text"]
            band[:] = False  # of `changed`
        assert not changed.any()


def test_the_same_picture_gives_the_same_cards(photo, tmp_path, monkeypatch):
    (first, lines), (again, lines_again) = (drawn(tmp_path / n, photo, "cards", monkeypatch) for n in "ab")
    assert lines == lines_again
    assert all(path.read_bytes() == (again / path.name).read_bytes() for path in first.iterdir())
