"""Encoding to a quality by the metrics that need odpiece[compare], beside codec/targets.py."""

import numpy as np

from odpiece.codec.comparison.metrics import find_metric
from odpiece.codec.targets import MS_SSIM, ST_LPIPS, check_target, encode_to_score
from odpiece.formats.errors import OptionError
from odpiece.models.interface import LOOKS


def encode_to_ms_ssim(pixels, target, **options):
    """The bytes of the smallest .odp file of at least this MS-SSIM, below 1; arguments as of `encode`.

    Raises OptionError where no quality reaches it, MissingExtraError.
    """
    return encode_to_score(pixels, target, _grower("ms-ssim"), MS_SSIM, **options)


def encode_to_st_lpips(pixels, target, **options):
    """The bytes of the smallest .odp file whose natural look has at most this ST-LPIPS; arguments as of `encode`.

    Raises OptionError where no quality reaches it, MissingExtraError.
    """
    return encode_to_score(
        pixels, -check_target(target, "ST-LPIPS"), _grower("st-lpips"), ST_LPIPS, look=LOOKS[1], **options
    )


def _grower(name):
    """A scorer, see encode_to_score, by the metric of this name, of pixels (H, W, 3) or (H, W)."""
    metric = find_metric(name)
    metric.require()

    def scorer(original):
        measure = metric.scorer(_colours(original))

        def score(decoded):
            value = measure(_colours(decoded))
            if np.isnan(value):
                raise OptionError(f"{metric.title} needs a larger picture, give -q, --size, --bpp or --psnr")
            return value if metric.higher_is_better else -value

        return score

    return scorer


def _colours(pixels):
    return pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2)
