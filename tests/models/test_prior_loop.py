"""Training the prior alone: what it changes, what it leaves, and that it learns."""

import copy
import json

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from odpiece.codec.bands.tokens import kept_mask  # noqa: E402
from odpiece.models.interface import BANDS, USUAL_BANDS, octave_weights  # noqa: E402
from odpiece.models.nets.bands.prior import Prior  # noqa: E402
from odpiece.models.nets.bands.transform import Architecture  # noqa: E402
from odpiece.models.training import runs  # noqa: E402
from odpiece.models.training.bands import loop, prior_loop  # noqa: E402
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


@pytest.fixture(scope="module")
def tokenizer_run(turned):
    """A run at its start, initialised from the photo turned eight ways."""
    run = loop.Run(SMALL, seed=0, processes=Processes("cpu"))
    run.initialise(loop.to_float(turned))
    return run


@pytest.fixture(scope="module")
def trained(tokenizer_run, photo, tmp_path_factory):
    """(checkpoint before, checkpoint after, log lines) of a second of training."""
    root = tmp_path_factory.mktemp("prior")
    (root / "pictures").mkdir()
    Image.fromarray(np.concatenate([photo, photo[::-1]])).save(root / "pictures" / "a.png")
    runs.save(tokenizer_run.state_dict(), root / "best.pt")
    options = TuningOptions(
        root / "best.pt", (root / "pictures",), root / "out" / "prior.pt", minutes=1 / 60, cache=root / "cache", batch=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "LOG_SECONDS", 0)
        prior_loop.train_prior(options)
    states = [torch.load(path, weights_only=True) for path in (options.checkpoint, options.out)]
    lines = [json.loads(line) for line in options.out.with_suffix(".jsonl").read_text().splitlines()]
    return *states, lines


def same(a, b):
    return {name: torch.equal(a[name], b[name]) for name in a}


def test_only_the_prior_changes(trained):
    before, after, _ = trained
    assert set(after) == set(before) | {RUN}
    for part in ("tokenizer", "averaged_tokenizer"):
        assert all(same(before[part], after[part]).values())
    for part in ("prior", "averaged_prior"):
        assert not all(same(before[part], after[part]).values())
    assert after["architecture"] == before["architecture"]


def test_log_has_a_line_a_step(trained):
    *_, lines = trained
    assert lines and all(set(line) == {"step", "minutes", "loss", "seconds_a_step"} for line in lines)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(np.isfinite(line["loss"]) and line["loss"] > 0 for line in lines)


@pytest.fixture
def make_run(tokenizer_run):
    """A function: a PriorRun of a tokenizer at its start, of a seed."""

    def make(seed, prior=tokenizer_run.prior):
        return prior_loop.PriorRun(tokenizer_run.tokenizer, copy.deepcopy(prior), Processes("cpu"), seed)

    return make


@pytest.fixture(scope="module")
def batch(photo):
    """A Batch of two crops of the photo, 128x128, which teach the usual bands."""
    return Batch(np.stack([photo[:128, :128], photo[64:, 100:228]]), 1, np.array([256, 256]))


@pytest.fixture(scope="module")
def fine_batch(batch):
    """The same crops, which teach all bands."""
    return Batch(batch.pixels, 2049, np.array([4096, 4096]))


@pytest.mark.parametrize("lowest, highest, count", [(1, 512, USUAL_BANDS), (513, 4096, len(BANDS))])
def test_tokens_are_whole_numbers_dropped_at_their_quality(lowest, highest, count, make_run, batch):
    taught = Batch(batch.pixels, lowest, np.array([highest] * 2))
    bands, masks, octaves, quality = make_run(0)._tokens(taught)
    assert len(bands) == count and len(set(quality.tolist())) == 2
    assert lowest <= quality.min() and quality.max() <= highest
    for i, q in enumerate(quality.tolist()):
        np.testing.assert_array_equal(octaves[i].numpy(), octave_weights(q))
        for band, z, mask in zip(BANDS[:count], bands, masks, strict=True):
            np.testing.assert_array_equal(mask[i].numpy(), kept_mask(band, np.full((2, 2), q)))
            assert (z[i] == z[i].round()).all() and not (z[i] * (1 - mask[i])).any()
    assert all(z.any() for z in bands[:1])


def test_no_crop_is_coded_above_the_quality_that_it_may_teach(make_run, batch):
    run, highest = make_run(0), np.array([256, 16])
    quality = torch.stack([run._tokens(Batch(batch.pixels, 1, highest))[3] for _ in range(9)])
    assert (quality.reshape(-1, 2).amax(0) <= torch.tensor(highest)).all() and quality.max() > 16


def test_steps_lower_the_bits_of_the_same_tokens(make_run, fine_batch, monkeypatch):
    monkeypatch.setattr(prior_loop, "rate_factor", lambda step, progress: 1.0)
    torch.manual_seed(0)
    run = make_run(0, Prior())
    tokens = run._tokens(fine_batch)
    monkeypatch.setattr(run, "_tokens", lambda batch: tokens)
    before = {name: p.detach().clone() for name, p in run.prior.named_parameters()}
    losses = [run.update(fine_batch, 0.0)["loss"] for _ in range(30)]
    assert losses[-1] < 0.99 * losses[0]
    for prior in (run.prior, run.average):
        same = {name for name, p in prior.named_parameters() if torch.equal(p, before[name])}
        assert same == {name for name in before if name.startswith("usual.")}  # the crops teach high qualities
