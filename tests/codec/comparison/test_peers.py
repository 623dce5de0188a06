"""Every codec makes real files without metadata, and gives the picture back."""

import io

import numpy as np
import pytest
from PIL import Image

from odpiece.codec import decode, encode
from odpiece.codec.comparison import peers
from odpiece.codec.comparison.peers import CODECS, ODPIECE, PEERS, find_peer
from odpiece.codec.targets import psnr
from odpiece.formats.errors import MissingExtraError, OptionError
from odpiece.models.interface import TOKENS
from odpiece.models.library import load_model

MAGIC = {"jpeg": b"\xff\xd8\xff", "webp": b"RIFF", "avif": b"\0\0\0", "jxl": b"\xff\x0a"}
LADDERS = ["jpeg", "webp", "avif", "jxl"]


@pytest.fixture
def codec(request):
    """The Codec of a name; skips where its package is missing."""
    found = CODECS[request.param]
    try:
        found.require()
    except MissingExtraError as error:
        pytest.skip(str(error))
    return found


every = pytest.mark.parametrize("codec", CODECS, indirect=True)
ladders = pytest.mark.parametrize("codec", LADDERS, indirect=True)


@every
def test_a_file_gives_the_picture_back(codec, photo):
    data = codec.encode(photo, codec.qualities[-1])
    pixels = codec.decode(data, photo.shape)
    assert (pixels.dtype, pixels.shape) == (np.uint8, photo.shape)
    assert psnr(photo, pixels) > psnr(photo, np.broadcast_to(photo.mean((0, 1)).astype(np.uint8), photo.shape)) + 2


@every
def test_encoding_twice_gives_the_same_bytes(codec, photo):
    assert codec.encode(photo, codec.qualities[0]) == codec.encode(photo, codec.qualities[0])


def test_ours_goes_up_to_the_highest_quality():
    assert ODPIECE.qualities[0] == 1 and ODPIECE.qualities[-1] == TOKENS


@ladders
def test_files_are_whole_and_carry_no_metadata(codec, photo):
    data = codec.encode(photo, codec.qualities[3])
    assert data.startswith(MAGIC[codec.name])
    with Image.open(io.BytesIO(data)) as im:
        assert im.size == photo.shape[1::-1]
        made_by_the_decoder = {"icc_profile"} if codec.name == "jxl" else set()
        assert not {"icc_profile", "exif", "xmp", "comment"} & im.info.keys() - made_by_the_decoder


@ladders
def test_bytes_grow_with_quality(codec, photo):
    sizes = [len(codec.encode(photo, q, scale=4)) for q in codec.qualities]
    assert sizes[-1] > 2 * sizes[0]
    assert np.mean(np.diff(sizes) >= 0) > 0.8


@ladders
@pytest.mark.parametrize("shape", [(1, 1), (5, 200), (7, 3)], ids=str)
def test_downscaled_pictures_come_back_at_full_size(codec, shape):
    pixels = np.full((*shape, 3), 128, np.uint8)
    data = codec.encode(pixels, codec.qualities[-1], scale=8)
    assert np.abs(codec.decode(data, pixels.shape).astype(int) - 128).max() <= 6


def test_scales_are_really_smaller(photo):
    jpeg = find_peer("jpeg")
    with Image.open(io.BytesIO(jpeg.encode(photo, 50, scale=3))) as im:
        assert im.size == (85, 64)


def test_blurhashes_are_22_to_88_bytes(photo):
    pytest.importorskip("blurhash")
    codec = find_peer("blurhash")
    assert [len(codec.encode(photo, q)) for q in codec.qualities] == [22, 28, 36, 44, 54, 64, 88]


def test_odpiece_is_what_the_codec_makes(photo):
    data = ODPIECE.encode(photo, 4)
    assert np.array_equal(ODPIECE.decode(data, photo.shape), decode(data))


def test_the_version_of_odpiece_follows_model_and_code(monkeypatch):
    version = peers._version_of_odpiece.__wrapped__
    first = version("faithful", "psnr")
    assert first not in (version("natural", "psnr"), version("faithful", "ssim"))
    assert first == version("faithful", "psnr") and first.startswith(load_model().sha256)
    monkeypatch.setattr(peers, "encode", lambda pixels, q, tune: encode(pixels, q + 1, tune=tune))
    assert version("faithful", "psnr") != first


def test_an_unknown_codec_is_named():
    with pytest.raises(OptionError, match="no codec bpg, give jpeg,webp"):
        find_peer("bpg")


@pytest.mark.parametrize("name, module", [("jxl", "pillow_jxl"), ("blurhash", "blurhash")])
def test_a_missing_package_is_named(name, module, photo, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'odpiece\[compare\]'"):
        find_peer(name).encode(photo, find_peer(name).qualities[0])


def test_the_peers_are_in_the_order_of_the_tables():
    assert [codec.name for codec in PEERS] == [*LADDERS, "thumbhash", "blurhash"]
