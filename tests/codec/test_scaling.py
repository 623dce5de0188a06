"""Pictures coded smaller than they are: same shapes, counts by the true size, and the scale that pays."""

from dataclasses import dataclass

import numpy as np
import pytest

from odpiece.codec import decode, decode_tokens, encode, encode_tokens, read_tokens, truncate
from odpiece.codec.files import analyzed, read, read_partial, scaled
from odpiece.codec.scaling import GAIN, HEADER_BYTES, MOST_PIXELS, Scaled
from odpiece.codec.targets import encode_to_psnr, encode_to_size, psnr
from odpiece.formats.container import CoderId, Header, StoredSegment, pack, unpack
from odpiece.formats.errors import OptionError
from odpiece.formats.resampling import enlarged, reduced
from odpiece.models.interface import USUAL_QUALITY

RAW = {"coder": CoderId.RAW, "effort": 0}  # fast


@pytest.fixture(scope="module")
def large(example):
    """uint8 (560, 520, 3): a photograph without fine detail, as of a large camera."""
    big = example.repeat(3, axis=0).repeat(3, axis=1)[:560, :520].astype(np.float32)
    for axis in (0, 1):
        big = sum(np.roll(big, k, axis) for k in range(-3, 4)) / 7
    return big.astype(np.uint8)


