"""Whole files with the installed model, whatever its weights are: shapes, quality, damage, options."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from odpiece.codec import decode, encode
from odpiece.codec.bands.coders import LearnedCoder
from odpiece.codec.bands.quantization import source, whole_pieces
from odpiece.codec.bands.tokens import LENGTHS
from odpiece.codec.bands.walk import walk
from odpiece.codec.files import read
from odpiece.codec.range_coder import Writer
from odpiece.formats.container import CoderId
from odpiece.formats.errors import DamagedError, ImageError, NotOdpError, OdpieceError, OptionError, UnknownModelError
from odpiece.formats.images import read_image
from odpiece.models.interface import is_fine
from odpiece.models.library import Model, load_model

SPREAD = sorted(
    {*range(1, 21), *(int(n) + d for n in LENGTHS[7:-1] for d in (-1, 0, 1)), 1023, 1024, 1025, 2048, 2049, 4096}
)


def psnr(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(np.float64) - b).mean())


@pytest.fixture(scope="module")
def piece(photo):
    """uint8 (64, 64, 3): a piece with an edge in it."""
    return np.ascontiguousarray(photo[90:154, 100:164])


@pytest.fixture(scope="module")
def small(piece):
    """The bytes of a file of one piece, and its picture."""
    data = encode(piece, 48)
    return data, decode(data)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 64), (64, 1), (63, 65), (130, 70)])
def test_any_size_keeps_its_shape(height, width, photo):
    pixels = photo[60 : 60 + height, 40 : 40 + width]
    data = encode(pixels, 64)
    got = decode(data)
    assert got.shape == pixels.shape and got.dtype == np.uint8
    header = read(data).header
    assert (header.height, header.width, header.q) == (height, width, 64)
    whole = decode(encode(whole_pieces(pixels), 64, effort=0))
    np.testing.assert_array_equal(decode(encode(pixels, 64, effort=0)), whole[:height, :width])


def test_picture_resembles_the_original(photo):
    got = decode(encode(photo, 256))
    flat = photo.mean(axis=(0, 1), keepdims=True)
    assert psnr(got, photo) > 18
    assert psnr(got, photo) > psnr(flat, photo) + 3


def test_a_larger_q_gives_more_quality_and_more_bytes(example):
    files = [encode(example, q) for q in (1, 4, 16, 64, 256, 1024, 2048, 4096)]
    quality = [psnr(decode(data), example) for data in files]
    assert (np.diff(quality) > 0).all(), quality
    assert (np.diff([len(data) for data in files]) > 0).all()


@pytest.mark.parametrize("q", SPREAD)
def test_every_q_keeps_the_tokens_that_were_chosen(q, piece):
    model = load_model()
    contents = read(encode(piece, q, effort=0))
    latents = model.transform.analyze(piece, fine=is_fine(q))
    coder = LearnedCoder(model.prior)
    chosen, _ = walk(Writer(), coder, q, 1, 1, source(latents, q, coder, model.static_tables["latents"]))
    assert contents.header.q == q
    assert contents.tokens.sha256 == chosen.sha256
    assert contents.tokens.lengths.max() <= q


@pytest.mark.parametrize("q", SPREAD[::5])
def test_every_q_decodes_the_same_each_time(q, piece):
    data = encode(piece, q)
    assert data == encode(piece, q)
    got = decode(data)
    assert got.shape == piece.shape
    np.testing.assert_array_equal(got, decode(data))


def test_fewer_tokens_give_a_coarser_picture(photo):
    data = encode(photo, 256)
    quality = [psnr(decode(data, tokens=n), photo) for n in (1, 16, 64, 256)]
    assert (np.diff(quality) > -0.5).all(), quality
    assert quality[0] + 1 < quality[-1]


def test_as_many_tokens_as_there_are_change_nothing(photo):
    data = encode(photo, 64)
    for tokens in (64, 65, 1024, 4096, np.int64(64)):
        np.testing.assert_array_equal(decode(data, tokens=tokens), decode(data))


@pytest.mark.parametrize("coder", CoderId)
def test_every_coder_holds_a_picture_of_the_same_quality(coder, photo):
    """Rounding follows each coder's bits, so the tokens differ a little."""
    default, data = encode(photo, 64), encode(photo, 64, coder=coder)
    assert read(data).header.coder == coder
    assert abs(psnr(decode(data), photo) - psnr(decode(default), photo)) < 1.5


