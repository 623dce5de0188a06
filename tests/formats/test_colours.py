"""Gamma and primaries of PNG files, against the formulas of its specification and against ICC profiles."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from odpiece.formats.images import read_image
from odpiece.formats.png import pack_chunk, pack_png

SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
ADOBE = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
EXCHANGED = (0.3127, 0.3290, 0.30, 0.60, 0.64, 0.33, 0.15, 0.06)  # red and green
HEADER_END = 33


@pytest.fixture(scope="module")
def colours():
    return np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def gamma(value):
    return pack_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def primaries(values):
    return pack_chunk(b"cHRM", struct.pack(">8I", *(round(v * 100_000) for v in values)))


def read(pixels, *chunks, **options):
    data = pack_png(pixels)
    return read_image(data[:HEADER_END] + b"".join(chunks) + data[HEADER_END:], **options).pixels


def srgb_curve(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def shown(pixels, value):
    return 255 * srgb_curve((pixels / 255) ** (1 / value))


@pytest.mark.parametrize("value", [1.0, 0.55556, 0.3])
def test_gamma(value, colours):
    assert np.abs(read(colours, gamma(value)) - shown(colours, value)).max() <= 1
    grey = read(colours[..., 0], gamma(value))
    assert grey.ndim == 2 and np.abs(grey - shown(colours[..., 0], value)).max() <= 1


def test_gamma_leaves_alpha(colours):
    pixels = np.dstack([colours, colours[..., 0]])
    got = read(pixels, gamma(1.0))
    np.testing.assert_array_equal(got[..., 3], pixels[..., 3])
    assert np.abs(got[..., :3] - shown(colours, 1.0)).max() <= 1


@pytest.mark.parametrize("chunks", [[gamma(0.45455)], [primaries(SRGB)], [gamma(0.45455), primaries(SRGB)]])
def test_those_of_srgb_change_nothing(chunks, colours):
    np.testing.assert_array_equal(read(colours, *chunks), colours)


@pytest.mark.parametrize("value", [1.0, 0.45455])
def test_primaries_are_converted(value, colours):
    got = read(colours, gamma(value), primaries(EXCHANGED))
    expected = colours[..., [1, 0, 2]]
    assert np.abs(got - (expected if value < 1 else shown(expected, value))).max() <= 1


def test_primaries_without_gamma_have_the_curve_of_srgb(colours):
    assert np.abs(read(colours, primaries(EXCHANGED)).astype(int) - colours[..., [1, 0, 2]]).max() <= 1


def test_a_wider_gamut_looks_more_saturated(colours):
    (pixel,) = read(np.array([[[60, 200, 60]]], np.uint8), gamma(0.45455), primaries(ADOBE))[0]
    assert pixel[0] < 10 and 195 < pixel[1] < 206 and pixel[2] < 60  # as browsers show that green of Adobe RGB


def test_grey_and_white_stay_grey_and_white():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(read(grey, primaries(ADOBE)), grey)
    d50 = (0.3457, 0.3585, *SRGB[2:])
    white_and_red = np.array([[[255, 255, 255], [200, 10, 10]]], np.uint8)
    np.testing.assert_array_equal(read(white_and_red, primaries(d50))[0, 0], [255, 255, 255])
    np.testing.assert_allclose(
        read(np.full((1, 2, 3), [[255, 255, 255], [1, 2, 3]], np.uint8), primaries(d50))[0, 0], 255
    )


def test_srgb_goes_before_gamma_and_primaries(colours):
    np.testing.assert_array_equal(read(colours, pack_chunk(b"sRGB", b"\0"), gamma(1.0), primaries(EXCHANGED)), colours)


def test_a_profile_goes_before_gamma(colours):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    chunk = pack_chunk(b"iCCP", b"p\0\0" + zlib.compress(srgb))
    assert np.abs(read(colours, chunk, gamma(1.0)).astype(int) - colours).max() <= 2
    np.testing.assert_array_equal(read(colours, chunk, gamma(1.0), keep=("icc",)), colours)


@pytest.mark.parametrize(
    "chunks", [[gamma(0)], [primaries((0,) * 8)], [primaries((0.3,) * 8)], [gamma(0), primaries((1,) * 8)]]
)
def test_nonsense_is_ignored(chunks, colours):
    np.testing.assert_array_equal(read(colours, *chunks), colours)


def test_a_palette_has_gamma_too(colours):
    im = Image.fromarray(colours).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    out = io.BytesIO()
    im.save(out, "PNG")
    data = out.getvalue()
    got = read_image(data[:HEADER_END] + gamma(1.0) + data[HEADER_END:]).pixels
    assert np.abs(got - shown(np.asarray(im.convert("RGB")), 1.0)).max() <= 1
