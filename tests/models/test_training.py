"""Training: the objective, the optimizers, a run of seconds, its resumption, and a model made of it."""

import functools
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from odpiece.cli.train import export  # noqa: E402
from odpiece.codec import decode, encode  # noqa: E402
from odpiece.codec.bands.tokens import kept_mask  # noqa: E402
from odpiece.formats.container import CoderId  # noqa: E402
from odpiece.formats.errors import UnknownModelError  # noqa: E402
from odpiece.models.interface import BANDS, INTEGERS, USUAL_BANDS, octave_weights, step_size  # noqa: E402
from odpiece.models.library import open_model  # noqa: E402
from odpiece.models.nets.bands.prior import Prior, logistic_bits  # noqa: E402
from odpiece.models.nets.bands.transform import Architecture  # noqa: E402
from odpiece.models.training import runs  # noqa: E402
from odpiece.models.training.bands import loop, objective  # noqa: E402
from odpiece.models.training.bands.export import load_shipped  # noqa: E402
from odpiece.models.training.bands.optimizers import COOLDOWN, WARMUP_STEPS, rate_factor  # noqa: E402
from odpiece.models.training.bands.validation import QUALITIES, validate  # noqa: E402
from odpiece.models.training.crops import Batch  # noqa: E402
from odpiece.models.training.processes import Processes  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = dict(
    fine_hidden=16,
    look_fine_blocks=1,
    middle_hidden=16,
    analysis_middle_blocks=1,
    synthesis_middle_blocks=1,
    look_middle_blocks=1,
    coarse_hidden=16,
    synthesis_coarse_blocks=1,
)
SECONDS = 1 / 60  # in minutes


@pytest.fixture(scope="module")
def batch(photo):
    """A Batch of two crops of the photo, 128x128, which teach the usual bands."""
    return Batch(np.stack([photo[:128, :128], photo[64:, 100:228]]), 1, np.array([256, 256]))


@pytest.fixture(scope="module")
def fine_batch(batch):
    """The same crops, which teach all bands."""
    return Batch(batch.pixels, 2049, np.array([4096, 4096]))


@pytest.fixture(scope="module")
def crops(batch):
    """The same as float (2, 3, 128, 128)."""
    return loop.to_float(batch.pixels)


@pytest.fixture
def run(turned):
    """A small run at its start, from principal components of enough blocks to have full rank."""
    new = loop.Run(Architecture(**SMALL), seed=0, processes=Processes("cpu"))
    new.initialise(loop.to_float(turned))
    return new


def weights(run):
    nets = (run.tokenizer, run.prior, *run.averaged)
    return [p.detach().clone() for net in nets for p in net.parameters()]


@pytest.mark.parametrize("lengths", [[[0, 1, 2], [17, 64, 65]], [[4096, 1025, 300], [2048, 2049, 100]]])
@pytest.mark.parametrize("count", [USUAL_BANDS, len(BANDS)])
def test_kept_masks_are_the_codec_s(count, lengths):
    got = objective.kept_masks(torch.tensor([lengths, [row[::-1] for row in lengths]]), count)
    for band, masks in zip(BANDS[:count], got, strict=True):
        np.testing.assert_array_equal(masks[0].numpy(), kept_mask(band, np.array(lengths)))
        np.testing.assert_array_equal(masks[1].numpy(), kept_mask(band, np.array(lengths)[:, ::-1]))


def test_usual_quality_is_drawn_more_often_from_higher_octaves():
    quality = objective.draw_quality(1, torch.full((20_000,), 512), torch.Generator().manual_seed(0))
    assert quality.dtype == torch.int64
    assert quality.min() == 1 and 500 <= quality.max() <= 512
    share = [((quality >= 2**k) & (quality < 2 ** (k + 1))).float().mean().item() for k in range(3, 9)]
    expected = np.diff((np.arange(3, 10) / 9) ** (1 / objective.UPWARDS))
    np.testing.assert_allclose(share, expected, atol=0.015)
    assert share[-1] > 1.5 * share[0]


def test_quality_is_at_most_what_each_picture_may_teach():
    highest = torch.tensor([1, 16, 256]).repeat(4000)
    quality = objective.draw_quality(1, highest, torch.Generator().manual_seed(0)).reshape(-1, 3)
    assert quality.min() == 1 and quality.max(0).values.tolist() == [1, 16, 256]
    share = [(quality[:, 2] >= 2**k).float().mean().item() for k in (2, 4, 6)]
    expected = 1 - np.array([0.25, 0.5, 0.75]) ** (1 / objective.UPWARDS)
    np.testing.assert_allclose(share, expected, atol=0.04)


