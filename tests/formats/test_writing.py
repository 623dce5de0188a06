"""Every kind of picture file that Pillow writes, read back."""

import io

import numpy as np
import pytest
from PIL import Image

from odpiece.formats.errors import OptionError
from odpiece.formats.images import few_colours, keeps_alpha, read_image, resized, suffix_of, write_image
from odpiece.formats.writing import OTHERS

Y, X = np.mgrid[0:40, 0:60]
COLOURS = np.stack([40 + X * 3, 220 - Y * 5, 60 + X + Y], axis=2).astype(np.uint8)
ALPHA = (X * 4).astype(np.uint8)
SHAPES = {
    "grey": COLOURS[..., 0],
    "colours": COLOURS,
    "grey alpha": np.dstack([COLOURS[..., 0], ALPHA]),
    "alpha": np.dstack([COLOURS, ALPHA]),
}
UNREAD = (*OTHERS, "EPS", "ICNS")  # EPS needs Ghostscript, ICNS is of few sizes
EXACT = (".png", ".webp", ".tif", ".tiff", ".ppm", ".bmp", ".tga", ".jp2", ".qoi", ".sgi", ".dib", ".im", ".dds")
Image.init()
READ = [s for s, kind in Image.registered_extensions().items() if kind in Image.SAVE and kind in Image.OPEN]
SUFFIXES = sorted(s for s in READ if Image.registered_extensions()[s] not in UNREAD)


def test_the_usual_kinds_are_among_those_that_are_tested():
    assert {".png", ".jpg", ".webp", ".tif", ".avif", ".ppm", ".gif", ".bmp", ".jp2", ".tga"} < set(SUFFIXES)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_is_read_back(suffix, shape, tmp_path):
    """Exactly where the kind of file can; its means else; laid on white where there is no alpha."""
    pixels = SHAPES[shape]
    assert suffix_of(tmp_path / f"a{suffix.upper()}") == suffix
    got = as_rgba(read_image(write_image(pixels, suffix)).pixels)
    wanted = as_rgba(pixels)
    if not keeps_alpha(suffix):
        wanted[..., :3] = 255 + (wanted[..., :3] - 255) * wanted[..., 3:] / 255
        wanted[..., 3] = 255
    off = (got - wanted) * (wanted[..., 3:] / 255)
    if suffix in EXACT:
        assert np.abs(off).max() <= 1
    assert got.shape == wanted.shape and np.abs(off.mean(axis=(0, 1))).max() <= (60 if few_colours(suffix) else 3)


def as_rgba(pixels):
    """float (H, W, 4) of pixels of any shape."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    alpha = pixels[..., -1] if pixels.shape[2] in (2, 4) else np.full(pixels.shape[:2], 255)
    colours = pixels[..., : 1 if pixels.shape[2] < 3 else 3].repeat(3 if pixels.shape[2] < 3 else 1, axis=2)
    return np.dstack([colours, alpha]).astype(float)


@pytest.mark.parametrize("suffix, alpha", [(".png", True), (".tif", True), (".jpg", False), (".ppm", False)])
def test_which_kinds_keep_alpha(suffix, alpha):
    assert keeps_alpha(suffix) is alpha


@pytest.mark.parametrize("suffix, colours", [(".png", None), (".gif", "256 colours"), (".xbm", "black and white")])
def test_which_kinds_have_few_colours(suffix, colours):
    assert few_colours(suffix) == (colours and f"{suffix} files have only {colours}")


def test_documents_are_written():
    assert write_image(COLOURS, ".pdf").startswith(b"%PDF")
    assert write_image(SHAPES["alpha"], ".eps").startswith(b"%!PS")


@pytest.mark.parametrize("suffix", [".h5", ".wmf", ".grib", ".odp"])
def test_kinds_that_pillow_only_knows_by_name(suffix, tmp_path):
    with pytest.raises(OptionError, match="^cannot write a"):
        suffix_of(tmp_path / f"a{suffix}")


def test_a_picture_that_would_become_another_size_is_refused():
    with pytest.raises(OptionError, match="600x400 pixels .* do not fit a .ico file"):
        write_image(np.zeros((400, 600, 3), np.uint8), ".ico")


def test_tiff_is_compressed():
    assert len(write_image(np.zeros((400, 600, 3), np.uint8), ".tif")) < 20_000


@pytest.mark.parametrize("shape", SHAPES)
def test_a_smaller_picture_has_the_same_means(shape):
    pixels = SHAPES[shape]
    small = resized(pixels, 20, 30)
    assert small.shape == (20, 30, *pixels.shape[2:]) and small.dtype == np.uint8
    assert np.abs(small.mean(axis=(0, 1)) - pixels.mean(axis=(0, 1))).max() < 2 or shape.endswith("alpha")
    with Image.open(io.BytesIO(write_image(small))) as im:
        assert im.size == (30, 20)
