"""How far the contrast of one picture is from another's, place by place and octave by octave of frequencies.

Local deviations are compared, over a neighbourhood that is the wider the fewer bits there are: they can tell what
texture is somewhere, not where exactly. At a quality q it is NEIGHBOURHOOD * q^-NARROWING pixels wide, as in
Wasserstein distortion (Qiu, Balle et al., arXiv 2310.03629), of which this is the part that noise can change.
"""

import torch
import torch.nn.functional as F

from odpiece.models.nets.st_lpips import blur

NEIGHBOURHOOD, NARROWING = 16.0, 0.3
LEVELS = 5  # of widths, each twice the one before
NARROWEST = 2  # the level of four grains, of which fewer say nothing
OCTAVES = 3
FAINTEST = (0.7 / 127.5) ** 2  # variance of pixels in [-1, 1] that is hardly seen
TOO_MUCH = 10.0  # what contrast that the original does not have counts, where what is missing counts 1


def contrast_error(decoded, original, quality):
    """float (B,): mean squared logarithms of the ratios of local deviations, too large ones TOO_MUCH times.

    Both are float (B, 3, H, W) in [-1, 1], `quality` is (B,).
    """
    width = torch.log2(NEIGHBOURHOOD * quality.float() ** -NARROWING)
    total = 0.0
    for octave, parts in enumerate(zip(_octaves(decoded), _octaves(original))):
        logs = [[torch.log(v + FAINTEST) / 2 for v in _variances(part)] for part in parts]
        for share, a, b in zip(_shares((width - octave).clamp_min(NARROWEST)), *logs):
            error = (a - b).square() * torch.where(a > b, TOO_MUCH, 1.0)
            total = total + share * error.mean((1, 2, 3))
    return total / OCTAVES


def _octaves(x):
    """The differences of `x` (B, 3, H, W) from its blurred self, then of that in half the size from its own, .."""
    for _ in range(OCTAVES):
        low = F.avg_pool2d(x, 2)
        yield x - F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
        x = low


def _shares(width):
    """float (LEVELS, B): what each level counts, linear between the two next to `width` (B,), a logarithm."""
    levels = torch.arange(LEVELS, device=width.device)[:, None]
    return (1 - (width.clamp_max(LEVELS - 1) - levels).abs()).clamp_min(0)


def _variances(x):
    """The variances of (B, C, h, w) over neighbourhoods of 1, 2, 4, .. in turn."""
    mean, square = x, x.square()
    for level in range(LEVELS):
        if level:
            mean, square = blur(mean), blur(square)
        yield (square - mean.square()).clamp_min(0)
