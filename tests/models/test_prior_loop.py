"""Training the prior alone: what it changes, what it leaves, and that it learns."""

import json

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from odpiece.codec.bands.tokens import kept_mask  # noqa: E402
from odpiece.models.interface import BANDS, octave_weights  # noqa: E402
from odpiece.models.nets.bands.prior import Prior  # noqa: E402
from odpiece.models.nets.bands.transform import Architecture  # noqa: E402
from odpiece.models.training.bands import loop, objective, prior_loop  # noqa: E402
from odpiece.models.training.bands.optimizers import Optimizers  # noqa: E402
from odpiece.models.training.processes import Processes  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = Architecture(
    fine=48,
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
    loop.save(tokenizer_run.state_dict(), root / "best.pt")
    options = loop.TuningOptions(
        root / "best.pt", root / "pictures", root / "out" / "prior.pt", minutes=1 / 60, cache=root / "cache", batch=1
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prior_loop, "LOG_SECONDS", 0)
        prior_loop.train_prior(options)
    states = [torch.load(path, weights_only=True) for path in (options.checkpoint, options.out)]
    lines = [json.loads(line) for line in options.out.with_suffix(".jsonl").read_text().splitlines()]
    return *states, lines


def same(a, b):
    return {name: torch.equal(a[name], b[name]) for name in a}


def test_only_the_prior_changes(trained):
    before, after, _ = trained
    assert set(before) == set(after)
    for part in ("tokenizer", "averaged_tokenizer"):
        assert all(same(before[part], after[part]).values())
    for part in ("prior", "averaged_prior"):
        assert not all(same(before[part], after[part]).values())
    assert after["architecture"] == before["architecture"]


def test_log_has_a_line_a_step(trained):
    *_, lines = trained
    assert lines and all(set(line) == {"step", "minutes", "loss"} for line in lines)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(np.isfinite(line["loss"]) and line["loss"] > 0 for line in lines)


def tokens_of(run, photo, seed):
    crops = loop.to_float(np.stack([photo[:128, :128], photo[64:, 100:228]]))
    return prior_loop._tokens(run.tokenizer, run.prior, crops, torch.Generator().manual_seed(seed))


def test_tokens_are_whole_numbers_dropped_at_their_quality(tokenizer_run, photo):
    """Each crop at REPEATS qualities."""
    bands, masks, octaves, quality = tokens_of(tokenizer_run, photo, 0)
    assert len(quality) == 2 * prior_loop.REPEATS and len(set(quality.tolist())) > 1
    for i, q in enumerate(quality.tolist()):
        np.testing.assert_array_equal(octaves[i].numpy(), octave_weights(q))
        for band, z, mask in zip(BANDS, bands, masks, strict=True):
            np.testing.assert_array_equal(mask[i].numpy(), kept_mask(band, np.full((2, 2), q)))
            assert (z[i] == z[i].round()).all() and not (z[i] * (1 - mask[i])).any()
    assert all(z.any() for z in bands[:1])


def test_steps_lower_the_bits_of_the_same_tokens(tokenizer_run, photo):
    def draw(seed):
        return objective.draw_quality(torch.full((4,), 1024), torch.Generator().manual_seed(seed))

    seed = next(seed for seed in range(99) if draw(seed).max() > 500)  # so that every band has tokens
    tokens = tokens_of(tokenizer_run, photo, seed)
    torch.manual_seed(0)
    net = Prior()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizers = Optimizers([net])
    losses = [prior_loop._update(net, optimizers, tokens, 1.0) for _ in range(30)]
    assert losses[-1] < 0.99 * losses[0]
    assert not [name for name, p in net.named_parameters() if torch.equal(p, before[name])]
