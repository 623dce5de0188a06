"""Targets by the metrics of odpiece[compare]: reached by the right look, hardly exceeded, refused out of reach."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pytorch_msssim")
pytest.importorskip("stlpips_pytorch")

from odpiece.codec import decode  # noqa: E402
from odpiece.codec.comparison.goals import encode_to_ms_ssim, encode_to_st_lpips  # noqa: E402
from odpiece.codec.comparison.metrics import find_metric  # noqa: E402
from odpiece.formats.errors import OptionError  # noqa: E402


def scores(metric, original, data, look):
    return find_metric(metric).scorer(original)(decode(data, look=look))


@pytest.mark.parametrize("target", [0.7, 0.85])
def test_ms_ssim_of_the_faithful_look_is_reached_and_hardly_exceeded(target, example):
    data = encode_to_ms_ssim(example, target, effort=0)
    assert target <= scores("ms-ssim", example, data, "faithful") < target + 0.02


def test_st_lpips_of_the_natural_look_is_reached_and_hardly_exceeded(example):
    data = encode_to_st_lpips(example, 0.5, effort=0)
    assert 0.47 < scores("st-lpips", example, data, "natural") <= 0.5


def test_grey_pictures_have_the_score_of_their_colours(example):
    grey = np.ascontiguousarray(example[..., 1])
    data = encode_to_ms_ssim(grey, 0.8, effort=0)
    three = decode(data)[..., None].repeat(3, axis=2)
    assert find_metric("ms-ssim").scorer(grey[..., None].repeat(3, axis=2))(three) >= 0.8


def test_out_of_reach(example):
    with pytest.raises(OptionError, match="at best"):
        encode_to_ms_ssim(example[:192, :192], 0.99999, effort=0)


def test_too_small_a_picture_for_the_metric(example):
    with pytest.raises(OptionError, match="larger picture"):
        encode_to_ms_ssim(example[:100, :100], 0.8, effort=0)
