"""Grey, alpha and metadata through whole files."""

import numpy as np
import pytest
from PIL import Image

from odpiece.codec import decode, encode, truncate
from odpiece.codec.channels import split_channels
from odpiece.codec.files import analyzed, read, read_partial
from odpiece.codec.targets import encode_to_psnr, encode_to_size, psnr
from odpiece.formats.chunks import Chunk
from odpiece.formats.container import pack, unpack
from odpiece.formats.errors import DamagedError, OptionError


@pytest.fixture(scope="module")
def photo(photo):
    """uint8 (64, 128, 3): two pieces of the photo."""
    return np.ascontiguousarray(photo[96:160, 64:192])


@pytest.fixture(scope="module")
def mask(photo):
    """uint8 (64, 128), 0 or 255: a disc."""
    y, x = np.ogrid[: photo.shape[0], : photo.shape[1]]
    return np.where(np.hypot(y - 30, x - 60) < 26, 255, 0).astype(np.uint8)


def kinds(photo, mask):
    grey = photo[..., 1]
    return {2: grey, 3: photo, 4: np.dstack([photo, mask]), "grey and alpha": np.dstack([grey, mask])}


@pytest.mark.parametrize("kind", [2, 3, 4, "grey and alpha"])
def test_shapes_return(kind, photo, mask):
    pixels = kinds(photo, mask)[kind]
    data = encode(pixels, 64)
    got = decode(data)
    assert got.shape == pixels.shape and got.dtype == np.uint8
    assert decode(truncate(data, 9)).shape == decode(data, tokens=9).shape == pixels.shape
    if pixels.shape[2:] in ((2,), (4,)):
        assert (got[..., -1] == mask).all()
        got, pixels = got[..., :-1][mask > 0], pixels[..., :-1][mask > 0]
    assert psnr(got, pixels) > 18


def test_grey_costs_a_byte_and_no_colour(photo):
    grey = photo[..., 1]
    rgb = np.stack([grey] * 3, axis=-1)
    assert len(encode(grey, 64)) == len(encode(rgb, 64)) + 1
    assert read(encode(grey, 64)).header.grey
    assert np.abs(decode(encode(grey, 64)).astype(int) - decode(encode(rgb, 64)).mean(axis=2)).max() <= 0.5


def test_opaque_alpha_costs_nothing(photo):
    assert encode(np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)]), 9) == encode(photo, 9)


def test_what_is_transparent_does_not_cost_and_does_not_bleed(photo, mask):
    """Noise under alpha 0 changes no byte; and it costs less than the picture it hides."""
    noise = np.random.default_rng(0).integers(0, 256, photo.shape, dtype=np.uint8)
    hidden = np.where(mask[..., None] > 0, photo, noise)
    data = encode(np.dstack([photo, mask]), 256)
    assert encode(np.dstack([hidden, mask]), 256) == data
    alpha = sum(len(chunk.data) for chunk in read(data).chunks)
    frame = 1 + 8  # flags of the header; type, length and checksum of the chunk, at most
    assert len(data) - alpha < len(encode(photo, 256)) + frame
    inside = mask > 0
    assert (
        psnr(decode(data)[..., :3][inside], photo[inside]) > psnr(decode(encode(photo, 256))[inside], photo[inside]) - 1
    )


def test_a_clear_picture_is_small():
    assert len(encode(np.zeros((300, 300, 4), np.uint8), 64)) < 64


def test_metadata_returns_and_survives_truncation(photo):
    kept = {"exif": b"Exif\0\0II", "xmp": b"<x/>"}
    data = encode(photo, 16, metadata=kept)
    assert read(data).metadata == read(truncate(data, 3)).metadata == kept
    assert (decode(data) == decode(encode(photo, 16))).all()
    with pytest.raises(OptionError):
        encode(photo, 16, metadata={"gps": b""})


def test_targets_of_grey_and_of_alpha(photo, mask):
    assert len(encode_to_size(photo[:64, :64, 1], 100)) <= 100
    pixels = np.dstack([photo, mask])[:, :64]
    data = encode_to_psnr(pixels, 21.0)
    picture = analyzed(pixels)
    assert psnr(picture.pixels, picture.decoded(data)) >= 21 and picture.pixels.shape == (64, 64, 3)


def test_unknown_chunks_survive_truncation(photo):
    data = encode(photo, 16, metadata={"xmp": b"<x/>"})
    header, chunks, segments = unpack(data)
    more = pack(header, segments, (*chunks, Chunk(33, b"kept")))
    assert read(truncate(more, 3)).chunks == (*chunks, Chunk(33, b"kept"))
    assert (decode(more) == decode(data)).all()


@pytest.mark.parametrize("at", [20, -1])
def test_damage_in_a_chunk(at, photo, mask):
    """In the alpha chunk: without permission an error, with it the colours."""
    data = encode(np.dstack([photo, mask]), 16)
    header, chunks, segments = unpack(data)
    start = len(data) - len(segments[0].payload) - 2 - len(chunks[0].data)
    changed = bytearray(data)
    changed[start + at if at > 0 else start + len(chunks[0].data) + at] ^= 4
    with pytest.raises(DamagedError, match="chunk 1"):
        read(bytes(changed))
    part = read_partial(bytes(changed))
    assert not part.complete and part.tokens.sha256 == read(data).tokens.sha256
    assert part.picture(part.tokens).shape == photo.shape


def test_alpha_that_cannot_be_decoded_is_damaged(photo):
    header, _, segments = unpack(encode(np.dstack([photo, photo[..., 0]]), 16))
    data = pack(header, segments, [Chunk(1, b"\3\2nothing", critical=True)])
    with pytest.raises(DamagedError, match="alpha"):
        decode(data)
    assert read(data).colours().shape == photo.shape


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "CMYK", "I;16"])
def test_pillow_s_limit_says_nothing_about_images_that_are_open(mode, photo, monkeypatch):
    image = Image.fromarray(photo).convert("L" if mode == "I;16" else mode)
    image = image.convert("I").convert("I;16") if mode == "I;16" else image
    expected = split_channels(image)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for got, plane in zip(split_channels(image), expected, strict=True):
        assert (got is plane is None) or (got == plane).all()
