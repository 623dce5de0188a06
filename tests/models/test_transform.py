"""The tokenizer's networks: orthonormal at the start, folding, and the ONNX graphs against torch."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from odpiece.models.interface import BANDS, octave_weights  # noqa: E402
from odpiece.models.library import open_model  # noqa: E402
from odpiece.models.nets.transform import Architecture, Residual, Tokenizer  # noqa: E402
from odpiece.models.training import pca  # noqa: E402
from odpiece.models.training.export import folded_tensors, write_model  # noqa: E402

# fine=48 is the smallest that leaves the 192 channels at 1/16 a full basis
SMALL = Architecture(
    fine=48,
    fine_hidden=16,
    synthesis_fine_blocks=1,
    middle_hidden=24,
    analysis_middle_blocks=1,
    synthesis_middle_blocks=1,
    coarse_hidden=16,
    synthesis_coarse_blocks=2,
)


def to_float(pixels):
    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1.0


@pytest.fixture(scope="module")
def untrained(photo):
    """A tokenizer as training starts from it."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(SMALL)
    spread = pca.initialise(tokenizer, torch.cat([to_float(photo), to_float(photo[::-1].copy())]))
    return tokenizer.eval(), spread


def randomised(seed):
    """A tokenizer all of whose residual branches and conditions do something, with channel scales."""
    torch.manual_seed(seed)
    tokenizer = Tokenizer(SMALL)
    with torch.no_grad():
        for module in tokenizer.modules():
            if isinstance(module, Residual):
                module.reduce.weight.normal_(0, 0.05)
                module.reduce.bias.normal_(0, 0.1)
                module.scale.uniform_(0.3, 3.0)
                if module.condition is not None:
                    module.condition.normal_(0, 1)
    return tokenizer.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(the Transform of a written model, the torch tokenizer with the same float16 weights)."""
    folder = tmp_path_factory.mktemp("model")
    tensors = folded_tensors(randomised(1))
    write_model(folder, "toy", SMALL, tensors)
    reference = Tokenizer(SMALL)
    state = {name: torch.tensor(t).float() for name, t in tensors.items()}
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith(".scale") for name in missing)
    return open_model(folder / "toy.safetensors").transform, reference.eval()


def random_latents(rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(0, 1.5, (b.latents, rows * b.side, columns * b.side)).astype(np.float32) for b in BANDS)


def as_batch(latents):
    return [torch.tensor(z)[None] for z in latents]


def as_octaves(q):
    return torch.tensor(octave_weights(q))[None]


@pytest.mark.parametrize("layer", ["patch", "merge16", "merge32", "merge64"])
def test_rows_of_the_linear_layers_are_orthonormal(layer, untrained):
    rows = getattr(untrained[0].analysis, layer).weight.detach().flatten(1)
    assert (rows @ rows.T - torch.eye(len(rows))).abs().max() < 1e-4


@torch.no_grad()
def test_untrained_analysis_inverts_synthesis_and_keeps_the_energy(untrained):
    tokenizer, _ = untrained
    latents = as_batch(random_latents(2, 3))
    pixels = tokenizer.synthesis(latents, as_octaves(100))
    for got, expected in zip(tokenizer.analysis(pixels), latents, strict=True):
        assert (got - expected).abs().max() < 1e-3
    energy = sum(z.square().sum() for z in latents)
    assert pixels.square().sum().item() == pytest.approx(energy.item(), rel=1e-4)


@torch.no_grad()
def test_untrained_codec_reproduces_a_smooth_picture(photo, untrained):
    tokenizer, _ = untrained
    y, x = np.mgrid[0:128, 0:192]
    smooth = np.stack([x, y, 255 - x / 2 - y / 2], axis=-1).clip(0, 255).astype(np.uint8)
    for picture, most in ((smooth, 0.06), (photo[:64, :128], 0.06)):  # the sky of the photo
        pixels = to_float(picture)
        error = tokenizer.synthesis(tokenizer.analysis(pixels), as_octaves(1024)) - pixels
        assert error.square().mean().sqrt() < most


@torch.no_grad()
def test_untrained_latents_are_sorted_and_have_the_given_spread(photo, untrained):
    tokenizer, spread = untrained
    pixels = torch.cat([to_float(photo), to_float(photo[::-1].copy())])
    for band, z, rms in zip(BANDS, tokenizer.analysis(pixels), spread, strict=True):
        assert rms.shape == (band.latents,)
        assert (rms.diff() <= 1e-4).all()
        measured = z.square().mean((0, 2, 3)).sqrt()
        above_floor = rms > 1.01 * rms.min()  # below SMALLEST_SPREAD a channel is given that
        assert above_floor.any()
        assert (measured - rms)[above_floor].abs().max() < 1e-3 * rms.max() + 1e-3
        assert (rms > measured - 1e-3).all()


def test_shapes_of_the_bands(photo, untrained):
    with torch.no_grad():
        latents = untrained[0].analysis(to_float(photo))
    assert [tuple(z.shape) for z in latents] == [(1, b.latents, 3 * b.side, 4 * b.side) for b in BANDS]


@torch.no_grad()
@pytest.mark.parametrize("conditioned", [False, True])
def test_fold_leaves_the_function_unchanged(conditioned):
    torch.manual_seed(2)
    block = Residual(6, 10, conditioned).double()
    block.reduce.weight.normal_()
    block.reduce.bias.normal_()
    block.scale.uniform_(0.2, 5.0)
    if conditioned:
        block.condition.normal_()
    octaves = torch.tensor(octave_weights(77)).double()[None] if conditioned else None
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    before = block(x, octaves)
    block.fold()
    assert (before - x).abs().max() > 0.1
    assert (block.scale == 1).all()
    torch.testing.assert_close(block(x, octaves), before)


@torch.no_grad()
def test_folded_tensors_hold_the_network_in_float16(photo):
    tokenizer, same = randomised(3), randomised(3)
    tensors = folded_tensors(tokenizer)
    names = {name for name in same.state_dict() if not name.endswith(".scale")}
    assert set(tensors) == names
    assert {t.dtype for t in tensors.values()} == {np.dtype(np.float16)}
    pixels = to_float(photo)
    for folded, original in zip(tokenizer.analysis(pixels), same.analysis(pixels)):
        torch.testing.assert_close(folded, original, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_onnx_analysis_agrees_with_torch(photo, exported):
    transform, reference = exported
    pixels = np.ascontiguousarray(photo[:128, 64:256])
    for got, expected in zip(transform.analyze(pixels), reference.analysis(to_float(pixels)), strict=True):
        expected = expected[0].numpy()
        assert got.dtype == np.float32 and got.shape == expected.shape
        assert np.abs(got - expected).max() < 1e-3 * np.abs(expected).max()


@torch.no_grad()
@pytest.mark.parametrize("q", [1, 2, 77, 1000, 1024])
def test_onnx_synthesis_agrees_with_torch(q, exported):
    transform, reference = exported
    latents = random_latents(2, 1, seed=q)
    expected = reference.synthesis(as_batch(latents), as_octaves(q))[0].permute(1, 2, 0)
    expected = ((expected + 1) * 127.5).round().clamp(0, 255).numpy()
    got = transform.synthesize(latents, q)
    assert got.dtype == np.uint8 and got.shape == (128, 64, 3)
    assert np.abs(got - expected).max() <= 1
    assert (got == expected).mean() > 0.99


def test_onnx_synthesis_clips_to_grey_levels(exported):
    latents = tuple(100 * z for z in random_latents(1, 1))
    got = exported[0].synthesize(latents, 64)
    assert {0, 255} <= set(got.ravel().tolist())
    assert (got > 250).mean() + (got < 5).mean() > 0.5


def test_condition_depends_on_q(exported):
    latents = random_latents(1, 1, seed=5)
    pictures = [exported[0].synthesize(latents, q).tobytes() for q in (1, 2, 3, 64, 1023, 1024)]
    assert len(set(pictures)) == len(pictures)


def test_octave_weights_interpolate():
    weights = octave_weights(np.array([1, 2, 3, 1024]))
    assert weights.dtype == np.float32 and weights.shape == (4, 11)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(weights @ np.arange(11), np.log2([1, 2, 3, 1024]), atol=1e-5)
    assert weights[0, 0] == weights[1, 1] == weights[3, 10] == 1
