"""What latents cost those coded later: the gradient without torch, against autograd through the float prior."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from odpiece.models.interface import BANDS, bands_of, is_fine, octave_weights  # noqa: E402
from odpiece.models.nets.bands import prior as float_prior  # noqa: E402
from odpiece.models.prior import IntegerPrior  # noqa: E402
from odpiece.models.prior_gradient import later_bits_gradient  # noqa: E402
from odpiece.models.training.bands.quantized_prior import dequantized, quantize_prior  # noqa: E402


@pytest.fixture(scope="module")
def priors(toy_priors):
    """(float Prior in double precision of the very weights, IntegerPrior)."""
    tensors = quantize_prior(toy_priors[0])
    net = float_prior.Prior().double()
    named = {f"prior.{name}": torch.tensor(t.astype(np.float64)) for name, t in tensors.items()}
    net.load_state_dict(dequantized(named, net.state_dict()))
    return net.double(), IntegerPrior(dict(tensors))


@pytest.fixture(scope="module")
def latents(random_bands):
    return random_bands(2, 3, seed=1, escapes=0)


def smooth_squash(latents):
    """As `squash`, whose slope at zero is one in the limit, and nothing by autograd."""
    size = latents.abs().detach()
    return latents.sign() * size.log1p() + (latents - latents.detach()) / (1 + size)


def by_autograd(net, q, latents):
    bands = [torch.tensor(z).double()[None].requires_grad_() for z in latents[: len(bands_of(q))]]
    laws = net(bands, torch.tensor(octave_weights(q)).double()[None])
    total = 0
    for band, z, law in zip(BANDS, bands, laws):
        coded = torch.tensor(band.token_index < q).tile(1, *(n // band.side for n in z.shape[2:]))
        total = total + (float_prior.logistic_bits(z.detach(), *law)[0] * coded).sum()
    return [g[0].numpy() for g in torch.autograd.grad(total, bands)]


@pytest.mark.parametrize("q", [1, 16, 64, 128, 512, 1024, 4096])
def test_gradients_are_those_of_autograd(q, priors, latents, monkeypatch):
    monkeypatch.setattr(float_prior, "squash", smooth_squash)
    net, integer = priors
    found = later_bits_gradient(integer, q, latents)
    assert len(found) == len(BANDS)
    for got, wanted, z in zip(found, by_autograd(net, q, latents), latents):
        assert got.dtype == np.float32 and got.shape == z.shape
        assert np.abs(got - wanted).max() <= 1e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("q", [30, 512, 1500])
def test_what_is_not_coded_has_no_cost(q, priors, latents):
    for band, gradient in zip(BANDS, later_bits_gradient(priors[1], q, latents)):
        beyond = np.tile(band.token_index >= q, (1, 2, 3))
        assert not gradient[beyond].any() and gradient.any() == (band.first_token < q)


@pytest.mark.parametrize("q", [64, 4096])
def test_the_last_latents_cost_nothing_later(q, priors, latents):
    """Those of the last group of the finest band that is coded, of which there is one phase."""
    (band,) = (b for b in BANDS if b.first_token < q <= b.first_token + b.ranks * b.side**2)
    gradient = later_bits_gradient(priors[1], q, latents)[BANDS.index(band)]
    last = band.group_of_latent == len(band.groups) - 1
    assert not gradient[last].any() and gradient[~last].any()
    assert is_fine(q) == (band.block == 8)


def test_far_latents_have_finite_costs(priors, latents):
    for gradient in later_bits_gradient(priors[1], 4096, tuple(300 * z for z in latents)):
        assert np.isfinite(gradient).all()