def test_quality_is_at_least_what_a_step_teaches():
    quality = objective.draw_quality(1025, torch.full((8000,), 4096), torch.Generator().manual_seed(0))
    assert 1025 <= quality.min() < 1035 and 4050 < quality.max() <= 4096
    assert (quality >= 2048).float().mean().item() == pytest.approx(0.5, abs=0.03)


@torch.no_grad()
@pytest.mark.parametrize("quality, count", [((1, 512), USUAL_BANDS), ((513, 4096), len(BANDS))])
def test_high_qualities_have_the_exact_analysis(quality, count, run, crops):
    latents = objective.analyze(run.tokenizer, crops, torch.tensor(quality))
    assert len(latents) == count
    wanted = run.tokenizer.analysis(crops) if count == USUAL_BANDS else run.tokenizer.exact(crops)
    assert all(torch.equal(a, b) for a, b in zip(latents, wanted, strict=True))


def test_lengths_are_q_or_shorter():
    generator = torch.Generator().manual_seed(0)
    quality = objective.draw_quality(1, torch.full((5000,), 1024), generator)
    lengths = objective.draw_lengths(quality, 2, 3, generator)
    assert lengths.shape == (5000, 2, 3)
    assert (lengths >= 1).all() and (lengths <= quality[:, None, None]).all()
    assert (lengths == lengths[:, :1, :1]).all()
    long = quality > 8
    shorter = (lengths[long, 0, 0] < quality[long]).float().mean().item()
    assert shorter == pytest.approx(objective.SHORTENED, abs=0.03)


def steps_of(values):
    """Steps as of `band_steps`: `values`, one a picture, half as large for the first three latents."""
    steps = [torch.tensor(values)[:, None, None, None].repeat(1, band.latents, 1, 1) for band in BANDS]
    steps[0][:, :3] /= 2
    return tuple(steps)


def test_quantize_rounds_and_passes_gradients_of_kept_latents():
    """But not of those that only rate-aware rounding made zero."""
    torch.manual_seed(0)
    steps = steps_of([0.5, 4.0])
    latents = [(torch.randn(2, b.latents, b.side, b.side) * 5).requires_grad_() for b in BANDS]
    masks = objective.kept_masks(torch.tensor([[[20]], [[4000]]]), len(BANDS))
    prior, octaves = Prior(), torch.as_tensor(octave_weights(np.array([20, 4000])))
    tokens = objective.quantize(latents, masks, steps, prior, octaves)
    sum(z.sum() for z in tokens).backward()
    nearest = [(z / step).round() * mask for z, step, mask in zip(latents, steps, masks, strict=True)]
    for z, k, near, mask, step in zip(latents, tokens, nearest, masks, steps):
        moved = k.detach() != near
        assert (k.detach()[moved] == (near - near.sign())[moved]).all()  # one step towards zero, or not at all
        zeroed = moved & (k.detach() == 0)
        expected = mask * ~zeroed  # 1 in units of the step
        torch.testing.assert_close(z.grad * step, expected)
        assert zeroed.any() and (moved & ~zeroed).any() and ((near == 0) & (mask == 1)).any()


@torch.no_grad()
def test_choose_never_costs_more_than_rounding():
    """With bits given the rounded latents, latent by latent; errors count in units of the usual step."""
    torch.manual_seed(1)
    prior, octaves = Prior(), torch.as_tensor(octave_weights(np.array([4000])))
    scaled = tuple(torch.randn(1, b.latents, 2 * b.side, b.side) * 2 for b in BANDS)
    masks = objective.kept_masks(torch.tensor([[[4000], [4000]]]), len(BANDS))
    nearest = tuple(z.round() * m for z, m in zip(scaled, masks))
    laws = prior(nearest, octaves)
    steps = steps_of([2.0])
    chosen = objective.choose(nearest, scaled, steps, prior, octaves)

    def costs(latents):
        return [
            ((z - k) * step / 2.0) ** 2 + objective.LAMBDA * logistic_bits(k, *law)
            for z, k, step, law in zip(scaled, latents, steps, laws)
        ]

    for ours, plain in zip(costs(chosen), costs(nearest), strict=True):
        assert (ours <= plain + 1e-5).all()
        assert (ours < plain - 1e-3).any()