def test_coders_are_a_ladder(example):
    raw, static, learned = (
        len(encode(example, 64, coder=coder)) for coder in (CoderId.RAW, CoderId.STATIC, CoderId.LEARNED)
    )
    assert learned < static < raw
    assert len(encode(example, 64)) == learned


def test_raw_bits_are_six_a_latent(photo):
    contents = read(encode(photo, 64))
    assert contents.raw_bits == int(contents.tokens.lengths.sum()) * 3 * 6


def silent_changes(files, small):
    """How many of `files` decode to another picture, where only errors of OdpieceError are allowed."""
    data, picture = small
    silent = 0
    for changed in files:
        assert changed != data
        try:
            got = decode(changed)
        except OdpieceError:
            continue
        silent += not np.array_equal(got, picture)
    return silent


def test_every_truncation_is_noticed(small):
    data, _ = small
    for end in (0, 1):
        with pytest.raises(NotOdpError):
            decode(data[:end])
    for end in range(2, 8):
        with pytest.raises(DamagedError):
            decode(data[:end])
    # a checksum of 16 bits misses one change in 65,536
    assert silent_changes([data[:end] for end in range(8, len(data))], small) <= 1


def test_every_flipped_bit_is_noticed(small):
    number, bits = int.from_bytes(small[0], "big"), 8 * len(small[0])
    flipped = [(number ^ 1 << bit).to_bytes(bits // 8, "big") for bit in range(bits)]
    assert silent_changes(flipped, small) <= 1


def test_bytes_after_the_payload_never_change_the_picture(small):
    assert silent_changes([small[0] + bytes([byte]) for byte in range(256)], small) <= 1


def test_another_model_is_unknown(small):
    data, _ = small
    with pytest.raises(UnknownModelError):
        decode(data[:4] + bytes(b ^ 0xFF for b in data[4:8]) + data[8:])


@pytest.mark.parametrize("q", [0, -1, 4097, 1.5, 64.0, "64", None])
def test_q_outside_its_range(q, piece):
    with pytest.raises(OptionError):
        encode(piece, q)


@pytest.mark.parametrize("tokens", [0, -1, 4097, 1.5, "1"])
def test_tokens_outside_their_range(tokens, small):
    with pytest.raises(OptionError):
        decode(small[0], tokens=tokens)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int8, bool])
def test_pixels_of_another_type(dtype):
    with pytest.raises(OptionError):
        encode(np.zeros((8, 8, 3), dtype=dtype))


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 8, 5), (3, 8, 8), (0, 8, 3), (8, 0, 3), (0, 8), (1, 8, 8, 3), (3,)])
def test_pixels_of_another_shape(shape):
    with pytest.raises(OptionError):
        encode(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("coder", [3, -1, "static"], ids=str)
def test_coders_that_do_not_exist(coder, piece):
    with pytest.raises(OptionError):
        encode(piece, coder=coder)


@pytest.mark.parametrize("q", [np.int64(5), np.uint16(5)])
def test_q_of_numpy_integers(q, piece):
    assert encode(piece, q) == encode(piece, 5)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "CMYK", "I;16", "RGBA", "LA"])
def test_images_of_pillow_are_taken_as_files_of_them_are(mode, piece):
    image = Image.fromarray(piece[..., 0] if mode == "I;16" else piece)
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    stored = io.BytesIO()
    image.save(stored, "TIFF")
    assert encode(image, 4) == encode(read_image(stored.getvalue()).pixels, 4)


def test_an_image_of_pillow_is_turned_upright_and_a_broken_one_refused(piece):
    turned = Image.fromarray(piece[:40])
    turned.getexif()[0x0112] = 6
    assert decode(encode(turned, 4)).shape == (64, 40, 3)
    stored = io.BytesIO()
    turned.save(stored, "PNG")
    with pytest.raises(ImageError):
        encode(Image.open(io.BytesIO(stored.getvalue()[:-3000])), 4)


def test_several_threads_share_a_model(photo):
    """Sessions are made at first use: here by all threads at once."""
    alone = [encode(photo, q, effort=1) for q in (1, 8, 64, 300)]
    known = load_model()
    model = Model("fresh", known.path, known.sha256)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda q: encode(photo, q, effort=1, model=model), (1, 8, 64, 300)))
        assert together == alone
        for data, pixels in zip(together, pool.map(lambda data: decode(data, model=model), together)):
            assert np.abs(pixels.astype(int) - decode(data)).max() <= 1  # sessions may divide their sums otherwise
