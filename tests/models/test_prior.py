"""The float prior: what each latent's bits may depend on, and probabilities that sum to one."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from odpiece.models.interface import BANDS, CODED_USUAL, Q_OCTAVES, TOKENS, USUAL_BANDS, octave_weights, step_size  # noqa: E402
from odpiece.models.nets.bands.prior import Masked, Prior, logistic_bits, squash  # noqa: E402
from odpiece.models.training.bands.objective import kept_masks  # noqa: E402


@pytest.fixture(scope="module")
def prior(toy_priors):
    """A prior in double precision whose every weight does something."""
    return toy_priors[0]


def random_latents(rows=2, columns=3, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.tensor(np.rint(rng.laplace(0, 2, (1, b.latents, rows * b.side, columns * b.side)))) for b in BANDS]


@torch.no_grad()
def bits_of(prior, latents, lengths=((TOKENS,) * 3,) * 2, q=100):
    masks = [m.double() for m in kept_masks(torch.tensor([lengths]), len(latents))]
    return prior.bits(latents, masks, torch.tensor(octave_weights(q)).double()[None])


@pytest.fixture(scope="module")
def bits_of_bands(prior):
    """{number of bands: bits of those of `random_latents()`}."""
    return {count: bits_of(prior, random_latents()[:count]) for count in (USUAL_BANDS, len(BANDS))}


@pytest.fixture(scope="module")
def bits(bits_of_bands):
    """Of all bands."""
    return bits_of_bands[len(BANDS)]


# Blocks of every phase, where there are any, else one
CASES = [
    (count, i, g, *place)
    for count, bands in ((USUAL_BANDS, CODED_USUAL), (len(BANDS), BANDS))
    for i, band in enumerate(bands)
    for g in range(len(band.groups))
    for place in (((0, 0), (0, 1), (1, 1), (1, 2)) if band.phases > 1 else ((g % 2, 1 + g % 3),))
]


@pytest.mark.parametrize("count, i, g, y, x", CASES)
def test_bits_depend_only_on_what_is_coded_before(count, i, g, y, x, prior, bits_of_bands):
    """One latent of group g of band i changes, at block (y, x): who sees it?

    Later groups of the 3x3 blocks about it, its own group in those of them that have a later phase, finer bands.
    """
    latents = random_latents()[:count]
    latent = int(np.flatnonzero(BANDS[i].group_of_latent == g)[1])
    latents[i][0, latent, y, x] += 3
    pairs = zip(bits_of(prior, latents), bits_of_bands[count], strict=True)
    changed = [(a - b).abs()[0].numpy() > 1e-9 for a, b in pairs]

    group = BANDS[i].group_of_latent
    phase = BANDS[i].phase_map(*changed[i].shape[1:])
    near = np.zeros(phase.shape, dtype=bool)
    near[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = True
    assert not any(c.any() for c in changed[:i])  # coarser bands
    assert changed[i][latent, y, x]  # the latent itself
    changed[i][latent, y, x] = False
    assert not changed[i][:, ~near].any()
    assert not changed[i][group < g].any()
    np.testing.assert_array_equal(changed[i][group == g].any(0), near & (phase > phase[y, x]))
    if g + 1 < len((CODED_USUAL if count == USUAL_BANDS else BANDS)[i].groups):
        np.testing.assert_array_equal(changed[i][group > g].any(0), near)
    assert all(c.any() for c in changed[i + 1 :])  # finer bands


@pytest.mark.parametrize("band", [b for b in BANDS if b.phases > 1], ids=lambda b: str(b.block))
def test_phases_surround_later_blocks_with_earlier_ones(band):
    phase = band.phase_map(7, 9)
    assert set(phase.ravel().tolist()) == {0, 1, 2} and band.phases == 3
    for y, x in np.ndindex(5, 7):
        sides = [phase[y, x + 1], phase[y + 2, x + 1], phase[y + 1, x], phase[y + 1, x + 2]]
        corners = [phase[y, x], phase[y, x + 2], phase[y + 2, x], phase[y + 2, x + 2]]
        expected = {0: ({2}, {1}), 1: ({2}, {0}), 2: ({0, 1}, {2})}[int(phase[y + 1, x + 1])]
        assert (set(sides), set(corners)) == expected
    assert phase[0, 0] == 0 and phase[1, 1] == 1


def test_all_later_groups_see_the_first(prior):
    latents = random_latents(1, 1)
    before = bits_of(prior, latents, lengths=((TOKENS,),))
    for i, band in enumerate(BANDS):
        changed = [z.clone() for z in latents]
        changed[i][0, 0] += 2
        after = bits_of(prior, changed, lengths=((TOKENS,),))
        rows = (after[i] - before[i]).abs()[0].amax((1, 2)) > 1e-9
        group = torch.tensor(band.group_of_latent)
        assert {int(g) for g in group[rows]} >= set(range(1, len(band.groups)))


def test_bits_depend_on_the_quality(prior, bits):
    for a, b in zip(bits_of(prior, random_latents(), q=101), bits, strict=True):
        assert (a - b).abs().max() > 1e-6


def test_latents_that_are_not_kept_cost_nothing(prior):
    lengths = ((0, 5, 1024), (17, 1500, 4000))
    latents = random_latents()
    masks = kept_masks(torch.tensor([lengths]), len(BANDS))
    for b, mask in zip(bits_of(prior, latents, lengths), masks, strict=True):
        assert (b[mask == 0] == 0).all()
        assert (b[mask == 1] > 0).all()


def test_high_qualities_have_a_chain_of_their_own(prior, bits):
    alone = bits_of(prior, random_latents()[:USUAL_BANDS])
    assert len(alone) == USUAL_BANDS
    assert not any(torch.allclose(a, b) for a, b in zip(alone, bits))


@torch.no_grad()
def test_high_qualities_see_magnitudes(prior):
    """Without the weights that see signs, laws do not depend on those of the band's latents, but on their sizes."""
    prior, latents = copy.deepcopy(prior), random_latents()
    prior.fine.bands[2].own.weight.zero_()
    laws = []
    for factor in (1, -1, 2):
        changed = [*latents[:2], factor * latents[2], *latents[3:]]
        laws.append(prior(changed, torch.tensor(octave_weights(2000)).double()[None])[2][1])
    assert torch.equal(laws[0], laws[1]) and not torch.allclose(laws[0], laws[2])


