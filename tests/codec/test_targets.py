"""Targets: never above a size and close to it, never below a PSNR and no better than needed."""

import numpy as np
import pytest

from odpiece.codec import decode, encode
from odpiece.codec.picture import read
from odpiece.codec.targets import encode_to_psnr, encode_to_size, psnr
from odpiece.formats.container import CoderId
from odpiece.formats.errors import OptionError


def test_psnr_is_that_of_the_definition():
    a, b = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 51, np.uint8)
    assert psnr(a, b) == pytest.approx(20 * np.log10(5))
    assert psnr(a, a) == float("inf")


@pytest.mark.parametrize("size", [60, 150, 500, 1500])
def test_the_file_is_never_above_the_size_and_close_to_it(example, size):
    data = encode_to_size(example, size)
    assert 0.95 * size <= len(data) <= size
    assert len(encode(example, read(data).header.q + 1)) > size


def test_a_huge_size_gives_the_best_quality(photo):
    assert encode_to_size(photo[:64, :64], 10**6) == encode(photo[:64, :64], 1024)


def test_a_size_below_the_smallest_file_is_an_error(photo):
    smallest = len(encode(photo, 1))
    assert encode_to_size(photo, smallest) == encode(photo, 1)
    with pytest.raises(OptionError, match=str(smallest)):
        encode_to_size(photo, smallest - 1)


@pytest.mark.parametrize("decibels", [18.0, 22.5, 25.0])
def test_the_psnr_is_reached_by_the_first_quality_that_does(example, decibels):
    data = encode_to_psnr(example, decibels)
    assert psnr(example, decode(data)) >= decibels
    q = read(data).header.q
    assert q == 1 or psnr(example, decode(encode(example, q - 1))) < decibels


def test_a_psnr_out_of_reach_is_an_error(example):
    with pytest.raises(OptionError, match="dB at most"):
        encode_to_psnr(example, 90.0)


def test_options_are_those_of_encode(photo):
    data = encode_to_size(photo, 400, coder=CoderId.STATIC)
    assert read(data).header.coder == CoderId.STATIC
    with pytest.raises(OptionError):
        encode_to_size(photo, 400, coder=7)
