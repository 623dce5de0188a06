"""Pictures for training: read as `encode` reads them, without those that cannot be read."""

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from odpiece.formats.errors import OptionError  # noqa: E402
from odpiece.formats.images import read_image  # noqa: E402
from odpiece.models.training import data  # noqa: E402
from odpiece.models.training.crops import Mixture  # noqa: E402
from odpiece.models.training.data import (  # noqa: E402
    PictureCache,
    list_pictures,
    load_rgb,
    middle_squares,
    random_crops,
)
from odpiece.models.training.held_out import held_out  # noqa: E402


@pytest.fixture
def folder(tmp_path, photo):
    """Three pictures, one of which is cut, and a file that is none."""
    out, folder = io.BytesIO(), tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(photo).save(folder / "a.png")
    Image.fromarray(photo).save(out, "JPEG")
    (folder / "cut.jpg").write_bytes(out.getvalue()[:-2000])
    Image.fromarray(photo[..., 1]).save(folder / "grey.jfif")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_pictures_that_cannot_be_read_are_skipped_with_a_line(folder, tmp_path, photo, capsys):
    cache = PictureCache(folder, tmp_path / "cache")
    assert [entry["file"] for entry in cache.entries] == ["a.png", "grey.jfif"]
    np.testing.assert_array_equal(cache[0], photo)
    assert (cache[1][..., 0] == cache[1][..., 2]).all()
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1 and "cut.jpg ends early" in warnings[0]


def test_the_middles_are_those_of_pictures_that_can_be_read(folder):
    assert len(middle_squares(folder, 3)) == 2


def test_a_folder_without_a_whole_picture_is_refused(folder, tmp_path):
    for path in list_pictures(folder):
        path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(OptionError, match="no picture in .* can be read"):
        PictureCache(folder, tmp_path / "cache")
    with pytest.raises(OptionError, match="no picture in .* can be read"):
        middle_squares(folder, 2)


@pytest.mark.parametrize("kind", ["turned", "deep", "alpha", "palette", "grey alpha"])
def test_a_picture_is_read_as_encode_reads_it(kind, tmp_path, photo):
    path, tags = tmp_path / "a.png", Image.Exif()
    tags[0x112] = 6 if kind == "turned" else 1
    im = Image.fromarray(photo[..., 0] * np.uint16(257) if kind == "deep" else photo)
    if "alpha" in kind:
        im.putalpha(200)
    im = im.convert({"palette": "P", "grey alpha": "LA"}.get(kind, im.mode))
    im.save(path, exif=tags)
    expected = read_image(path.read_bytes()).pixels
    if expected.ndim == 2:
        expected = expected[..., None]
    channels = [0, 0, 0] if expected.shape[2] < 3 else [0, 1, 2]
    np.testing.assert_array_equal(load_rgb(path), expected[..., channels])


def test_pictures_held_out_are_left_out_of_a_cache_that_has_them(tmp_path, photo, monkeypatch):
    folder = tmp_path / "large"
    folder.mkdir()
    for name, grey in (("a.png", 10), ("b.png", 20), ("c.png", 30)):
        Image.fromarray(np.full_like(photo, grey)).save(folder / name)
    built = PictureCache(folder, tmp_path / "cache")
    monkeypatch.setattr(data, "held_out", lambda: {"b.png": "faces"})
    cache = PictureCache(folder, tmp_path / "cache")
    assert [entry["file"] for entry in cache.entries] == ["a.png", "c.png"] and len(cache.probability) == 2
    assert [int(cache[i].mean()) for i in range(len(cache))] == [10, 30]
    assert cache.pixels.filename == built.pixels.filename
    assert {int(crop.mean()) for crop in random_crops(cache, 20, 0)} == {10, 30}
    assert [(place[0] is cache, place[1]) for place in Mixture([cache]).places] == [(True, 0), (True, 1)]
    assert {int(square.mean()) for square in middle_squares(folder, 3)} == {10, 30}


def test_held_out_pictures_alone_cannot_be_trained_on(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "held_out", lambda: dict.fromkeys(["a.png", "grey.jfif"], "text"))
    with pytest.raises(OptionError, match="are held out of training"):
        PictureCache(folder, tmp_path / "cache")


def test_the_list_of_held_out_pictures_has_forty_of_each_subject():
    assert Counter(held_out().values()) == {"faces": 40, "text": 40}
