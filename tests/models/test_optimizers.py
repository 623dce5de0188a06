"""Muon's orthogonalization, against singular values and the iteration as it is published."""

import pytest

torch = pytest.importorskip("torch")

from odpiece.models.training.bands.optimizers import NEWTON_SCHULZ, Optimizers, orthogonalized  # noqa: E402

SHAPES = [(1, 1), (5, 5), (16, 90), (90, 16), (24, 25), (3, 400)]


def plain(matrix, iterations):
    """X <- a X + (b X X^T + c (X X^T)^2) X, of the wide matrix."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / x.norm()
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


@pytest.mark.parametrize("iterations", [1, 3, 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_newton_schulz_iteration(shape, iterations):
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    got = orthogonalized(matrix, iterations)
    torch.testing.assert_close(got, plain(matrix, iterations), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(orthogonalized(matrix.float(), iterations).double(), got, rtol=0, atol=2e-3)


@pytest.mark.parametrize("shape", [(16, 90), (90, 16), (3, 400)])
def test_singular_values_are_near_one(shape):
    """Of matrices whose own are not; five iterations leave them in about 0.7 to 1.2."""
    torch.manual_seed(1)
    rows = torch.linspace(0.3, 3.0, shape[0])
    matrix = rows[:, None] * torch.randn(shape)
    values = torch.linalg.svdvals(orthogonalized(matrix, 5))
    assert 0.65 < values.min() and values.max() < 1.25
    before = torch.linalg.svdvals(matrix)
    assert before.max() / before.min() > values.max() / values.min()


def test_its_size_does_not_matter_and_zeros_stay():
    torch.manual_seed(2)
    matrix = torch.randn(8, 20)
    torch.testing.assert_close(orthogonalized(1000 * matrix), orthogonalized(matrix), rtol=1e-4, atol=1e-5)
    assert not orthogonalized(torch.zeros(8, 20)).any()


def test_what_has_no_gradient_stays():
    """Also after steps in which it had one: momentum must not move it on."""
    torch.manual_seed(3)
    layers = torch.nn.ModuleList(torch.nn.Conv2d(4, 6, 3) for _ in range(2))
    optimizers = Optimizers([layers])
    for used in (layers, layers[:1]):
        before = [p.detach().clone() for p in layers.parameters()]
        sum(layer(torch.ones(1, 4, 5, 5)).square().sum() for layer in used).backward()
        optimizers.step(1.0)
        moved = [not torch.equal(p, old) for p, old in zip(layers.parameters(), before, strict=True)]
        assert moved == [True, True, len(used) == 2, len(used) == 2]