@pytest.mark.parametrize("scale, denominator", [(1, 1), ("1/2", 2), (0.25, 4)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_shapes_colours_and_alpha_come_back(photo, scale, denominator, channels):
    alpha = np.zeros((61, 150, 1), np.uint8)
    alpha[10:, :77] = 255
    colours = photo[100:161, :150, :1] if channels < 3 else photo[100:161, :150]
    pixels = colours if channels % 2 else np.concatenate([colours, alpha], axis=2)
    pixels = pixels[..., 0] if channels == 1 else pixels
    data = encode(pixels, 40, scale=scale, **RAW)
    header, back = read(data).header, decode(data)
    assert (header.height, header.width, header.scale, header.quality) == (61, 150, denominator, 40)
    assert header.q == 40 * denominator**2 and back.shape == pixels.shape
    if channels % 2 == 0:
        assert (back[..., -1] == alpha[..., 0]).all()
    seen = alpha[..., 0] > 0 if channels % 2 == 0 else np.ones((61, 150), bool)
    assert psnr(back[seen], pixels[seen]) > 18


def test_pixels_are_those_of_the_small_picture_scaled_up(photo):
    """The same small picture, coded by itself, has the same tokens."""
    data = encode(photo, 16, scale="1/2", effort=0)
    alone = encode(reduced(photo, 2), 64, scale=1, effort=0)
    assert read(data).tokens.sha256 == read(alone).tokens.sha256
    assert (decode(data) == enlarged(decode(alone), 2, *photo.shape[:2])).all()
    assert unpack(data).segments == unpack(alone).segments


def test_tokens_are_counted_by_the_true_size(photo):
    data = encode(photo, 64, scale="1/2", **RAW)
    short = truncate(data, 16)
    assert read(short).header.limit == 64 and read(short).tokens.lengths.max() == 64
    assert (decode(short) == decode(data, tokens=16)).all()
    assert (decode(data, tokens=64) == decode(data)).all() and (decode(truncate(data, 64)) == decode(data)).all()


def test_cut_files_give_what_is_certain(photo):
    data = encode(photo, 64, scale="1/4", effort=0)
    contents = read_partial(data[: len(data) * 2 // 3])
    picture = contents.picture(contents.tokens)
    assert not contents.complete and picture.shape == photo.shape
    assert psnr(picture, photo) > psnr(np.full_like(photo, 128), photo)
    assert [contents.picture(tokens).shape for tokens in contents.progress()] == [photo.shape] * len(contents.groups)


@pytest.mark.parametrize("scale, most", [("1/2", 1024), ("1/4", 256)])
def test_a_piece_has_no_more_tokens_than_there_are(photo, scale, most):
    assert read(encode(photo[:64, :64], most, scale=scale, **RAW)).header.q == 4096
    with pytest.raises(OptionError, match=f"q is {most + 1}, at scale {scale} give at most {most}"):
        encode(photo[:64, :64], most + 1, scale=scale, **RAW)


def test_tokens_as_arrays_are_those_of_the_small_picture(photo):
    pixels = photo[:150, :250]
    tokens = encode_tokens(pixels, 9, scale="1/2", effort=0)
    data = encode(pixels, 9, scale="1/2", effort=0)
    assert tokens.shape == (2, 2, 36, 3) and (tokens == read_tokens(data)).all()
    assert (decode_tokens(tokens, 9, size=(150, 250), scale="1/2") == decode(data)).all()
    assert decode_tokens(tokens[:, :, :5], 2.25, scale=0.5).shape == (256, 256, 3)
    assert encode_tokens(pixels, 9, **RAW).shape == (3, 4, 9, 3)
    for wrong in ({"scale": "auto"}, {"scale": "1/4"}, {"scale": "1/2", "size": (128, 250)}):
        with pytest.raises(OptionError):
            decode_tokens(tokens, 9, **{"size": (150, 250)} | wrong)
    for q in (2.3, 1025, 0):
        with pytest.raises(OptionError, match="q is"):
            decode_tokens(tokens, q, scale="1/2")


def test_transparent_pixels_do_not_count_at_any_scale(photo):
    """Colours behind alpha 0 are the encoder's own, so nothing of what stood there is in the file."""
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:, 100:] = 0
    files = [encode(np.dstack([np.where(alpha[..., None], photo, c), alpha]), 8, scale="1/2") for c in (0, 200)]
    assert files[0] == files[1]


def test_small_pictures_and_high_qualities_stay_as_they_are(photo, example):
    assert encode(photo, 16, effort=0) == encode(photo, 16, scale=1, effort=0)
    edge = np.zeros((512, 512), np.uint8)
    assert edge.size == MOST_PIXELS and scaled(edge).scales == (1,)
    assert scaled(np.zeros((255, 2000), np.uint8)).scales == (1,)
    picture = scaled(np.zeros((513, 512), np.uint8))
    assert picture.scales == (1, 2, 4) and picture.best(256) == picture.best(4096) == 1


@dataclass
class Fake:
    """An Analyzed whose files have `sizes[scale]` bytes of payload and a squared error of `errors[scale]`."""

    pixels: np.ndarray
    scale: int
    sizes: dict
    errors: dict

    def encode(self, q, effort):
        return pack(Header(64, 64, 1, CoderId.RAW, bytes(4)), [StoredSegment(bytes(self.sizes[self.scale]))])

    def decoded(self, data):
        return self.pixels + np.float32(self.errors[self.scale]) ** 0.5


@pytest.mark.parametrize("tenfold", [2, 4])
@pytest.mark.parametrize("q, expected", [(32, 4), (32.1, 2), (128, 2), (128.1, 1), (0.1, 4)])
def test_the_scale_that_is_better_for_the_bytes_is_best(q, expected, tenfold):
    """Fewer bytes are worth GAIN dB for each factor of e; what would need a high quality is left out."""

    def make(pixels, scale, metadata=None):
        return Fake(np.zeros((1024, 1024, 3), np.uint8), scale, sizes, errors)

    sizes, errors = {1: 8000, 2: 4000, 4: 2000}, {1: 100.0, 2: 100.0, 4: 100.0}
    assert Scaled(make, None, (1, 2, 4)).best(q) == expected
    loss = 10 ** (GAIN * np.log((HEADER_BYTES + 8000) / (HEADER_BYTES + sizes[tenfold])) / 10)
    for factor, kept in ((0.99, True), (1.01, False)):
        errors = {1: 100.0, 2: 1e4, 4: 1e4, tenfold: 100.0 * loss * factor}
        if q < 256 and q * tenfold**2 <= USUAL_QUALITY:
            assert (Scaled(make, None, (1, 2, 4)).best(q) == tenfold) == kept


def test_a_soft_picture_is_coded_smaller():
    y, x = np.mgrid[0:600, 0:700]
    sky = np.stack([90 + y / 6, 140 + 20 * np.sin(x / 90), 200 - 20 * np.cos(y / 70)], axis=2).astype(np.uint8)
    assert scaled(sky).best(4) > 1


def test_auto_is_the_fixed_scale_that_it_takes(large):
    data = encode(large, 2, effort=0)
    assert data == encode(large, 2, scale=1 / read(data).header.scale, effort=0)
    assert read(data).header.quality == 2


@pytest.mark.parametrize("size", [300])
def test_sizes_are_met_at_the_scale_that_suits(large, size):
    data = encode_to_size(large, size, effort=0)
    assert 0.9 * size <= len(data) <= size and decode(data).shape == large.shape
    header = read(data).header
    assert scaled(large).best(header.quality) >= header.scale


def test_a_huge_size_takes_the_true_size(large):
    pixels = large[:, :500]  # of more than MOST_PIXELS
    data = encode_to_size(pixels, 10**7, coder=CoderId.STATIC, effort=0)
    assert (read(data).header.scale, read(data).header.q) == (1, 4096)


def test_qualities_are_those_of_the_true_size(large):
    assert 22.0 <= psnr(decode(encode_to_psnr(large, 22.0, effort=0)), large) <= 22.2


def test_a_fixed_scale_holds_for_targets(large):
    data = encode_to_size(large, 300, scale="1/4", effort=0)
    assert read(data).header.scale == 4 and 288 <= len(data) <= 300


def test_one_d_piece_models_code_the_true_size_only(tiny):
    pixels = np.zeros((600, 600, 3), np.uint8)
    assert scaled(pixels, model=tiny).scales == (1,)
    with pytest.raises(OptionError, match="scale 1"):
        analyzed(pixels, model=tiny, scale="1/2")
