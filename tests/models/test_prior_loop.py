"""Training the prior alone: what it changes, what it leaves, and that it learns."""

import json

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from odpiece.codec.coders import SYMBOLS  # noqa: E402
from odpiece.codec.quantization import draft  # noqa: E402
from odpiece.codec.range_coder import row_total  # noqa: E402
from odpiece.codec.tokens import kept_mask  # noqa: E402
from odpiece.models.interface import BANDS, octave_weights  # noqa: E402
from odpiece.models.nets.prior import Prior  # noqa: E402
from odpiece.models.nets.transform import Architecture  # noqa: E402
from odpiece.models.training import loop, prior_loop  # noqa: E402
from odpiece.models.training.optimizers import Optimizers  # noqa: E402

SMALL = Architecture(fine=48, fine_hidden=16, synthesis_fine_blocks=1, middle_hidden=16, analysis_middle_blocks=1,
                     synthesis_middle_blocks=1, coarse_hidden=16, synthesis_coarse_blocks=1)
LEVEL = np.full((11, 4, 264, SYMBOLS), row_total(SYMBOLS) // SYMBOLS, dtype=np.uint32)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def code(latents, q):
    """Plain rounding, as PriorOptions.quantize wants it."""
    return draft(latents, q, LEVEL).bands


@pytest.fixture(scope="module")
def tokenizer_run(photo):
    """A run at its start, initialised from the photo turned eight ways."""
    square = photo[:, :192]
    turned = [np.rot90(side, n) for side in (square, square[::-1]) for n in range(4)]
    run = loop.Run(SMALL, seed=0)
    run.initialise(loop.to_float(np.stack(turned)))
    return run


@pytest.fixture(scope="module")
def trained(tokenizer_run, photo, tmp_path_factory):
    """(checkpoint before, checkpoint after, log lines) of a second of training."""
    root = tmp_path_factory.mktemp("prior")
    (root / "pictures").mkdir()
    Image.fromarray(np.concatenate([photo, photo[::-1]])).save(root / "pictures" / "a.png")
    loop.save(tokenizer_run.state_dict(), root / "best.pt")
    options = prior_loop.PriorOptions(root / "best.pt", root / "pictures", root / "out" / "prior.pt", minutes=1 / 60,
                                      quantize=code, cache=root / "cache", batch=1)
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


def test_tokens_are_the_codec_s(tokenizer_run, photo):
    """Each crop at REPEATS qualities, rounded and dropped as `quantize` does."""
    crops, seen = np.stack([photo[:128, :128], photo[64:, :128]]), []

    def record(latents, q):
        seen.append((q, code(latents, q)))
        return seen[-1][1]

    tokens = prior_loop._code(tokenizer_run.tokenizer, crops, np.random.default_rng(0), record)
    bands, masks, octaves, quality = tokens
    assert quality.tolist() == [q for q, _ in seen] and len(seen) == 2 * prior_loop.REPEATS
    assert all(1 <= q <= 1024 for q in quality.tolist())
    for i, (q, coded) in enumerate(seen):
        for band, z, mask, expected in zip(BANDS, bands, masks, coded, strict=True):
            np.testing.assert_array_equal(z[i].numpy(), expected)
            np.testing.assert_array_equal(mask[i].numpy(), kept_mask(band, np.full((2, 2), q)))
        np.testing.assert_array_equal(octaves[i].numpy(), octave_weights(q))


def test_steps_lower_the_bits_of_the_same_tokens(tokenizer_run, photo):
    crops = np.stack([photo[:128, :128], photo[64:, 100:228]])
    tokens = prior_loop._code(tokenizer_run.tokenizer, crops, np.random.default_rng(3), code)
    torch.manual_seed(0)
    net = Prior()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizers = Optimizers([net])
    losses = [prior_loop._update(net, optimizers, tokens, 1.0) for _ in range(30)]
    assert losses[-1] < 0.99 * losses[0]
    assert not [name for name, p in net.named_parameters() if torch.equal(p, before[name])]