def test_cost_weighs_error_by_the_step():
    quality = torch.tensor([1, 1024])
    got = objective.cost(torch.tensor([100.0, 100.0]), torch.tensor([10.0, 20.0]), quality)
    expected = 100 / step_size(np.array([1, 1024])) ** 2 + objective.LAMBDA * np.array([10, 20])
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("quality", [(200, 3), (4096, 1500)])
def test_error_is_that_of_the_decoded_picture(quality, run, crops):
    """At the start the transform is orthonormal: error in pixels = error in latents + what no latent holds."""
    quality = torch.tensor(quality)
    lengths = quality[:, None, None].expand(-1, 2, 2)
    error, bits = objective.run(run.tokenizer, run.prior, crops, quality, lengths)
    latents = objective.analyze(run.tokenizer, crops, quality)
    steps = objective.band_steps(quality, "cpu")
    octaves = torch.as_tensor(octave_weights(quality))
    tokens = objective.quantize(latents, objective.kept_masks(lengths, len(latents)), steps, run.prior, octaves)
    lost = crops.square().sum((1, 2, 3)) - sum(z.square().sum((1, 2, 3)) for z in latents)
    for z, decoded in zip(latents, objective.dequantize(tokens, steps)):
        lost = lost + (z - decoded).square().sum((1, 2, 3))
    torch.testing.assert_close(error, lost, rtol=1e-2, atol=1.0)
    assert error[0] < error[1] and bits[0] > bits[1] > 0


def test_a_few_steps_lower_the_loss_on_one_batch(run, batch, crops, monkeypatch):
    monkeypatch.setattr(loop, "rate_factor", lambda step, progress: 1.0)
    quality = torch.tensor([16, 200])

    @torch.no_grad()
    def cost():
        error, bits = objective.run(run.tokenizer, run.prior, crops, quality, quality[:, None, None].expand(-1, 2, 2))
        return objective.cost(error, bits, quality)

    before = cost()
    losses = [run.update(batch, 0.0)["loss"] for _ in range(25)]
    assert np.isfinite(losses).all()
    assert (cost() < 0.99 * before).all()
    assert run.step == 25


HIGH = ("restoration", "fine")  # parts of the tokenizer and of the prior that high qualities alone have


def test_steps_move_every_weight_of_the_bands_that_they_teach(run, batch, fine_batch, monkeypatch):
    """The heads of the prior start at zero, so what lies before them moves from the second step on."""
    monkeypatch.setattr(loop, "rate_factor", lambda step, progress: 1.0)
    before = weights(run)
    for _ in range(4):
        run.update(batch, 0.0)
    names = [
        f"{kind}.{name}"
        for kind, net in zip(("now", "now", "average", "average"), (run.tokenizer, run.prior) * 2)
        for name, _ in net.named_parameters()
    ]
    moved = {name: (a - b).abs().max() for name, a, b in zip(names, before, weights(run), strict=True)}
    assert {name for name, distance in moved.items() if distance < 1e-7} == {
        name for name in names if name.split(".")[1] in HIGH
    }
    for _ in range(4):
        run.update(fine_batch, 0.0)
    assert not [name for name, a, b in zip(names, before, weights(run), strict=True) if (a - b).abs().max() < 1e-7]


def test_a_saved_run_goes_on_as_if_never_stopped(run, batch, fine_batch, tmp_path):
    """But for its qualities, which begin anew with each part."""
    run.update(batch, 0.0)
    runs.save(run.state_dict(), tmp_path / "state.pt")
    resumed = loop.Run.from_state_dict(torch.load(tmp_path / "state.pt", weights_only=True), run.processes)
    run.reseed()
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]
    losses = [[r.update(b, 0.1) for b in (batch, fine_batch)] for r in (run, resumed)]
    assert losses[0] == losses[1]
    assert all(torch.equal(a, b) for a, b in zip(weights(run), weights(resumed), strict=True))
    assert resumed.step == run.step == 3


