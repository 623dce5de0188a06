"""Picture files that end early, are damaged, or are of kinds that plugins know; Pillow's settings."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageFile

from odpiece.formats import opening
from odpiece.formats.errors import ImageError
from odpiece.formats.images import SUFFIXES, image_pixels, read_image
from odpiece.formats.jpeg import has_all_scans

Y, X = np.mgrid[0:48, 0:64]
PIXELS = np.stack([X * 4, Y * 5, X + Y], axis=2).astype(np.uint8)
WHOLE = "its end is missing or damaged, but its pixels are all there"
JPEGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "rows": {"restart_marker_rows": 1},
    "blocks": {"restart_marker_blocks": 5, "subsampling": 0},
    "progressive rows": {"progressive": True, "restart_marker_rows": 1},
}


def saved(form, pixels=PIXELS, **options):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("grey", [False, True])
def test_a_jpeg_without_its_end_is_read_and_no_other_cut_one(kind, grey):
    data = saved("JPEG", PIXELS[..., 0] if grey else PIXELS, **JPEGS[kind])
    assert has_all_scans(data)
    whole = read_image(data).pixels
    for missing in (1, 2):
        picture = read_image(data[:-missing])
        np.testing.assert_array_equal(picture.pixels, whole)
        assert picture.notes in [(WHOLE,), ()]  # half a marker is enough for some
    for size in [*range(20, len(data) - 60, 29), *range(len(data) - 60, len(data) - 2)]:
        with pytest.raises(ImageError):
            read_image(data[:size])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF", "PPM", "TGA", "TIFF", "SGI"])
def test_the_beginning_of_a_cut_file_is_read_where_allowed(form):
    data = saved(form)
    cut = data[: len(data) * 3 // 4 if form != "JPEG" else -120]
    with pytest.raises(ImageError, match="^a.b ends early .* rows are missing or wrong, give --allow-truncated"):
        read_image(cut, "a.b")
    picture, whole = read_image(cut, allow_truncated=True), read_image(data).pixels
    assert picture.pixels.shape == whole.shape and "rows are missing or wrong" in picture.notes[-1]
    rows = (picture.pixels == whole).all(axis=(1, 2))
    assert 0.1 < rows.mean() < 1 or form == "SGI"  # which stores channels one after another


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF", "JPEG2000", "GIF"])
def test_whole_files_are_no_other_where_cut_ones_are_allowed(form):
    data = saved(form)
    a, b = read_image(data), read_image(data, allow_truncated=True)
    assert np.array_equal(a.pixels, b.pixels) and a.notes == b.notes


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000", "AVIF"])
def test_what_holds_no_pixel_is_never_read(form):
    data = saved(form)
    for size in (9, 20, 30):
        with pytest.raises(ImageError):
            read_image(data[:size], allow_truncated=True)


def test_a_broken_second_page():
    data = bytearray(saved("TIFF", save_all=True, append_images=[Image.new("RGB", (4, 4))]))
    with Image.open(io.BytesIO(data)) as im:
        first = im.tag_v2._offset
    at = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[at : at + 4] = (10_000_000).to_bytes(4, "little")
    picture = read_image(bytes(data))
    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert picture.notes == ("what follows the first picture cannot be read",)


@pytest.mark.parametrize("form", ["TIFF", "GIF", "ICO", "BMP"])
def test_the_kind_of_a_damaged_file_is_said(form):
    with pytest.raises(ImageError, match=f"^a.b (is a damaged {form}|cannot be read)"):
        read_image(saved(form)[:12], "a.b")


@pytest.mark.parametrize("suffix", [".mpo", ".apng", ".jfif", ".avif", ".j2c", ".tif"])
def test_suffixes_of_pictures_in_folders(suffix):
    assert suffix in SUFFIXES


def test_plugins_are_asked_when_pillow_knows_no_more(monkeypatch):
    pillow_jxl = pytest.importorskip("pillow_jxl")
    assert ".jxl" in SUFFIXES
    data = saved("JXL", lossless=True)
    assert pillow_jxl and data
    monkeypatch.delitem(Image.OPEN, "JXL")
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "JXL"])
    asked = []
    monkeypatch.setattr(opening, "register_plugins", lambda: asked.append(True))
    with pytest.raises(ImageError, match="pip install pillow-jxl-plugin"):
        read_image(data)
    assert asked == [True]


def test_pictures_of_plugins_are_read():
    pytest.importorskip("pillow_jxl")
    opening.register_plugins()
    np.testing.assert_array_equal(read_image(saved("JXL", lossless=True)).pixels, PIXELS)


@pytest.mark.parametrize("start", [b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypmif1"])
def test_the_plugin_that_is_missing_is_named(start, monkeypatch):
    monkeypatch.setattr(opening, "PLUGINS", {})
    with pytest.raises(ImageError, match="pip install pillow-heif"):
        read_image(start + bytes(90))


def test_a_plugin_that_cannot_be_loaded_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "pillow_broken.py").write_text("raise OSError('no library')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(opening, "PLUGINS", {"pillow_broken": (), "pillow_absent": ()})
    assert opening.register_plugins() is None


def test_pillow_s_settings_are_given_back_by_threads(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    good, cut = saved("PNG"), saved("BMP")[:-900]
    seen = []

    def one(i):
        if i % 3 == 0:
            return read_image(cut, allow_truncated=True).pixels.shape
        if i % 3 == 1:
            with pytest.raises(ImageError, match="ends early"):
                read_image(cut)
        seen.append(threading.get_ident())
        return read_image(good, max_pixels=10**5 + i).pixels.shape

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(one, range(60))) == {PIXELS.shape}
    assert seen and Image.MAX_IMAGE_PIXELS == 1000 and ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_host_that_reads_cut_files_is_not_changed(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ImageError, match="ends early"):
        read_image(saved("BMP")[:-900])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_images_that_cannot_be_loaded_are_image_errors():
    data = saved("PNG")
    with Image.open(io.BytesIO(data)) as closed:
        pass
    noise = saved("PNG", np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8))
    second = noise.find(b"IDAT", noise.find(b"IDAT") + 4)
    images = [
        closed,
        Image.open(io.BytesIO(data[:90])),
        Image.open(io.BytesIO(noise[:second] + bytes(4) + noise[second + 4 :])),
    ]
    for im in images:
        with pytest.raises(ImageError, match="^the image cannot be read: .+"):
            image_pixels(im)
