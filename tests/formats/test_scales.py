"""Scales and resampling: sizes, values, strips that nothing shows; the exact filter is in test_format_document.py."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from odpiece.formats.errors import OptionError
from odpiece.formats.resampling import STRIP, enlarged, largest, reduced
from odpiece.formats.scales import SCALES, scales_of


@pytest.mark.parametrize("wanted", ["1/3", "2", 0, "0", "", "1/0", None, 2, 0.3, "half", [1], float("nan")])
def test_other_scales_are_refused(wanted):
    with pytest.raises(OptionError, match="give 1, 1/2, 1/4 or auto"):
        scales_of(wanted)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (64, 130), (2 * STRIP * 4 + 3, 9)])
def test_flat_pictures_stay_what_they_are(scale, size):
    pixels = np.full((*size, 3), (0, 255, 77), np.uint8)
    small = reduced(pixels, scale)
    assert small.shape == (*(-(-n // scale) for n in size), 3)
    assert (small == small[0, 0]).all() and (small[0, 0] == pixels[0, 0]).all()
    assert (enlarged(small, scale, *size) == pixels).all()


@pytest.mark.parametrize("scale", [2, 4])
def test_the_way_down_is_that_of_pillow_whatever_the_strips(scale):
    """Away from the edges, which go on here and are cut off there."""
    pixels = np.random.default_rng(0).integers(0, 256, (4 * scale * STRIP // 2, 40 * scale), np.uint8)
    whole = Image.fromarray(pixels).resize((40, 2 * STRIP), Image.Resampling.LANCZOS)
    assert (reduced(pixels, scale)[4:-4, 4:-4] == np.asarray(whole)[4:-4, 4:-4]).all()


@pytest.mark.parametrize("scale", [2, 4])
def test_what_is_smooth_comes_back_where_it_was(scale):
    y, x = np.mgrid[0:301, 0:203]
    pixels = (128 + 60 * np.sin(x / 17) + 60 * np.cos(y / 23)).astype(np.uint8)
    back = enlarged(reduced(pixels, scale), scale, 301, 203)
    inner = np.abs(back.astype(int) - pixels)[8:-8, 8:-8]
    assert inner.max() <= 2


def test_largest_misses_no_pixel():
    plane = np.zeros((9, 13), np.uint8)
    plane[8, 12], plane[3, 4], plane[3, 7] = 1, 200, 255
    small = largest(plane, 4)
    assert small.tolist() == [[0, 255, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert largest(plane, 1) is plane


def test_memory_is_that_of_the_result_and_a_strip():
    pixels = np.zeros((16000, 500, 3), np.uint8)
    small = reduced(pixels, 4)
    for call, result in (((reduced, pixels, 4), small.nbytes), ((enlarged, small, 4, 16000, 500), pixels.nbytes)):
        tracemalloc.start()
        call[0](*call[1:])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < result + 6_000_000