@pytest.mark.parametrize(
    "step, progress, factor",
    [
        (0, 0.0, 1 / WARMUP_STEPS),
        (WARMUP_STEPS // 2 - 1, 0.0, 0.5),
        (10**6, 1 - COOLDOWN, 1.0),
        (10**6, 0.1, 1.0),
        (10**6, 1 - COOLDOWN / 2, 0.5),
        (10**6, 1.0, 0.0),
        (10**6, 1.5, 0.0),
    ],
)
def test_rates_rise_stay_and_fall(step, progress, factor):
    assert rate_factor(step, progress) == pytest.approx(factor)


def test_validation_gives_a_row_a_quality(run, photo):
    rows = validate(run.tokenizer, run.prior, [photo, photo[:100, :70]])
    assert [row["q"] for row in rows] == list(QUALITIES)
    assert all(set(row) == {"q", "psnr", "bpp", "cost"} for row in rows)
    assert (np.diff([row["bpp"] for row in rows]) > 0).all()
    assert (np.diff([row["psnr"] for row in rows][2:]) > 0).all()
    assert max(row["psnr"] for row in rows[:2]) < rows[2]["psnr"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, photo):
    """A folder of three small pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    wide = np.concatenate([photo, photo[::-1]], axis=0)
    for name, pixels in (("a.png", wide[:300, :]), ("b.png", np.flip(wide, 1)[40:340]), ("c.png", 255 - wide[:260])):
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory, pictures):
    """(options of a run of a second of a small network, its last table); logs every step."""
    root = tmp_path_factory.mktemp("run")
    options = loop.TrainOptions((pictures,), pictures, root / "out", SECONDS, cache=root / "cache", batch=1, threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "PCA_CROPS", 4)
        patch.setattr(runs, "LOG_SECONDS", 0)
        patch.setattr(loop, "Architecture", functools.partial(Architecture, **SMALL))
        table = loop.train_tokenizer(options)
    return options, table


def log_lines(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_run_writes_log_and_checkpoints(trained):
    options, table = trained
    assert {p.name for p in options.out.iterdir()} == {"log.jsonl", "checkpoint.pt", "best.pt"}
    *steps, last = log_lines(options.out)
    assert steps and all(set(line) == {"step", "minutes", "loss", "seconds_a_step"} for line in steps)
    assert [line["step"] for line in steps] == list(range(1, len(steps) + 1))
    assert all(np.isfinite(line["loss"]) and line["seconds_a_step"] > 0 for line in steps)
    assert set(last) == {"step", "minutes", "val", "mean_log_cost"}
    assert last["val"] == table and [row["q"] for row in table] == list(QUALITIES)
    assert last["mean_log_cost"] == pytest.approx(np.mean([np.log(row["cost"]) for row in table]))


def test_checkpoint_holds_the_run(trained):
    options, _ = trained
    state = torch.load(options.out / "checkpoint.pt", weights_only=True)
    assert state["step"] == log_lines(options.out)[-1]["step"] >= 1
    assert state["seconds"] >= 60 * options.minutes
    assert Architecture.from_dict(state["architecture"]) == Architecture(**SMALL)
    assert state["best"] == log_lines(options.out)[-1]["mean_log_cost"]


def test_resume_goes_on_from_the_checkpoint(trained, tmp_path, monkeypatch):
    options, _ = trained
    state = torch.load(options.out / "checkpoint.pt", weights_only=True)
    runs.save(state, tmp_path / "checkpoint.pt")
    monkeypatch.setattr(runs, "LOG_SECONDS", 0)
    minutes = state["seconds"] / 60 + 0.2 * SECONDS
    loop.train_tokenizer(
        loop.TrainOptions(
            options.data, options.val, tmp_path, minutes, resume=True, cache=options.cache, batch=1, threads=1
        )
    )
    lines = log_lines(tmp_path)
    assert lines[0]["step"] == state["step"] + 1
    assert lines[-1]["step"] == len(lines) - 1 + state["step"]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == lines[-1]["step"]


def test_untrained_network_takes_no_steps(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "PCA_CROPS", 2)
    monkeypatch.setattr(loop, "Architecture", functools.partial(Architecture, **SMALL))
    options = loop.TrainOptions((pictures,), pictures, tmp_path / "out", 0, cache=tmp_path, batch=1, threads=1)
    loop.train_tokenizer(options)
    assert [line["step"] for line in log_lines(options.out)] == [0]
    assert torch.load(options.out / "best.pt", weights_only=True)["step"] == 0


@pytest.mark.parametrize("wrong", [{"minutes": -1}, {"batch": 0}])
def test_options_outside_their_range(wrong, tmp_path):
    with pytest.raises(ValueError):
        loop.TrainOptions(**{"data": (tmp_path,), "val": tmp_path, "out": tmp_path, "minutes": 1} | wrong)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The Model that `odpiece train export` makes of the run."""
    options, _ = trained
    folder = tmp_path_factory.mktemp("export")
    done = CliRunner().invoke(
        export,
        [
            "--checkpoint",
            str(options.out / "best.pt"),
            "--data",
            str(options.data[0]),
            "--name",
            "toy",
            "--out",
            str(folder),
            "--cache",
            str(options.cache),
            "--crops",
            "1",
        ],
        catch_exceptions=False,
    )
    model = open_model(folder / "toy.safetensors")
    assert done.exit_code == 0 and model.sha256 in done.output
    return model


@pytest.mark.parametrize("coder", CoderId)
def test_exported_model_encodes_and_decodes(coder, exported, photo):
    data = encode(photo, 1024, model=exported, coder=coder)
    got = decode(data, model=exported)
    assert got.shape == photo.shape
    assert np.square(got.astype(float) - photo).mean() < 0.2 * photo.astype(float).var()
    with pytest.raises(UnknownModelError):
        decode(data)


def test_an_exported_model_has_convolutions_of_integers(exported):
    convs = json.loads(exported.path.with_suffix(INTEGERS).read_text())
    assert convs and {name.rsplit(".", 2)[0] for name in convs} == {"synthesis.middle", "look.middle"}
    graph = exported.path.with_suffix(".faithful.onnx").read_bytes()
    assert all(f"{name}.bytes".encode() in graph for name in convs)


def test_exported_coders_are_a_ladder(exported, photo):
    raw, static, learned = (len(encode(photo, 256, model=exported, coder=coder)) for coder in CoderId)
    assert max(static, learned) < 0.8 * raw


def test_averaged_networks_are_those_of_the_checkpoint(trained):
    path = trained[0].out / "best.pt"
    state = torch.load(path, weights_only=True)
    for net, name in zip(loop.load_averaged(path), ("tokenizer", "prior"), strict=True):
        assert not net.training
        assert all(torch.equal(t, state[f"averaged_{name}"][key]) for key, t in net.state_dict().items())


@torch.no_grad()
@pytest.mark.parametrize("quality", [(30, 500), (1500, 4096)])
def test_training_goes_on_from_a_shipped_file(quality, trained, exported, crops):
    """What load_shipped reads computes what the checkpoint computed, but for the rounding of float16 and integers."""
    options, _ = trained
    tokenizer, prior = loop.load_averaged(options.out / "best.pt")
    again, prior_again = load_shipped(exported.path)
    quality = torch.tensor(quality)
    lengths = quality[:, None, None].expand(-1, 2, 2)
    for a, b in zip(*(objective.analyze(t, crops, quality) for t in (tokenizer, again)), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-2, atol=2e-2)
    expected = objective.run(tokenizer, prior, crops, quality, lengths)
    got = objective.run(again, prior_again, crops, quality, lengths)
    for a, b in zip(expected, got):
        torch.testing.assert_close(b, a, rtol=2e-2, atol=1.0)
    scales = [module.scale for module in again.modules() if hasattr(module, "fold")]
    assert any((scale != 1).any() for scale in scales)


@pytest.mark.parametrize("kind, rate", [("weights", None), ("checkpoint", 0.7)])
def test_a_started_run_takes_over_the_weights(kind, rate, trained, exported, pictures, tmp_path):
    start, load = {
        "weights": (exported.path, load_shipped),
        "checkpoint": (trained[0].out / "best.pt", loop.load_averaged),
    }[kind]
    options = loop.TrainOptions(
        (pictures,), pictures, tmp_path / "out", 0, start=start, cache=tmp_path, batch=1, threads=1, rate=rate
    )
    loop.train_tokenizer(options)
    state = torch.load(options.out / "checkpoint.pt", weights_only=True)
    expected = load(start)[0].state_dict()
    for part in ("tokenizer", "averaged_tokenizer"):
        assert all(torch.equal(state[part][name], t) for name, t in expected.items())
    assert state["rate"] == (rate or loop.FROM_TRAINED)


def test_average_is_the_mean_of_the_averaged_weights(trained, tmp_path):
    options, _ = trained
    state = torch.load(options.out / "best.pt", weights_only=True)
    for part in ("averaged_tokenizer", "averaged_prior"):
        state[part] = {name: 3 * tensor + 1 for name, tensor in state[part].items()}
    torch.save(state, tmp_path / "other.pt")
    loop.average_checkpoints([options.out / "best.pt", tmp_path / "other.pt"], tmp_path / "mean.pt")
    original = torch.load(options.out / "best.pt", weights_only=True)
    mean = torch.load(tmp_path / "mean.pt", weights_only=True)
    for part in ("tokenizer", "prior"):
        for name, tensor in original[f"averaged_{part}"].items():
            torch.testing.assert_close(mean[f"averaged_{part}"][name], 2 * tensor + 0.5)
            assert torch.equal(mean[part][name], mean[f"averaged_{part}"][name])
