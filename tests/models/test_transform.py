"""The tokenizer's networks: orthonormal at the start, folding, looks, and the ONNX graphs against torch."""

import copy
import functools
import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from odpiece.models.interface import (  # noqa: E402
    BANDS,
    GRAIN_SIZES,
    LOOKS,
    PIECE,
    USUAL_BANDS,
    grain,
    is_fine,
    octave_weights,
    step_size,
)
from odpiece.models.library import open_model  # noqa: E402
from odpiece.models.nets.bands.blocks import Branch, Linear, Residual  # noqa: E402
from odpiece.models.nets.bands.grain import UNIT  # noqa: E402
from odpiece.models.nets.bands.transform import MIDDLE, Architecture, Tokenizer, lapped  # noqa: E402
from odpiece.models.training.bands import pca  # noqa: E402
from odpiece.models.training.bands.colours import COLOURS, COUNT  # noqa: E402
from odpiece.models.training.bands.exact import fit_exact, lap  # noqa: E402
from odpiece.models.training.bands.export import folded_tensors, write_model  # noqa: E402

SMALL = Architecture(
    fine_hidden=16,
    look_fine_blocks=1,
    middle_hidden=24,
    analysis_middle_blocks=1,
    synthesis_middle_blocks=1,
    look_middle_blocks=1,
    coarse_hidden=16,
    synthesis_coarse_blocks=2,
)
BOTH_LOOKS = replace(SMALL, grain_hidden=8)
QUALITIES = (1, 2, 77, 511, 512, 513, 1024, 2048, 4096)


def bands_of(q):
    return len(BANDS) if is_fine(q) else USUAL_BANDS


def to_float(pixels):
    return torch.tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1.0


@pytest.fixture(scope="module")
def untrained(photo):
    """A tokenizer as training starts from it."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(SMALL)
    pixels = torch.cat([to_float(photo), to_float(photo[::-1].copy())])
    pca.initialise(tokenizer, pixels)
    return tokenizer.eval(), fit_exact(tokenizer, pixels)


def randomised(seed):
    """A tokenizer whose branches, conditions and grain all do something, with channel scales."""
    torch.manual_seed(seed)
    tokenizer = Tokenizer(BOTH_LOOKS)
    with torch.no_grad():
        for module in tokenizer.modules():
            if isinstance(module, Branch):
                module.reduce.weight.normal_(0, 0.05)
                module.expand.bias.normal_(0, 0.1)
                module.scale.uniform_(0.3, 3.0)
                if module.condition is not None:
                    module.condition.normal_(0, 1)
        tokenizer.grain.deviation.reduce.weight *= 20
        for matrix in tokenizer.exact.buffers():
            matrix.copy_(torch.linalg.qr(torch.randn_like(matrix))[0])
    return tokenizer.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(the Transform of a written model, the torch tokenizer with the same float16 weights)."""
    folder = tmp_path_factory.mktemp("model")
    tensors = folded_tensors(randomised(1))
    write_model(folder, "toy", BOTH_LOOKS, tensors)
    reference = Tokenizer(BOTH_LOOKS)
    state = {name: torch.tensor(t).float() for name, t in tensors.items()}
    missing, unexpected = reference.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith(".scale") for name in missing)
    return open_model(folder / "toy.safetensors").transform, reference.eval()


def random_latents(rows, columns, seed=0, bands=USUAL_BANDS):
    """Latents of so many bands."""
    rng = np.random.default_rng(seed)
    shapes = ((b.latents, rows * b.side, columns * b.side) for b in BANDS[:bands])
    return tuple(rng.normal(0, 1.5, shape).astype(np.float32) for shape in shapes)


def residuals(network):
    return [module for module in network.modules() if isinstance(module, Residual)]


def as_batch(latents):
    return [torch.tensor(z)[None] for z in latents]


def as_octaves(q):
    return torch.tensor(octave_weights(q))[None]


