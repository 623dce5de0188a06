"""Training the natural look: what pulls at its grain, what it changes, what it leaves, and its resumption."""

import json

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from odpiece.models.interface import GRAIN_SIZES, LOOKS  # noqa: E402
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
GRAIN = "grain."


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


def test_the_grain_comes_nearer_to_the_contrast_of_the_original(run, batch, monkeypatch):
    """In steps of the same qualities and noise."""
    monkeypatch.setattr(look_loop, "rate_factor", lambda step, progress: 1.0)
    monkeypatch.setattr(look_loop, "FIDELITY", 0.0)
    errors = []
    for _ in range(70):
        run.generator.manual_seed(3)
        errors.append(run.update(batch, 0.0)["contrast"])
    assert errors[-1] < 0.9 * errors[0]


def test_fidelity_makes_the_grain_weaker(run, batch, monkeypatch):
    """Where it is all that counts, the squared error falls to that of the faithful look."""
    monkeypatch.setattr(look_loop, "rate_factor", lambda step, progress: 1.0)
    monkeypatch.setattr(look_loop, "contrast_error", lambda decoded, original, quality: 0 * decoded)
    run.grain.deviation.reduce.weight.data *= 50
    losses = []
    for _ in range(8):
        run.generator.manual_seed(3)
        values = run.update(batch, 0.0)
        losses.append(values["faithful_psnr"] - values["natural_psnr"])
    assert losses[0] > 0.05 and losses[-1] < 0.5 * losses[0]


def test_steps_move_every_weight_of_the_grain_and_nothing_else(run, batch, monkeypatch):
    monkeypatch.setattr(look_loop, "rate_factor", lambda step, progress: 1.0)
    frozen = [p.detach().clone() for net in (run.tokenizer, run.prior) for p in net.parameters()]
    before = [{n: p.detach().clone() for n, p in net.named_parameters()} for net in (run.grain, run.average)]
    values = [run.update(batch, 0.0) for _ in range(2)]
    for old, net in zip(before, (run.grain, run.average)):
        assert not [name for name, p in net.named_parameters() if torch.equal(p, old[name])]
    after = (p for net in (run.tokenizer, run.prior) for p in net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(frozen, after, strict=True))
    assert run.step == 2
    assert all(v["contrast"] > 0 for v in values)
    assert all(5 < v["natural_psnr"] < v["faithful_psnr"] + 0.1 < 60 for v in values)


def test_noise_of_training_is_like_that_of_decoding(run, crops):
    values = run._noise(crops)
    for got, size in zip(values, GRAIN_SIZES, strict=True):
        assert got.shape == (2, 1, 128 // size, 128 // size)
        assert got.min() == 0 and got.max() == 255
        assert got.float().mean().item() == pytest.approx(127.5, abs=5)
    assert not torch.equal(values[0], run._noise(crops)[0])


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


def test_only_the_grain_is_new(trained):
    options, before, after, _ = trained
    assert set(after) == set(before) | {RUN}
    for part in ("tokenizer", "averaged_tokenizer"):
        new = {name for name in after[part] if name not in before[part]}
        assert new and all(name.startswith(GRAIN) for name in new)
        assert all(torch.equal(tensor, after[part][name]) for name, tensor in before[part].items())
    for part in ("prior", "averaged_prior"):
        assert all(torch.equal(tensor, after[part][name]) for name, tensor in before[part].items())
    assert after["architecture"] == before["architecture"] | {"grain_hidden": look_loop.HIDDEN}
    tokenizer, _ = loop.load_averaged(options.out)
    assert tokenizer.arch.looks == LOOKS and tokenizer.grain.deviation.condition.any()


def test_the_log_has_a_line_a_step(trained):
    *_, lines = trained
    names = {"step", "minutes", "seconds_a_step", "contrast", "faithful_psnr", "natural_psnr"}
    assert lines and all(set(line) == names for line in lines)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(np.isfinite(list(line.values())).all() for line in lines)


def test_training_goes_on_from_the_natural_look_if_there_is_one(trained, tmp_path):
    """In no time at all nothing changes."""
    options, _, after, _ = trained
    train_look(TuningOptions(options.out, options.data, tmp_path / "again.pt", 0, cache=options.cache, batch=1))
    again = torch.load(tmp_path / "again.pt", weights_only=True)["averaged_tokenizer"]
    assert again.keys() == after["averaged_tokenizer"].keys()
    assert all(torch.equal(tensor, after["averaged_tokenizer"][name]) for name, tensor in again.items())