@pytest.mark.parametrize("mean, log_scale", [(0.0, -1.5), (0.3, 0.0), (-7.5, 1.0), (0.5, 2.0), (100.2, 3.0)])
def test_logistic_probabilities_sum_to_one(mean, log_scale):
    k = torch.arange(-2000.0, 2001.0, dtype=torch.float64)
    bits = logistic_bits(k, torch.tensor(mean), torch.tensor(log_scale))
    assert (0.5**bits).sum().item() == pytest.approx(1.0, abs=1e-4)  # 4001 floors of 1e-8


def test_logistic_bits_are_those_of_the_distribution():
    k = np.array([-3.0, 0.0, 1.0, 5.0])
    mean, scale = 0.4, 1.7
    cdf = lambda x: 1 / (1 + np.exp(-(x - mean) / scale))  # noqa: E731
    expected = -np.log2(cdf(k + 0.5) - cdf(k - 0.5))
    got = logistic_bits(torch.tensor(k), torch.tensor(mean), torch.tensor(np.log(scale)))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)


def test_bits_and_gradients_are_finite_for_extreme_latents():
    k = torch.tensor([0.0, 31.0, 32767.0, -32767.0], requires_grad=True)
    bits = logistic_bits(k, torch.zeros(4), torch.full((4,), -4.0))
    bits.sum().backward()
    assert torch.isfinite(bits).all() and torch.isfinite(k.grad).all()
    assert bits.max() < 30


def test_masked_weights_do_nothing():
    mask = torch.tensor([[1, 0, 1], [0, 0, 1]])
    layer = Masked(mask, 3)
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    for output in range(2):
        (grad,) = torch.autograd.grad(layer(x)[0, output].sum(), x)
        assert (grad[0].abs().amax((1, 2)) > 0).tolist() == mask[output].bool().tolist()
    layer(x).sum().backward()
    assert (layer.weight.grad.abs().amax((2, 3)) > 0).tolist() == mask.bool().tolist()


def test_squash_keeps_the_sign_and_the_order():
    k = torch.arange(-50.0, 51.0)
    assert (squash(k).diff() > 0).all()
    torch.testing.assert_close(squash(k), -squash(-k))
    assert squash(torch.tensor(32767.0)) < 11


def test_initialised_prior_widens_with_the_spread():
    prior = Prior()
    steps = torch.tensor(step_size(2.0 ** np.arange(Q_OCTAVES)), dtype=torch.float32)
    spread = [torch.linspace(40, 1, b.latents) for b in BANDS]
    prior.initialise(spread, steps)
    zeros = [torch.zeros(1, b.latents, b.side, b.side) for b in BANDS]
    ones = [torch.ones_like(z) for z in zeros]
    with torch.no_grad():
        coarse, fine = (prior.bits(zeros, ones, torch.tensor(octave_weights(q))[None]) for q in (1, 4096))
    for a, b in zip(coarse, fine):
        assert (b > a).all()  # at a finer step a zero is rarer
        assert (a[0, :, 0, 0].diff() <= 1e-5).all()  # and rarer where the spread is wider
