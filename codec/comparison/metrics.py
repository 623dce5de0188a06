"""How like the original a decoded picture is: five metrics of two uint8 (H, W, 3) sRGB arrays of one shape."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from PIL import Image

from odpiece.codec.comparison.extra import extra, require_packages
from odpiece.codec.targets import psnr
from odpiece.formats.errors import OptionError

MS_SSIM_SIDE = 161  # pixels: the smallest that leave a window of 11 at the fifth scale
ST_LPIPS_SIDE = WASSERSTEIN_SIDE = 64
ALL = 99  # steps: every scale


@dataclass(frozen=True)
class Metric:
    """`scorer(original)` gives the function from decoded pixels to the score, a float.

    The score is nan where the picture is too small to have one. `scorer` raises MissingExtraError. `finer` and
    `coarser` say how many steps beside the scale that is best by PSNR a peer is scored too: few where it costs
    seconds.
    """

    name: str
    title: str
    higher_is_better: bool
    scorer: Callable
    finer: int
    coarser: int
    packages: tuple = ()

    def require(self):
        """Raise MissingExtraError if a package is missing."""
        require_packages(self.packages, self.title)


def _psnr_scorer(original):
    """dB."""
    return partial(psnr, original)


def _ms_ssim_scorer(original):
    """Wang, Simoncelli and Bovik, "Multiscale structural similarity", 2003: at most 1."""
    with extra("MS-SSIM"):
        import torch
        from pytorch_msssim import ms_ssim
    if min(original.shape[:2]) < MS_SSIM_SIDE:
        return lambda decoded: float("nan")
    reference = _tensor(original)

    def score(decoded):
        with torch.inference_mode():
            return float(ms_ssim(reference, _tensor(decoded), data_range=255))

    return score


def _ssimulacra2_scorer(original):
    """Sneyers and others, github.com/cloudinary/ssimulacra2: 100 is the original, below 30 is low quality."""
    with extra("SSIMULACRA2"):
        from ssimulacra2 import compute_ssimulacra2
    return lambda decoded: float(compute_ssimulacra2(_bmp(original), _bmp(decoded)))


def _st_lpips_scorer(original):
    """Ghildyal and Liu, arXiv 2207.13686, VGG trunk: 0 is the original."""
    with extra("ST-LPIPS"):
        import torch

        network = _st_lpips()
    if min(original.shape[:2]) < ST_LPIPS_SIDE:
        return lambda decoded: float("nan")
    with torch.inference_mode():
        reference = network.features(_tensor(original) / 127.5 - 1)

    def score(decoded):
        with torch.inference_mode():
            return float(network.distance(reference, network.features(_tensor(decoded) / 127.5 - 1)))

    return score


@cache
def _st_lpips():
    from odpiece.models.nets.st_lpips import StLpips

    return StLpips()


def _wasserstein_scorer(original):
    """Local statistics over 16 pixels, see wasserstein.py: 0 is the original."""
    with extra("Wasserstein distortion"):
        from odpiece.codec.comparison.wasserstein import distortion

        trunk = _judge()
    if min(original.shape[:2]) < WASSERSTEIN_SIDE:
        return lambda decoded: float("nan")
    reference = trunk(original)
    return lambda decoded: distortion(reference, trunk(decoded))


@cache
def _judge():
    from odpiece.codec.comparison.wasserstein import Trunk

    return Trunk()


def _tensor(pixels):
    """float32 (1, 3, H, W), 0..255."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], dtype=np.float32))


def _bmp(pixels):
    """A file object, as compute_ssimulacra2 reads."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "BMP")
    return out


METRICS = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR dB", True, _psnr_scorer, ALL, ALL),
        Metric("ms-ssim", "MS-SSIM", True, _ms_ssim_scorer, ALL, ALL, ("pytorch_msssim",)),
        Metric("ssimulacra2", "SSIMULACRA2", True, _ssimulacra2_scorer, 1, 1, ("ssimulacra2",)),
        Metric("st-lpips", "ST-LPIPS", False, _st_lpips_scorer, 1, 0, ("torch", "stlpips_pytorch")),
        Metric("wasserstein", "Wasserstein", False, _wasserstein_scorer, 1, 0, ("torch", "easyocr_en_models")),
    )
}


def find_metric(name):
    """The Metric of this name. Raises OptionError."""
    if name not in METRICS:
        raise OptionError(f"no metric {name}, give {','.join(METRICS)}")
    return METRICS[name]
