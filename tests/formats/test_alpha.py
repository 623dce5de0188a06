"""Alpha planes: masks exact, the rest alike and small, damage noticed, and what is filled under them."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from odpiece.formats.alpha import fill_transparent, pack_alpha, unpack_alpha
from odpiece.formats.errors import DamagedError

CONSTANT, MASK, SMOOTHED, SOFT = range(4)


def disc(side, softness):
    """uint8 (side, side): a disc whose outline is `softness` pixels wide, 0 for a mask."""
    distance = np.hypot(*np.ogrid[0.5 - side / 2 : side / 2, 0.5 - side / 2 : side / 2])
    inside = 0.4 * side - distance
    return np.uint8(255 * (inside > 0) if softness == 0 else np.clip(255 * (inside / softness + 0.5), 0, 255))


def rms(a, b):
    return np.sqrt(np.mean((a.astype(float) - b) ** 2))


@pytest.mark.parametrize("value", [0, 1, 128, 255])
def test_constant_planes_take_two_bytes(value):
    data = pack_alpha(np.full((300, 200), value, np.uint8))
    assert data == bytes([CONSTANT, value])
    assert (unpack_alpha(data, 300, 200) == value).all()


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (3, 5), (64, 64), (65, 63), (1000, 9), (70_000, 3), (3, 40_000)])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_masks_are_exact(shape, share):
    plane = np.where(np.random.default_rng(1).random(shape) < share, 255, 0).astype(np.uint8)
    plane[0, 0], plane[-1, -1] = 0, 255
    data = pack_alpha(plane)
    assert data[0] == MASK
    assert (unpack_alpha(data, *shape) == plane).all()


@pytest.mark.parametrize("side, size", [(64, 70), (256, 240)])
def test_masks_are_smaller_than_pillow_s_smallest(side, size, tmp_path):
    plane = disc(side, 0)
    Image.fromarray(plane).convert("RGB").save(tmp_path / "mask.webp", lossless=True, quality=100, method=6)
    assert len(pack_alpha(plane)) <= min(size, (tmp_path / "mask.webp").stat().st_size - 20)


@pytest.mark.parametrize("side", [64, 256])
def test_outlines_of_a_pixel_cost_no_more_than_a_mask(side):
    plane = disc(side, 1.5)
    data = pack_alpha(plane)
    assert data[0] == SMOOTHED and len(data) <= len(pack_alpha(disc(side, 0))) + 8
    assert rms(unpack_alpha(data, side, side), plane) <= 10


@pytest.mark.parametrize("shape", [(256, 256), (255, 131), (64, 40)])
def test_soft_planes_are_alike(shape):
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    plane = np.uint8(255 * (x / shape[1] + y / shape[0]) / 2)
    data = pack_alpha(plane)
    got = unpack_alpha(data, *shape)
    assert data[0] == SOFT and got.shape == shape and rms(got, plane) < 8
    assert len(data) < 300 + plane.size / 100


@pytest.mark.parametrize("shape", [(1, 3), (3, 200), (40_000, 2)])
def test_soft_planes_of_odd_shapes_keep_their_shape(shape):
    plane = np.uint8(np.arange(shape[0] * shape[1]) % 97 + 80).reshape(shape)
    assert unpack_alpha(pack_alpha(plane), *shape).shape == shape


def test_a_shadow_keeps_its_mask_and_its_softness():
    plane = np.maximum(disc(256, 1.5), np.asarray(Image.fromarray(disc(256, 0)).filter(ImageFilter.GaussianBlur(20))))
    data = pack_alpha(plane)
    got = unpack_alpha(data, 256, 256)
    assert data[0] == SOFT and rms(got, plane) < 8 and len(data) < 800
    assert got[0, 0] <= plane[0, 0] and got[128, 128] == 255


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0ab", b"\1", b"\2", b"\3", b"\3\2", b"\3\0RIFF", b"\4abc", b"\3\2" + bytes(50)]
)
def test_damaged_planes(data):
    with pytest.raises(DamagedError, match="alpha"):
        unpack_alpha(data, 50, 60)


def test_a_soft_plane_of_another_size_is_damaged():
    plane = np.uint8(np.arange(60) * np.ones((50, 1)) * 4)
    assert pack_alpha(plane)[0] == SOFT
    with pytest.raises(DamagedError, match="size"):
        unpack_alpha(pack_alpha(plane), 50, 63)


@pytest.mark.parametrize("channels", [1, 3])
def test_filling_changes_nothing_that_shows_and_is_smooth(channels):
    rng = np.random.default_rng(0)
    alpha = np.where(rng.random((90, 70)) < 0.1, 200, 0).astype(np.uint8)
    colours = np.where(alpha[..., None] > 0, 150, 0).repeat(channels, axis=2).astype(np.uint8)
    colours[60:, :, 0] = np.where(alpha[60:] > 0, 50, 255)
    filled = fill_transparent(colours, alpha)
    assert (filled[alpha > 0] == colours[alpha > 0]).all() and filled.dtype == np.uint8
    assert (np.abs(filled[:50].astype(int) - 150) <= 1).all()
    assert (np.abs(filled[75:, :, 0].astype(int) - 50) <= 1).all()


def test_nothing_to_fill_and_nothing_to_fill_from():
    colours = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert fill_transparent(colours, np.full((9, 7), 1, np.uint8)) is colours
    assert (fill_transparent(colours, np.zeros((9, 7), np.uint8)) == 128).all()


@pytest.mark.parametrize("limit", [1, 100, 10_000, None])
@pytest.mark.parametrize("softness, kind", [(0, MASK), (1.5, SMOOTHED), (60, SOFT)])
def test_pillow_s_limit_says_nothing_about_planes(limit, softness, kind, monkeypatch):
    """It is for files that a program opens; it stays as it was."""
    plane = disc(256, softness)
    data = pack_alpha(plane)
    expected = unpack_alpha(data, 256, 256)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert data[0] == kind and pack_alpha(plane) == data
    assert (unpack_alpha(data, 256, 256) == expected).all()
    assert Image.MAX_IMAGE_PIXELS == limit


def test_a_soft_plane_larger_than_announced_is_refused_by_its_header(monkeypatch):
    """The decoder of WebP takes memory for all of a picture when it is made."""
    data = pack_alpha(disc(256, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DamagedError, match="alpha"):
        unpack_alpha(data, 100, 100)
    assert Image.MAX_IMAGE_PIXELS == 10