def noise(rows, columns):
    """The noise of rows x columns pieces, for a Look."""
    return [torch.tensor(grain(n, PIECE // n * rows, PIECE // n * columns))[None, None] for n in GRAIN_SIZES]


@pytest.mark.parametrize("arch", [Architecture(), SMALL, BOTH_LOOKS])
def test_architecture_returns_from_json(arch):
    assert Architecture.from_dict(json.loads(json.dumps(arch.to_dict()))) == arch


@torch.no_grad()
def test_lapping_is_undone_and_leaves_flat_areas_and_the_frame_alone():
    matrix = lap()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(192), atol=1e-5, rtol=0)
    x = torch.rand(2, 3, 64, 128) * 2 - 1
    changed = lapped(x, matrix, 8)
    assert (changed - x)[..., 4:-4, 4:-4].abs().max() > 0.1
    torch.testing.assert_close(lapped(changed, matrix.T, 8), x, atol=1e-5, rtol=0)
    assert torch.equal(changed[..., :4, :], x[..., :4, :]) and torch.equal(changed[..., -4:], x[..., -4:])
    flat = torch.tensor([0.3, -0.5, 1.0])[None, :, None, None].expand(1, 3, 64, 64)
    torch.testing.assert_close(lapped(flat, matrix, 8), flat, atol=1e-5, rtol=0)


@torch.no_grad()
def test_lapping_turns_squares_amid_four():
    """Of 2x2 places, one by one, as the oracle; a grid of one square has none."""
    matrix = torch.linalg.qr(torch.randn(48, 48, generator=torch.Generator().manual_seed(1)))[0]
    x = torch.randn(1, 12, 6, 4)
    expected = x.clone()
    for row in (1, 3):
        square = x[0, :, row : row + 2, 1:3]
        expected[0, :, row : row + 2, 1:3] = (matrix @ square.reshape(48)).view(12, 2, 2)
    torch.testing.assert_close(lapped(x, matrix, 2), expected)
    assert torch.equal(lapped(x[..., :2, :2], matrix, 2), x[..., :2, :2])


@torch.no_grad()
def test_lapping_takes_bits_off_patches_of_a_correlated_picture():
    """Of the usual model of pictures, of correlation 0.95 between neighbours: half the log of a patch's covariance."""
    x = torch.randn(1, 1, 512, 512, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(2):
        for column in range(1, 512):
            x[..., column] = 0.95 * x[..., column - 1] + (1 - 0.95**2) ** 0.5 * x[..., column]
        x = x.transpose(2, 3)
    plain, turned = (
        F.pixel_unshuffle(y[:, :1], 8)[0].flatten(1) for y in (x, lapped(x.repeat(1, 3, 1, 1), lap().double(), 8))
    )
    before, after = (torch.cov(patches).logdet().item() / 2 / np.log(2) for patches in (plain, turned))
    assert after < before - 4


def test_the_exact_matrices_are_orthonormal(untrained):
    matrices = dict(untrained[0].exact.named_buffers())
    assert set(matrices) == {f"{name}{level}" for name in ("lap", "merge") for level in (8, 16, 32, 64)}
    for name, matrix in matrices.items():
        assert (matrix @ matrix.T - torch.eye(len(matrix))).abs().max() < 1e-4, name


@torch.no_grad()
def test_the_first_exact_latents_are_mean_colours(photo, untrained):
    """Of a piece, 64 times its mean along each axis of COLOURS, but for what lapping moves across its border."""
    pixels = to_float(photo)
    x = lapped(pixels, untrained[0].exact.lap8, 8)
    means = torch.einsum("ij,bjhw->bihw", COLOURS, F.avg_pool2d(x, 64)) * 64
    torch.testing.assert_close(untrained[0].exact(pixels)[0][:, :COUNT], means, atol=1e-3, rtol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("q", [100, 513, 4096])
def test_untrained_analysis_inverts_synthesis_and_keeps_the_energy(q, untrained):
    tokenizer, _ = untrained
    latents = as_batch(random_latents(2, 3, bands=bands_of(q)))
    pixels = tokenizer.decode(latents, as_octaves(q))
    for got, expected in zip(tokenizer.analyze(pixels, is_fine(q)), latents, strict=True):
        assert (got - expected).abs().max() < 1e-3
    energy = sum(z.square().sum() for z in latents)
    assert pixels.square().sum().item() == pytest.approx(energy.item(), rel=1e-4)


def ceiling(tokenizer, picture):
    """PSNR, in dB, of what all bands give back of a picture at q = 4096 when nothing is rounded."""
    pixels = to_float(picture)
    decoded = tokenizer.decode(tokenizer.analyze(pixels, fine=True), as_octaves(4096))
    return 10 * np.log10(4 / (decoded - pixels).square().mean().item())


@torch.no_grad()
def test_all_bands_give_any_picture_back(photo, untrained):
    """Whatever the usual residual branches have learned, as long as the restoration has learned nothing."""
    tokenizer = copy.deepcopy(untrained[0])
    for part in (tokenizer.analysis, tokenizer.synthesis, tokenizer.look):
        for block in residuals(part):
            block.reduce.weight.normal_(0, 0.05)
    noise = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    for picture in (photo, noise, np.full((64, 64, 3), (255, 0, 128), np.uint8)):
        assert ceiling(untrained[0], picture) > 80 and ceiling(tokenizer, picture) > 80
    assert ceiling(randomised(5), photo) < 60  # the oracle


@torch.no_grad()
def test_high_qualities_have_one_look_which_is_restored(exported):
    """By what the residual branches give, in quantization steps."""
    reference, latents = exported[1], as_batch(random_latents(1, 2, seed=8, bands=len(BANDS)))
    octaves = as_octaves(2000)
    before = after = reference.exact.patches(latents)
    for block in reference.restoration:
        after = block(after, octaves)
    expected = reference.exact.pixels(before + float(step_size(2000)) * (after - before))
    for values in (None, noise(1, 2)):
        torch.testing.assert_close(reference.decode(latents, octaves, values), expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(reference.exact.pixels(before), expected, atol=0.01)


@torch.no_grad()
def test_untrained_codec_reproduces_a_smooth_picture(photo, untrained):
    tokenizer, _ = untrained
    y, x = np.mgrid[0:128, 0:192]
    smooth = np.stack([x, y, 255 - x / 2 - y / 2], axis=-1).clip(0, 255).astype(np.uint8)
    for picture, most in ((smooth, 0.06), (photo[:64, :128], 0.06)):  # the sky of the photo
        pixels = to_float(picture)
        error = tokenizer.decode(tokenizer.analysis(pixels), as_octaves(1024)) - pixels
        assert error.square().mean().sqrt() < most


@torch.no_grad()
def test_untrained_latents_are_sorted_and_have_the_given_spread(photo, untrained):
    tokenizer, spread = untrained
    pixels = torch.cat([to_float(photo), to_float(photo[::-1].copy())])
    for band, z, rms in zip(BANDS, tokenizer.analyze(pixels, fine=True), spread, strict=True):
        assert rms.shape == (band.latents,)
        behind = rms[COUNT:] if band is BANDS[0] else rms  # the mean colours come first, whatever their spread
        assert (behind.diff() <= 1e-4).all()
        measured = z.square().mean((0, 2, 3)).sqrt()
        above_floor = rms > 1.01 * rms.min()  # below SMALLEST_SPREAD a channel is given that
        assert above_floor.any()
        assert (measured - rms)[above_floor].abs().max() < 1e-3 * rms.max() + 1e-3
        assert (rms > measured - 1e-3).all()


@torch.no_grad()
def test_shapes_of_the_bands(photo, untrained):
    usual, latents = (untrained[0].analyze(to_float(photo), fine) for fine in (False, True))
    assert [tuple(z.shape) for z in latents] == [(1, b.latents, 3 * b.side, 4 * b.side) for b in BANDS]
    assert [z.shape for z in usual] == [z.shape for z in latents[:USUAL_BANDS]]
    assert sum(z.numel() for z in latents) == photo.size


@torch.no_grad()
@pytest.mark.parametrize("conditioned", [False, True])
def test_fold_leaves_the_function_unchanged(conditioned):
    torch.manual_seed(2)
    block = Residual(6, 10, conditioned).double()
    block.reduce.weight.normal_()
    block.expand.bias.normal_()
    block.scale.uniform_(0.2, 5.0)
    if conditioned:
        block.condition.normal_()
    octaves = torch.tensor(octave_weights(1500)).double()[None] if conditioned else None
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    before = block(x, octaves)
    block.fold()
    assert (before - x).abs().max() > 0.1
    assert (block.scale == 1).all()
    torch.testing.assert_close(block(x, octaves), before)


@torch.no_grad()
def test_fold_and_unfold_leave_grain_unchanged():
    """Whose branch sees magnitudes."""
    grain, features, values = randomised(2).grain.double(), torch.randn(1, 96, 8, 8).double(), noise(1, 1)
    scale, before = grain.deviation.scale.clone(), grain(features, as_octaves(9).double(), values)
    grain.deviation.fold()
    torch.testing.assert_close(grain(features, as_octaves(9).double(), values), before)
    assert (grain.deviation.scale == 1).all() and before.std() > 1e-3
    grain.deviation.unfold(scale)
    torch.testing.assert_close(grain(features, as_octaves(9).double(), values), before)
    assert torch.equal(grain.deviation.scale, scale)


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
@pytest.mark.parametrize("fine", [False, True])
def test_onnx_analysis_agrees_with_torch(fine, photo, exported):
    transform, reference = exported
    pixels = np.ascontiguousarray(photo[:128, 64:256])
    wanted = reference.analyze(to_float(pixels), fine)
    for got, expected in zip(transform.analyze(pixels, fine), wanted, strict=True):
        expected = expected[0].numpy()
        assert got.dtype == np.float32 and got.shape == expected.shape
        assert np.abs(got - expected).max() < 1e-3 * np.abs(expected).max()


@torch.no_grad()
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("q", QUALITIES)
def test_onnx_synthesis_agrees_with_torch(look, q, exported):
    transform, reference = exported
    latents = random_latents(2, 1, seed=q, bands=bands_of(q))
    expected = reference.decode(as_batch(latents), as_octaves(q), noise(2, 1) if look == "natural" else None)
    expected = ((expected[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).numpy()
    got = transform.synthesize(latents, q, look)
    assert got.dtype == np.uint8 and got.shape == (128, 64, 3)
    assert np.abs(got - expected).max() <= 1
    assert (got == expected).mean() > 0.98


def with_noise(tokenizer, latents, values):
    """(3, H, W) of the natural look at q = 9, in grey levels."""
    return 127.5 * tokenizer.decode(latents, as_octaves(9), values)[0]


@torch.no_grad()
@pytest.mark.parametrize("number, size", [*enumerate(GRAIN_SIZES)])
def test_noise_changes_the_natural_look_where_it_lies(number, size):
    """A grain reaches no farther than interpolation does."""
    tokenizer, latents, values = randomised(4), as_batch(random_latents(4, 4)), noise(4, 4)
    before = with_noise(tokenizer, latents, values)
    values[number][0, 0, 24, 16] ^= 128
    places = ((with_noise(tokenizer, latents, values) - before).abs().amax(0) > 1e-2).nonzero()
    assert len(places) >= size**2
    assert ((places + 0.5 - torch.tensor([24.5, 16.5]) * size).abs().max(0).values <= 1.5 * size).all()


@torch.no_grad()
def test_noise_is_as_strong_as_is_predicted():
    """All noise at its highest is the sum of deviations."""
    grain = randomised(4).grain
    predicted = torch.randn(3)
    grain.deviation.forward = lambda x, octaves: predicted[:, None, None].expand(1, 3, *x.shape[2:])
    got = grain(torch.zeros(1, 96, 8, 8), as_octaves(9), [torch.full_like(v, 255) for v in noise(1, 1)])[0]
    torch.testing.assert_close(got, (UNIT * F.silu(predicted)).sum().expand(1, 64, 64))


@torch.no_grad()
def test_noise_follows_the_magnitudes_of_features():
    grain, features, values = randomised(4).grain, torch.randn(1, 96, 8, 8), noise(1, 1)
    grains = [grain(sign * features, as_octaves(9), values) for sign in (1, -1)]
    assert torch.equal(*grains) and grains[0].any()
    assert not grain(0 * features, as_octaves(9), values).any()


@torch.no_grad()
def test_the_natural_look_is_the_faithful_one_with_grain(exported):
    reference, latents, octaves = exported[1], as_batch(random_latents(1, 2, seed=8)), as_octaves(50)
    middle = reference.synthesis(latents, octaves)
    assert middle.shape == (1, MIDDLE, 4, 8)
    faithful = reference.look(middle, octaves)
    assert faithful.shape == (1, 3, 64, 128)
    assert torch.equal(reference.decode(latents, octaves), faithful)
    grain = reference.grain(reference.look.features(middle, octaves), octaves, noise(1, 2))
    assert grain.std() > 0.01
    torch.testing.assert_close(reference.decode(latents, octaves, noise(1, 2)), faithful + grain)


def test_a_model_of_one_look_has_its_graphs(tmp_path, untrained):
    tensors = folded_tensors(untrained[0])
    write_model(tmp_path, "toy", SMALL, tensors)
    graphs = {path.name for path in tmp_path.glob("*.onnx")}
    assert graphs == {
        f"toy.{part}{kind}.onnx" for part in ("analysis", "gradient", "faithful") for kind in ("", ".fine")
    }


def error_by_autograd(reference, latents, q, pixels, importance):
    """The weighted squared errors, summed over pieces, and the gradients of all, by torch in double precision.

    Those are of whole grey levels, these pass by the rounding and the blocks at 1/16.
    """
    reference = copy.deepcopy(reference).double()
    bands = [z.double().requires_grad_() for z in as_batch(latents)]
    wanted = torch.tensor(pixels).permute(2, 0, 1)[None].double() / 127.5 - 1
    octaves = as_octaves(q)
    for module in reference.modules():
        if isinstance(module, Linear):  # which works in single precision
            module.forward = functools.partial(nn.Conv2d.forward, module)
    for block in (*reference.synthesis.middle, *reference.look.middle):
        block.register_forward_hook(lambda block, inputs, output: (output - inputs[0]).detach() + inputs[0])
    decoded = reference.decode(bands, octaves.double())
    levels = (127.5 * (1 + decoded.detach())).clamp(0, 255).round() / 127.5 - 1
    difference = decoded + (levels - decoded).detach() - wanted
    error = (torch.tensor(importance).double() * difference.square()).sum((0, 1))
    gradients = [g[0].numpy() for g in torch.autograd.grad(error.sum(), bands)]
    return error.unfold(0, 64, 64).unfold(1, 64, 64).sum((2, 3)).detach().numpy(), gradients


@pytest.mark.parametrize("q", [1, 90, 256, 700, 4096])
@pytest.mark.parametrize("rows, columns", [(1, 1), (2, 3)])
def test_onnx_gradients_are_those_of_autograd(q, rows, columns, exported):
    transform, reference = exported
    rng = np.random.default_rng(q)
    latents = random_latents(rows, columns, seed=q, bands=bands_of(q))
    pixels = rng.integers(0, 256, (64 * rows, 64 * columns, 3), dtype=np.uint8)
    importance = rng.uniform(0, 2, pixels.shape[:2]).astype(np.float32)
    error, gradients = transform.error(latents, q, pixels, importance)
    expected_error, expected = error_by_autograd(reference, latents, q, pixels, importance)
    assert error.dtype == np.float32
    np.testing.assert_allclose(error, expected_error, rtol=1e-4)
    for z, got, wanted in zip(latents, gradients, expected, strict=True):
        assert got.dtype == np.float32 and got.shape == z.shape
        assert np.abs(got - wanted).max() < 1e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("q", [64, 1500])
def test_unimportant_pixels_do_not_matter(q, exported):
    transform, _ = exported
    latents, rng = random_latents(1, 2, seed=3, bands=bands_of(q)), np.random.default_rng(0)
    pixels, importance = rng.integers(0, 256, (64, 128, 3), dtype=np.uint8), np.zeros((64, 128), dtype=np.float32)
    importance[5:40, 20:50] = 1  # all in the first of two pieces
    error, gradients = transform.error(latents, q, pixels, importance)
    pixels[importance == 0] ^= 0xFF
    again, same = transform.error(latents, q, pixels, importance)
    assert error[0, 0] > 0 == error[0, 1] and np.array_equal(error, again)
    assert all(g.any() for g in gradients[2:]) and all(
        np.array_equal(a, b) for a, b in zip(gradients, same, strict=True)
    )
    nothing, none = transform.error(latents, q, pixels, np.zeros_like(importance))
    assert not nothing.any() and not any(g.any() for g in none)


def test_onnx_synthesis_clips_to_grey_levels(exported):
    latents = tuple(100 * z for z in random_latents(1, 1))
    got = exported[0].synthesize(latents, 64, "faithful")
    assert {0, 255} <= set(got.ravel().tolist())
    assert (got > 250).mean() + (got < 5).mean() > 0.5


@pytest.mark.parametrize("qualities", [(1, 2, 3, 64, 255, 256), (513, 1500, 4096)])
def test_condition_depends_on_q(qualities, exported):
    latents = random_latents(1, 1, seed=5, bands=bands_of(qualities[0]))
    pictures = [exported[0].synthesize(latents, q, "faithful").tobytes() for q in qualities]
    assert len(set(pictures)) == len(pictures)
