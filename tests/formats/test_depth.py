"""Grey of more than 8 bits, against what viewers show, and transparent grey of PNG, against the specification."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from odpiece.formats.images import image_pixels, read_image
from odpiece.formats.png import SIGNATURE, pack_chunk

GREY, RGB = 0, 2
Y, X = np.mgrid[0:60, 0:80]
UNIT = (X + Y) / (X + Y).max()


def tiff(values, bits, sample_format=1, packed=None):
    """A little-endian TIFF file of one strip of grey `values`."""
    data = values.tobytes() if packed is None else packed
    tags = {256: values.shape[1], 257: values.shape[0], 258: bits, 259: 1, 262: 1, 273: 8, 277: 1}
    tags |= {278: values.shape[0], 279: len(data), 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def saved(values, form="TIFF"):
    out = io.BytesIO()
    Image.fromarray(values).save(out, form)
    return out.getvalue()


def outlier(values, value, count=1):
    """`values` with single pixels of another value."""
    values = values.copy()
    values.flat[:count] = value
    return values


def near(data, expected, within=1, but=4):
    """The pixels, but for the first few, are those of floats from 0 to 1."""
    pixels = read_image(data).pixels.ravel()[but:]
    assert np.abs(pixels - 255 * expected.ravel()[but:]).max() <= within


@pytest.mark.parametrize("top", [1, 255, 65535, 1e6])
@pytest.mark.parametrize("value", [1.0001, 1.9, 1e9, -1e9, np.inf, -np.inf, np.nan])
def test_single_floats_do_not_set_the_range(top, value):
    near(saved(outlier(np.float32(UNIT * top), np.float32(value * top), 3)), UNIT, within=6)


@pytest.mark.parametrize("top", [255, 65535])
@pytest.mark.parametrize("value", [256, 65536, 2**31 - 1, -(2**31)])
def test_single_integers_do_not_set_the_range(top, value):
    near(saved(outlier(np.int32(np.rint(UNIT * top)), value, 3)), UNIT)


def test_overshoot_of_a_filter_is_clipped():
    checks = Image.fromarray(((X // 8 + Y // 8) % 2).astype(np.float32)).resize((200, 150), Image.Resampling.LANCZOS)
    expected = np.clip(np.asarray(checks), 0, 1)
    near(saved(np.asarray(checks)), expected)


def test_bright_lights_are_clipped():
    near(saved(np.float32(UNIT * 5)), np.clip(UNIT * 5, 0, 1))


def test_twelve_bits():
    values = np.rint(UNIT * 4095).astype(np.uint16)
    pairs = values.reshape(60, -1, 2)
    packed = np.stack([pairs[..., 0] >> 4, (pairs[..., 0] & 15) << 4 | pairs[..., 1] >> 8, pairs[..., 1] & 255], 2)
    near(tiff(values, 12, packed=packed.astype(np.uint8).tobytes()), UNIT)


def test_dark_pictures_of_sixteen_bits_stay_dark():
    near(saved(np.uint16(UNIT * 4095)), UNIT / 16)
    near(saved(np.uint16(UNIT * 4095), "PNG"), UNIT / 16)


def test_signed_and_unsigned_integers():
    near(tiff((UNIT * 4294967295).astype(np.uint32), 32), UNIT)
    near(tiff((UNIT * 2147483647).astype(np.int32), 32, sample_format=2), UNIT)
    near(tiff((UNIT * 32767).astype(np.int16), 16, sample_format=2), UNIT)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_black_stays_black(dtype):
    assert not read_image(saved(np.zeros((5, 4), dtype))).pixels.any()
    assert not read_image(saved(np.full((5, 4), -7, dtype))).pixels.any()


@pytest.mark.parametrize("most", [1023, 4095, 65535])
def test_pgm_says_what_white_is(most):
    head = f"P5 80 60 {most}\n".encode()
    near(head + np.rint(UNIT * most).astype(">u2").tobytes(), UNIT)


def test_images_in_memory_are_scaled_alike():
    np.testing.assert_array_equal(
        image_pixels(Image.fromarray(np.float32(UNIT))), read_image(saved(np.float32(UNIT))).pixels
    )


def png(samples, colour_type, depth, key):
    """A PNG of grey (H, W) or colour (H, W, 3) samples, of `depth` bits, with a transparent colour."""
    height, width = samples.shape[:2]
    if depth < 8:
        bits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=2)[..., -depth:]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    else:
        rows = samples.astype(">u2" if depth == 16 else np.uint8)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", struct.pack(f">{len(key)}H", *key))]
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))), (b"IEND", b"")]
    return SIGNATURE + b"".join(pack_chunk(*chunk) for chunk in chunks)


def alpha(pixels):
    return pixels[..., -1] if pixels.ndim == 3 and pixels.shape[2] in (2, 4) else np.full(pixels.shape[:2], 255)


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_exact(depth, in_memory):
    samples = np.random.default_rng(depth).integers(0, 2**depth, (40, 33))
    for key in (int(samples[3, 5]), 0, 2**depth - 1):
        data = png(samples, GREY, depth, [key])
        pixels = image_pixels(Image.open(io.BytesIO(data))) if in_memory else read_image(data).pixels
        np.testing.assert_array_equal(alpha(pixels) == 0, samples == key)
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        assert np.abs(grey - 255 * samples / (2**depth - 1)).max() <= 0.5


@pytest.mark.parametrize("colour_type", [GREY, RGB])
def test_neighbours_of_a_transparent_value_of_sixteen_bits_stay(colour_type):
    samples = np.full((8, 9) if colour_type == GREY else (8, 9, 3), 30001)
    samples[:2] = 30000
    samples[4:] = 50000
    pixels = read_image(png(samples, colour_type, 16, [30000] * (1 if colour_type == GREY else 3))).pixels
    np.testing.assert_array_equal(alpha(pixels)[:, 0] == 0, np.arange(8) < 2)


@pytest.mark.parametrize("depth", [2, 4, 8, 16])
def test_a_transparent_value_that_does_not_occur_is_no_alpha(depth):
    data = png(np.full((4, 4), 1), GREY, depth, [65535 if depth < 16 else 2])
    assert read_image(data).pixels.shape == (4, 4)


def test_a_transparent_colour_of_eight_bits():
    samples = np.random.default_rng(0).integers(0, 3, (30, 20, 3))
    pixels = read_image(png(samples, RGB, 8, [1, 2, 0])).pixels
    np.testing.assert_array_equal(alpha(pixels) == 0, (samples == [1, 2, 0]).all(axis=2))
