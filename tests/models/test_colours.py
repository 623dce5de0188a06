"""Constrained networks pass flat colours exactly, whatever else the weights are."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from odpiece.models.interface import BANDS, GRAIN_SIZES, LOOKS, grain, is_fine, octave_weights  # noqa: E402
from odpiece.models.nets.bands.transform import NATURAL, Architecture, Tokenizer  # noqa: E402
from odpiece.models.training.bands.colours import COLOURS, constrain  # noqa: E402
from odpiece.models.training.bands.exact import fit_exact  # noqa: E402

SMALL = Architecture(
    fine_hidden=8,
    look_fine_blocks=1,
    middle_hidden=8,
    analysis_middle_blocks=1,
    synthesis_middle_blocks=1,
    look_middle_blocks=1,
    coarse_hidden=8,
    synthesis_coarse_blocks=1,
    grain_hidden=8,
)


@pytest.fixture(scope="module")
def tokenizer():
    """A constrained Tokenizer of random weights, with residual branches, conditions and looks that do something."""
    torch.manual_seed(0)
    network = Tokenizer(SMALL)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    constrain(network)
    fit_exact(network, torch.rand(2, 3, 128, 128) * 2 - 1)
    return network.eval()


COLOURS_OF_TESTS = np.random.default_rng(0).uniform(-1, 1, (20, 3)).astype(np.float32)


def analysed(tokenizer, colour, side, q):
    """The latents, for quality `q`, of a flat picture of side x side pixels."""
    return tokenizer.analyze(torch.tensor(colour)[None, :, None, None].expand(1, 3, side, side), is_fine(q))


@torch.no_grad()
def passed(tokenizer, colour, side, look, q=64):
    """float (3, side, side) in [-1, 1]: what the look makes of the unquantized latents of a flat picture."""
    octaves = torch.tensor(octave_weights(q))[None]
    noise = [torch.tensor(grain(n, side // n, side // n))[None, None] for n in GRAIN_SIZES] if look == NATURAL else None
    return tokenizer.decode(analysed(tokenizer, colour, side, q), octaves, noise)[0]


@pytest.mark.parametrize("q, side", [(64, 128), (64, 320), (600, 128), (4096, 192)])
@pytest.mark.parametrize("look", LOOKS)
def test_flat_colours_pass(look, q, side, tokenizer):
    for colour in COLOURS_OF_TESTS:
        got = passed(tokenizer, colour, side, look, q)
        torch.testing.assert_close(got, torch.tensor(colour)[:, None, None].expand_as(got), atol=5e-4, rtol=0)


@torch.no_grad()
def test_flat_pictures_get_no_grain(tokenizer):
    for colour in COLOURS_OF_TESTS:
        faithful, natural = (passed(tokenizer, colour, 128, look) for look in LOOKS)
        torch.testing.assert_close(natural, faithful, atol=1e-4, rtol=0)
    again = copy.deepcopy(tokenizer)
    again.grain.deviation.expand.weight.add_(0.05)  # the oracle
    faithful, natural = (passed(again, COLOURS_OF_TESTS[0], 128, look) for look in LOOKS)
    assert (natural - faithful).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("q", [513, 4096])
def test_all_but_the_mean_colour_of_a_flat_picture_is_zero(q, tokenizer):
    for colour in COLOURS_OF_TESTS:
        first, *finer = analysed(tokenizer, colour, 128, q)
        assert len(finer) == len(BANDS) - 1
        assert all(z.abs().max() < 1e-3 for z in (first[:, 3:], *finer))
    again = Tokenizer(SMALL)
    again.load_state_dict(tokenizer.state_dict())
    again.exact.merge8.copy_(torch.linalg.qr(torch.randn_like(again.exact.merge8))[0])  # the oracle
    assert analysed(again, COLOURS_OF_TESTS[0], 128, q)[4].abs().max() > 0.01


def test_weights_that_are_not_constrained_do_not_pass_them():
    """The oracle for the test above."""
    torch.manual_seed(0)
    network = Tokenizer(SMALL).eval()
    grey, red = (passed(network, np.array(c, np.float32), 128, LOOKS[0]) for c in ((0, 0, 0), (0.5, -0.5, -0.5)))
    assert (red - grey - torch.tensor([0.5, -0.5, -0.5])[:, None, None]).abs().max() > 0.1


def test_constraining_twice_changes_nothing(tokenizer):
    again = Tokenizer(SMALL)
    again.load_state_dict(tokenizer.state_dict())
    constrain(again)
    for (name, a), (_, b) in zip(tokenizer.named_parameters(), again.named_parameters(), strict=True):
        torch.testing.assert_close(b, a, atol=1e-5, rtol=0, msg=name)


def test_the_axes_are_orthonormal():
    torch.testing.assert_close(COLOURS @ COLOURS.T, torch.eye(3), atol=1e-5, rtol=0)
