"""Tokens as arrays: against the file they belong to, prefixes, wrong input."""

import numpy as np
import pytest

from odpiece.codec import decode, decode_tokens, encode, encode_tokens, read_tokens, truncate
from odpiece.codec.bands.tokens import Tokens
from odpiece.codec.files import read
from odpiece.formats.errors import OptionError
from odpiece.models.interface import BANDS, LATENTS_PER_TOKEN


@pytest.fixture(scope="module")
def photo(example):
    return example[:150, :200]


def test_arrays_of_tokens_follow_the_layout():
    rng = np.random.default_rng(0)
    bands = tuple(rng.integers(-9, 10, (b.latents, 2 * b.side, 3 * b.side)).astype(np.int32) for b in BANDS)
    array = Tokens(np.full((2, 3), 4096), bands).to_array(4096)
    for band, z in zip(BANDS, bands):
        for latent, row, column in zip(*(rng.integers(0, n, 50) for n in z.shape)):
            token = band.token_index[latent, row % band.side, column % band.side]
            found = array[row // band.side, column // band.side, token, latent % LATENTS_PER_TOKEN]
            assert found == z[latent, row, column]


@pytest.mark.parametrize("count", [1, 16, 40, 1024, 4096])
def test_arrays_and_tokens_round_trip(count):
    array = np.random.default_rng(1).integers(-40, 41, (2, 3, count, 3)).astype(np.int16)
    tokens = Tokens.from_array(array)
    np.testing.assert_array_equal(tokens.to_array(count), array)
    assert (tokens.lengths == count).all() and not tokens.to_array(4096)[:, :, count:].any()


def test_tokens_are_those_of_the_file(photo):
    data = encode(photo, q=100)
    array = encode_tokens(photo, q=100)
    assert array.shape == (3, 4, 100, 3) and array.dtype == np.int16 and array.any()
    np.testing.assert_array_equal(array, read_tokens(data))
    np.testing.assert_array_equal(array, read(data).tokens.to_array(100))
    np.testing.assert_array_equal(decode_tokens(array, 100, size=photo.shape[:2]), decode(data))


def test_a_prefix_decodes_as_a_truncated_file_does(photo):
    data = encode(photo, q=100)
    coarse = decode_tokens(read_tokens(data)[:, :, :20], 100, size=photo.shape[:2], look="natural")
    np.testing.assert_array_equal(coarse, decode(truncate(data, 20), look="natural"))


def test_sizes_are_whole_pieces_unless_given(photo):
    assert decode_tokens(encode_tokens(photo, q=4), 4).shape == (192, 256, 3)


@pytest.mark.parametrize(
    "tokens",
    [
        np.zeros((2, 2, 4, 2), int),
        np.zeros((2, 2, 4), int),
        np.zeros((2, 2, 4, 3)),
        np.zeros((0, 2, 4, 3), int),
        np.zeros((1, 1, 4097, 3), int),
        np.full((1, 1, 1, 3), 32768),
        np.full((1, 1, 1, 3), np.iinfo(np.int64).min),
        np.full((1, 1, 1, 3), np.iinfo(np.uint64).max, dtype=np.uint64),
    ],
    ids=["pairs", "flat", "floats", "empty", "too many", "too large", "without absolute value", "unsigned"],
)
def test_wrong_tokens_are_refused(tokens):
    with pytest.raises(OptionError):
        decode_tokens(tokens, 64)


@pytest.mark.parametrize(
    "options", [{"q": 0}, {"q": 4, "size": (64, 65)}, {"q": 4, "size": (0, 64)}, {"q": 4, "look": "x"}]
)
def test_wrong_options_are_refused(options):
    with pytest.raises(OptionError):
        decode_tokens(np.zeros((1, 1, 4, 3), int), **options)
