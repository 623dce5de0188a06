"""ThumbHash against a golden hash, another encoder and the picture itself."""

import numpy as np
import pytest

from odpiece.codec.comparison import thumbhash


@pytest.mark.parametrize("height, width", [(64, 64), (60, 100), (100, 37), (9, 100), (1, 1)])
def test_pack_agrees_with_the_package_thumbhash(photo, height, width):
    peer = pytest.importorskip("thumbhash")
    pixels = photo[60 : 60 + height, :width]
    opaque = np.concatenate([pixels, np.full((height, width, 1), 255, np.uint8)], axis=-1)
    assert thumbhash.pack(pixels) == bytes(peer.rgba_to_thumb_hash(width, height, opaque.ravel().tolist()))


# What the decoder of the package thumbhash-python makes of two hashes: pixels at (0, 0), (H // 2, W // 2), (H - 1, 3)
GOLDEN = {
    "9808122f029888778f77887775577768a7878607a777800b": ((32, 32), [(105, 107, 123), (58, 58, 49), (78, 61, 0)]),
    "9808122c829888778f778877757578707a07b8": ((18, 32), [(118, 120, 136), (70, 69, 58), (90, 73, 0)]),
    "9808122b02988f775775766778707a07b8": ((32, 14), [(84, 86, 101), (64, 64, 55), (64, 46, 0)]),
}


@pytest.mark.parametrize("packed", GOLDEN)
def test_unpack_agrees_with_the_package_thumbhash_python(packed):
    (height, width), expected = GOLDEN[packed]
    pixels = thumbhash.unpack(bytes.fromhex(packed), (height, width, 3))
    found = [pixels[0, 0], pixels[height // 2, width // 2], pixels[-1, 3]]
    assert [tuple(map(int, pixel)) for pixel in found] == expected


def test_unpack_draws_at_any_size(photo):
    data = thumbhash.pack(photo[:100, :100])
    small, large = thumbhash.unpack(data, (32, 32, 3)), thumbhash.unpack(data, (64, 64, 3))
    assert np.abs(large.reshape(32, 2, 32, 2, 3).mean((1, 3)) - small).max() < 2


def test_a_hash_of_one_colour():
    pixels = np.full((20, 20, 3), (200, 100, 50), np.uint8)
    assert np.abs(thumbhash.unpack(thumbhash.pack(pixels), pixels.shape) - pixels.astype(int)).max() < 12
