"""Fitting the matrices of high qualities: the cost that is lowered, what it leaves alone, and the checkpoint."""

import copy

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from odpiece.codec.bands.tokens import kept_mask  # noqa: E402
from odpiece.models.interface import BANDS, latent_steps, step_size  # noqa: E402
from odpiece.models.nets.bands.transform import Architecture  # noqa: E402
from odpiece.models.training import runs  # noqa: E402
from odpiece.models.training.bands import exact_loop, loop  # noqa: E402
from odpiece.models.training.bands.tuning import RUN, TuningOptions  # noqa: E402
from odpiece.models.training.crops import Batch  # noqa: E402
from odpiece.models.training.processes import Processes  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = Architecture(fine_hidden=16, middle_hidden=16, coarse_hidden=16)
STEPS = 12  # of a fit that a test can wait for


@pytest.fixture(scope="module")
def start(turned):
    """A run of joint training at its start, initialised from the photo turned eight ways."""
    run = loop.Run(SMALL, seed=0, processes=Processes("cpu"))
    run.initialise(loop.to_float(turned))
    return run


@pytest.fixture(scope="module")
def batch(photo):
    """A Batch of two crops of the photo, 128x128, which teach high qualities."""
    return Batch(np.stack([photo[:128, :128], photo[64:, 100:228]]), 2047, np.array([2048, 2048]))


@pytest.fixture(scope="module")
def fitted(start, batch):
    """(the ExactRun after STEPS steps on the batch, what each reported)."""
    run = exact_loop.ExactRun(copy.deepcopy(start.tokenizer), start.prior, Processes("cpu"), 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_loop, "rate_factor", lambda step, progress: 1.0)
        return run, [run.update(batch, 0.0)["loss"] for _ in range(STEPS)]


def applied(run):
    """The Exact with the turned matrices."""
    exact = copy.deepcopy(run.exact)
    exact.load_state_dict(run.matrices())
    return exact


@torch.no_grad()
def test_cost_is_that_of_gaussians_in_regions():
    """Of rate R(D) = log2(1 + energy / rounding) / 2 where kept, and all the energy where dropped."""
    generator, quality = torch.Generator().manual_seed(0), torch.tensor([1500, 200])
    latents = [torch.randn(2, b.latents, 128 // b.block, 128 // b.block, generator=generator) for b in BANDS]
    got = exact_loop.local_cost(latents, quality)
    for i, q in enumerate(quality.tolist()):
        bits = error = 0.0
        for band, z, step in zip(BANDS, latents, latent_steps(q)):
            side = max(1, 32 // band.block)
            kept = np.tile(kept_mask(band, np.array([[q]])), (1, 2, 2)).astype(float)
            for row in range(0, z.shape[2], side):
                for column in range(0, z.shape[3], side):
                    region = np.s_[:, row : row + side, column : column + side]
                    energy, share = (z[i].numpy()[region] ** 2).mean((1, 2)), kept[region].mean((1, 2))
                    rounding = step**2 / 12
                    bits += side**2 * (share * 0.5 * np.log2(1 + energy / rounding)).sum()
                    error += side**2 * (share * energy * rounding / (energy + rounding) + (1 - share) * energy).sum()
        assert got[i].item() == pytest.approx(error / step_size(q) ** 2 + 0.15 * bits, rel=1e-4)


@torch.no_grad()
def test_steps_lower_the_cost(fitted, start, batch):
    run, losses = fitted
    assert losses[-1] < losses[0] - 0.02
    pixels, quality = loop.to_float(batch.pixels), torch.tensor([2048, 2048])
    before, after = (exact_loop.local_cost(e(pixels), quality).sum() for e in (start.tokenizer.exact, applied(run)))
    assert after < 0.98 * before


@torch.no_grad()
def test_every_matrix_stays_orthonormal_and_the_picture_comes_back(fitted, batch):
    run, _ = fitted
    for name, matrix in run.matrices().items():
        torch.testing.assert_close(matrix @ matrix.T, torch.eye(len(matrix)), atol=1e-4, rtol=0)
        assert name == "merge64" or not torch.allclose(matrix, run.exact.get_buffer(name), atol=1e-3)
    exact, pixels = applied(run), loop.to_float(batch.pixels)
    torch.testing.assert_close(exact.pixels(exact.patches(exact(pixels))), pixels, atol=1e-3, rtol=0)


@torch.no_grad()
def test_flat_areas_give_what_they_gave(fitted, start):
    flat = torch.tensor([0.3, -0.5, 1.0])[None, :, None, None].expand(1, 3, 128, 128)
    for before, after in zip(start.tokenizer.exact(flat), applied(fitted[0])(flat), strict=True):
        torch.testing.assert_close(after, before, atol=1e-3, rtol=0)


def test_a_run_goes_on_as_if_never_stopped(fitted, start, batch):
    run, _ = fitted
    again = exact_loop.ExactRun(copy.deepcopy(start.tokenizer), start.prior, Processes("cpu"), 0)
    again.load_state_dict(copy.deepcopy(run.state_dict()))
    first = copy.deepcopy(run)
    assert first.update(batch, 0.5) == again.update(batch, 0.5)
    for name, matrix in first.matrices().items():
        assert torch.equal(matrix, again.matrices()[name])


def test_only_the_matrices_of_the_checkpoint_change(start, photo, tmp_path):
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.tile(photo, (3, 3, 1))).save(tmp_path / "pictures" / "a.png")
    runs.save(start.state_dict(), tmp_path / "best.pt")
    options = TuningOptions(
        tmp_path / "best.pt",
        (tmp_path / "pictures",),
        tmp_path / "exact.pt",
        minutes=1 / 60,
        cache=tmp_path / "cache",
        batch=1,
    )
    exact_loop.train_exact(options)
    before, after = (torch.load(path, weights_only=True) for path in (options.checkpoint, options.out))
    assert after[RUN]["step"] > 0
    for part in ("tokenizer", "averaged_tokenizer"):
        changed = {n for n, t in before[part].items() if not torch.equal(t, after[part][n])}
        assert {"exact.lap8", "exact.merge8", "exact.lap16"} < changed and all(
            name.startswith("exact.") for name in changed
        )
    for part in ("prior", "averaged_prior"):
        assert all(torch.equal(t, after[part][name]) for name, t in before[part].items())
