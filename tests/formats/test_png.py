"""PNG files against Pillow's reader."""

import io

import numpy as np
import pytest
from PIL import Image

from odpiece.formats import png
from odpiece.formats.png import pack_chunk, pack_png, unpack_chunks

SHAPES = [(1, 1), (1, 1, 3), (7, 5, 2), (40, 31, 3), (33, 64, 4), (3, 5000, 3), (3000, 1, 3)]


def opened(data):
    im = Image.open(io.BytesIO(data))
    im.load()  # checks the checksums of chunks and of the zlib stream
    return np.asarray(im)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("band", [1, 1000, png.BAND_BYTES])
def test_any_shape_is_read_back(shape, band, monkeypatch):
    monkeypatch.setattr(png, "BAND_BYTES", band)
    rng = np.random.default_rng(len(shape))
    for pixels in (rng.integers(0, 256, shape), rng.integers(0, 2, shape) * 255, np.full(shape, 200)):
        np.testing.assert_array_equal(opened(pack_png(pixels.astype(np.uint8))), pixels)


def test_views_are_written(photo):
    for pixels in (photo[::-1, ::-1], photo[..., 1], photo[5:70, 9:33]):
        np.testing.assert_array_equal(opened(pack_png(pixels)), pixels)


def test_a_photograph_is_about_as_small_as_by_pillow(example):
    out = io.BytesIO()
    Image.fromarray(example).save(out, "PNG", compress_level=4)
    assert len(pack_png(example)) < 1.02 * len(out.getvalue())


def test_chunks_come_before_the_pixels(photo):
    data = pack_png(photo, pack_chunk(b"tEXt", b"Title\0hill"))
    kinds = [kind for kind, _ in unpack_chunks(data)]
    assert kinds[:3] == [b"IHDR", b"tEXt", b"IDAT"] and kinds[-1] == b"IEND"
    with Image.open(io.BytesIO(data)) as im:
        assert im.text == {"Title": "hill"}
