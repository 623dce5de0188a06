"""Training the natural look: what pulls at its pixels, what it changes, what it leaves, and its resumption."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
if find_spec("stlpips_pytorch") is None:
    pytest.skip("needs stlpips-pytorch, which has the weights", allow_module_level=True)

from torch import nn  # noqa: E402

from odpiece.models.interface import GRAIN, LOOKS  # noqa: E402
from odpiece.models.nets.bands.transform import Architecture  # noqa: E402
from odpiece.models.training import runs  # noqa: E402
from odpiece.models.training.bands import look_loop, loop  # noqa: E402
from odpiece.models.training.bands.look_loop import LookRun, train_look  # noqa: E402
from odpiece.models.training.bands.tuning import RUN, TuningOptions  # noqa: E402
from odpiece.models.training.crops import Batch  # noqa: E402
from odpiece.models.training.processes import Processes  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = Architecture(
    fine_hidden=16,
    look_fine_blocks=1,
    middle_hidden=16,
    analysis_middle_blocks=1,
    synthesis_middle_blocks=1,
    look_middle_blocks=1,
    coarse_hidden=16,
    synthesis_coarse_blocks=1,
)
NATURAL = "looks.natural."


@pytest.fixture(scope="module")
def tokenizer_run(turned):
    """A run at its start, initialised from the photo turned eight ways."""
    run = loop.Run(SMALL, seed=0, processes=Processes("cpu"))
    run.initialise(loop.to_float(turned))
    return run


@pytest.fixture
def run(tokenizer_run):
    return LookRun(*tokenizer_run.averaged, Processes("cpu"), seed=0)


@pytest.fixture(scope="module")
def batch(photo):
    """A Batch of two crops of the photo, 128x128, which teach the usual bands."""
    return Batch(np.stack([photo[:128, :128], photo[64:, 100:228]]), 1, np.array([256, 256]))


@pytest.fixture(scope="module")
def crops(batch):
    """The same as float (2, 3, 128, 128)."""
    return loop.to_float(batch.pixels)


def by_hand(residual, period):
    """The oracle of `repetition` for one picture (3, H, W): (error, repeated error), a list of rows of regions each."""
    side = period * look_loop.REPEATS
    corners = [(y, x) for y in range(0, side, period) for x in range(0, side, period)]
    error, repeated = [], []
    for top in range(0, residual.shape[1], side):
        regions = [residual[:, top : top + side, left : left + side] for left in range(0, residual.shape[2], side)]
        blocks = [
            np.mean([region[:, y : y + period, x : x + period] for y, x in corners], axis=0) for region in regions
        ]
        error.append([np.square(region).mean() for region in regions])
        repeated.append([np.mean([channel.var() for channel in block]) for block in blocks])
    return error, repeated


@pytest.mark.parametrize("period", look_loop.PERIODS)
def test_repetition_is_that_of_the_definition(period):
    residual = torch.randn(2, 3, 128, 192, generator=torch.Generator().manual_seed(0)) + 0.3
    got = look_loop.repetition(residual, period)
    expected = zip(*(by_hand(picture.double().numpy(), period) for picture in residual))
    for ours, oracle in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), oracle, rtol=1e-4)


@pytest.mark.parametrize("period", look_loop.PERIODS)
def test_only_what_repeats_in_a_region_is_repetition(period):
    def repeated(residual):
        return look_loop.repetition(residual, period)[1].mean().item()

    generator = torch.Generator().manual_seed(1)
    tile = torch.randn(1, 3, period, period, generator=generator)
    tile -= tile.mean((2, 3), keepdim=True)
    everywhere = tile.repeat(1, 1, 128 // period, 128 // period)
    assert repeated(everywhere) == pytest.approx(tile.square().mean().item(), rel=1e-4)
    assert repeated(everywhere + 0.7) == pytest.approx(repeated(everywhere), rel=1e-4)
    noise = torch.randn(1, 3, 128, 128, generator=generator)
    assert repeated(noise) == pytest.approx(1 / look_loop.REPEATS**2, rel=0.15)
    signs = torch.tensor([1.0, -1.0]).repeat_interleave(period)
    assert repeated(everywhere * signs.repeat(128 // len(signs))) < 1e-10


def seams_by_hand(pictures):
    """The oracle of `visible_seams`: steps to the left and upper neighbour, at the borders of patches and within."""
    found, side = [], 8 * look_loop.REPEATS
    for picture in (*pictures, *pictures.transpose(0, 1, 3, 2)):
        steps = np.square(np.diff(picture, axis=2, prepend=picture[:, :, :1])).mean(axis=0)
        for top in range(0, steps.shape[0], side):
            for left in range(0, steps.shape[1], side):
                region = steps[top : top + side, left : left + side]
                border = np.arange(side) % 8 == 0
                means = [region[:, at].mean() + look_loop.SMALLEST_ERROR for at in (border, ~border)]
                found.append(max(0.0, np.log(means[0] / means[1])))
    return np.mean(found)


def test_seams_are_those_of_the_definition():
    noise = torch.randn(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    patches = nn.functional.interpolate(noise[..., :8, :16], scale_factor=8)
    for pictures in (noise, patches, noise + patches, noise + 0.1 * patches):
        expected = seams_by_hand(pictures.double().numpy())
        assert look_loop.visible_seams(pictures).item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_seams_are_at_the_borders_of_patches_only():
    generator = torch.Generator().manual_seed(0)
    patches = nn.functional.interpolate(torch.rand(1, 3, 16, 16, generator=generator), scale_factor=8)
    assert look_loop.visible_seams(patches).item() > 4
    assert look_loop.visible_seams(patches.roll((3, 3), (2, 3))).item() == pytest.approx(0, abs=1e-6)
    assert look_loop.visible_seams(torch.rand(1, 3, 128, 128, generator=generator)).item() < 0.1


class Painted(nn.Module):
    """In place of a Look: a picture, whose gradient is what the losses ask of the pixels."""

    def __init__(self, pixels):
        super().__init__()
        self.picture = nn.Parameter(pixels.clone())

    def forward(self, x, octaves, grain):
        return self.picture


class Idle:
    """In place of the optimizers: leaves the gradients where they are."""

    parameters = ()

    def step(self, factor):
        pass


@pytest.fixture(scope="module")
def flaws():
    """float (2, 3, 128, 128): a pattern that repeats, and noise."""
    generator = torch.Generator().manual_seed(5)
    tile = torch.randn(1, 3, 8, 8, generator=generator).repeat(1, 1, 16, 16)
    return 0.1 * tile + 0.1 * torch.randn(2, 3, 128, 128, generator=generator)


@pytest.fixture
def pull(run, batch, crops, flaws, monkeypatch):
    """A function: the gradient in the crops with `scale` times the flaws, with losses and constants as given."""

    def gradient(distance=True, scale=1.0, **constants):
        with monkeypatch.context() as patch:
            for name, value in constants.items():
                patch.setattr(look_loop, name, value)
            if not distance:
                patch.setattr(run, "_distance", lambda pixels, decoded: (0 * decoded).sum())
            patch.setattr(look_loop, "constrain_look", lambda look: None)  # a picture has no weights to constrain
            picture = crops + scale * flaws
            run.look, run.average, run.optimizers = Painted(picture), Painted(picture), Idle()
            run.generator.manual_seed(3)
            run.update(batch, 0.0)
        return run.look.picture.grad

    return gradient


def along(gradient, picture, length=0.01):
    """`picture` moved against a gradient by `length` in root mean square."""
    return picture - length * gradient / gradient.square().mean().sqrt()


def test_fidelity_pulls_at_all_errors(pull, flaws):
    got = pull(distance=False, REPETITION=0.0, SEAMS=0.0)
    assert ((got * flaws)[flaws.abs() > 1e-3] > 0).all()
    twice = pull(distance=False, REPETITION=0.0, SEAMS=0.0, FIDELITY=2 * look_loop.FIDELITY)
    torch.testing.assert_close(twice, 2 * got)


def test_repetition_pulls_at_what_repeats(pull, flaws):
    got = pull(distance=False, SEAMS=0.0) - pull(distance=False, SEAMS=0.0, REPETITION=0.0)

    def repeated(residual):
        return sum(look_loop.repetition(residual, period)[1].mean().item() for period in look_loop.PERIODS)

    moved = along(got, flaws)
    assert repeated(moved) < 0.9 * repeated(flaws)
    noise = flaws - flaws.reshape(2, 3, 16, 8, 16, 8).mean((2, 4)).repeat(1, 1, 16, 16)
    assert ((got * noise).sum() / got.norm() / noise.norm()).abs() < 0.3  # the cosine of their angle


def test_a_decibel_weighs_the_same_whatever_the_error(pull):
    """Half the flaws are pulled at twice as hard."""
    large, small = (pull(distance=False, SEAMS=0.0, scale=scale) for scale in (1.0, 0.5))
    torch.testing.assert_close(small, 2 * large, rtol=0.1, atol=0.05 * large.abs().max().item())


def test_the_distance_pulls_towards_its_lowering(pull, run, crops, flaws):
    got = pull(FIDELITY=0.0, SEAMS=0.0)
    assert got.any()

    @torch.no_grad()
    def distance(residual):
        run.generator.manual_seed(4)
        return run._distance(crops, crops + residual).item()

    assert distance(along(got, flaws)) < distance(flaws) < distance(along(-got, flaws))


def test_seams_pull_at_the_borders_of_patches(pull, crops, flaws):
    got, picture = pull(distance=False, FIDELITY=0.0), crops + flaws
    assert look_loop.visible_seams(picture) > 0
    assert look_loop.visible_seams(along(got, picture)) < 0.9 * look_loop.visible_seams(picture)


def test_all_losses_add_up(pull):
    together = pull()
    parts = pull(FIDELITY=0.0, SEAMS=0.0), pull(distance=False, SEAMS=0.0), pull(distance=False, FIDELITY=0.0)
    assert all(part.any() for part in parts)
    torch.testing.assert_close(together, sum(parts), rtol=1e-3, atol=1e-3 * together.abs().max().item())


def test_steps_move_every_weight_of_the_look_and_nothing_else(run, batch, monkeypatch):
    """Residual branches and grain start at zero, so what lies before the branches moves from the second step on."""
    monkeypatch.setattr(look_loop, "rate_factor", lambda step, progress: 1.0)
    frozen = [p.detach().clone() for net in (run.tokenizer, run.prior, run.metric) for p in net.parameters()]
    before = [{n: p.detach().clone() for n, p in net.named_parameters()} for net in (run.look, run.average)]
    values = [list(run.update(batch, 0.0).values()) for _ in range(4)]
    for old, net in zip(before, (run.look, run.average)):
        assert not [name for name, p in net.named_parameters() if torch.equal(p, old[name])]
    after = (p for net in (run.tokenizer, run.prior, run.metric) for p in net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(frozen, after, strict=True))
    assert np.isfinite(values).all() and run.step == 4
    distance, decibels, *patterns = values[0]
    assert 0 < distance < 2 and 5 < decibels < 60 and all(0 <= pattern < 2 for pattern in patterns)


def test_grain_of_training_is_like_that_of_decoding(run, crops):
    coarse, fine = run._grain(crops)
    assert coarse.shape == (2, GRAIN, 8, 8) and fine.shape == (2, GRAIN, 16, 16)
    assert fine.min() >= -1 and fine.max() < 1
    assert fine.std().item() == pytest.approx(1 / np.sqrt(3), rel=0.1)
    assert not torch.equal(coarse, run._grain(crops)[0])


def test_both_pictures_are_seen_through_the_same_window(run, crops):
    """At all draws: a window of the one equals that of the other, and the windows differ."""
    windows = []
    for _ in range(12):
        view = run._view(128)
        first = view(crops)
        assert first.shape == (2, 3, look_loop.WINDOW, look_loop.WINDOW)
        torch.testing.assert_close(view(0.5 * crops), 0.5 * first)
        windows.append(first)
    assert all(not torch.equal(a, b) for a, b in zip(windows, windows[1:]))


@pytest.fixture(scope="module")
def trained(tokenizer_run, photo, tmp_path_factory):
    """(options, checkpoint before, checkpoint after, log lines) of a second of training."""
    root = tmp_path_factory.mktemp("look")
    (root / "pictures").mkdir()
    Image.fromarray(np.concatenate([photo, photo[::-1]])).save(root / "pictures" / "a.png")
    runs.save(tokenizer_run.state_dict(), root / "best.pt")
    out = root / "out" / "look.pt"
    options = TuningOptions(root / "best.pt", (root / "pictures",), out, minutes=1 / 60, cache=root / "cache", batch=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "LOG_SECONDS", 0)
        patch.setattr(look_loop, "rate_factor", lambda step, progress: 1.0)
        train_look(options)
    states = [torch.load(path, weights_only=True) for path in (options.checkpoint, options.out)]
    lines = [json.loads(line) for line in options.out.with_suffix(".jsonl").read_text().splitlines()]
    return options, *states, lines


def test_only_the_natural_look_is_new(trained):
    _, before, after, _ = trained
    assert set(after) == set(before) | {RUN}
    for part in ("tokenizer", "averaged_tokenizer"):
        new = {name for name in after[part] if name not in before[part]}
        assert new and all(name.startswith(NATURAL) for name in new)
        assert all(torch.equal(tensor, after[part][name]) for name, tensor in before[part].items())
    for part in ("prior", "averaged_prior"):
        assert all(torch.equal(tensor, after[part][name]) for name, tensor in before[part].items())
    assert after["architecture"] == before["architecture"] | {"looks": LOOKS}


def test_the_checkpoint_has_both_looks(trained):
    options, _, after, _ = trained
    tokenizer, _ = loop.load_averaged(options.out)
    assert tuple(tokenizer.looks) == LOOKS and tokenizer.arch.looks == LOOKS
    faithful, natural = (tokenizer.looks[look].state_dict() for look in LOOKS)
    assert set(natural) - set(faithful) == {"grain16.weight", "grain8.weight"}
    assert any(not torch.equal(tensor, natural[name]) for name, tensor in faithful.items())
    assert natural["grain8.weight"].any()
    for name, tensor in natural.items():
        assert torch.equal(tensor, after["averaged_tokenizer"][f"{NATURAL}{name}"])


def test_the_log_has_a_line_a_step(trained):
    *_, lines = trained
    names = {"step", "minutes", "seconds_a_step", "st_lpips", "psnr", "repeated", "seams"}
    assert lines and all(set(line) == names for line in lines)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(np.isfinite(list(line.values())).all() for line in lines)


@pytest.mark.parametrize("from_natural", [False, True])
def test_training_starts_from_the_natural_look_if_there_is_one(from_natural, trained, tmp_path):
    """In no time at all nothing changes."""
    options, _, after, _ = trained
    checkpoint = options.out if from_natural else options.checkpoint
    train_look(TuningOptions(checkpoint, options.data, tmp_path / "again.pt", 0, cache=options.cache, batch=1))
    again = torch.load(tmp_path / "again.pt", weights_only=True)["averaged_tokenizer"]
    for name, tensor in again.items():
        if not name.startswith(NATURAL) or from_natural:
            assert torch.equal(tensor, after["averaged_tokenizer"][name])
        elif "grain" in name:
            assert not tensor.any()
        else:
            assert torch.equal(tensor, again[name.replace(NATURAL, "looks.faithful.")])
