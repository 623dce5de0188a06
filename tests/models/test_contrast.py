"""The error of contrast: what it sees, what it does not, by the width of neighbourhoods."""

import math

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from odpiece.models.training.bands import contrast  # noqa: E402
from odpiece.models.training.bands.contrast import contrast_error  # noqa: E402
from odpiece.models.training.data import to_float  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
COARSE, FINE = torch.tensor([1]), torch.tensor([1024])


def textures(seed):
    """float (1, 3, 128, 128) of noise, alike but for its values."""
    return 0.3 * torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(seed))


def error(decoded, original, quality=COARSE):
    return contrast_error(decoded, original, quality).item()


def test_a_picture_has_its_own_contrast_whatever_its_colours(photo):
    picture = to_float(photo[None, :128, :128])
    assert error(picture, picture) == error(picture, picture, FINE) == 0
    assert error(picture + 0.1, picture, FINE) < 1e-5


def test_a_smooth_picture_lacks_contrast(photo):
    picture = to_float(photo[None, :128, :128])
    smooth = F.avg_pool2d(F.pad(picture, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    assert error(smooth, picture, FINE) > 0.1


def test_the_error_is_of_the_logarithm():
    """Noise that is e times as weak is off by one in every octave, whatever its values; too strong is worse."""
    assert error(textures(1) / math.e, textures(0)) == pytest.approx(1.0, rel=0.1)
    assert error(textures(1) * math.e, textures(0)) == pytest.approx(contrast.TOO_MUCH, rel=0.1)
    assert error(textures(1), textures(0)) < 0.2


def test_wide_neighbourhoods_do_not_ask_where_a_texture_lies():
    """Its strength varies in stripes of 4 pixels, which lie elsewhere in the other picture."""
    stripes = torch.tensor([1.0, 3.0]).repeat_interleave(4).repeat(16)
    a, b = textures(0) * stripes, textures(1) * stripes.roll(4)
    assert error(a, b, COARSE) < 0.7 * error(a, b, FINE)


def test_levels_share_out_the_weight():
    widths = torch.tensor([0.0, 1.25, 3.0, 9.0])
    expected = [[1, 0, 0, 0], [0, 0.75, 0, 0], [0, 0.25, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert len(expected) == contrast.LEVELS
    torch.testing.assert_close(contrast._shares(widths), torch.tensor(expected, dtype=torch.float32))


def test_variances_are_those_of_neighbourhoods():
    """Of noise: nothing at single places, then ever nearer to its variance."""
    x = 0.3 + torch.randn(1, 2, 256, 256, generator=torch.Generator().manual_seed(2))
    means = [v[:, :, 2:-2, 2:-2].mean().item() for v in contrast._variances(x)]
    assert means[0] == 0 and means == sorted(means)
    assert means[-1] == pytest.approx(1, abs=0.05)
