"""Convolutions of 8-bit integers: exact sums, scales that fit, the same by both backends."""

import copy
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn  # noqa: E402

from odpiece.models import onnx_backend  # noqa: E402
from odpiece.models.conversion import converted  # noqa: E402
from odpiece.models.integers import BYTES, STEPS, integer_weights  # noqa: E402
from odpiece.models.interface import INTEGERS, LOOKS  # noqa: E402
from odpiece.models.library import load_model, open_model  # noqa: E402
from odpiece.models.nets.bands.blocks import Branch  # noqa: E402
from odpiece.models.nets.bands.integers import IntegerConv, rounded  # noqa: E402
from odpiece.models.nets.bands.transform import Architecture, Tokenizer  # noqa: E402
from odpiece.models.training.bands import pca  # noqa: E402
from odpiece.models.training.bands.calibration import calibrated  # noqa: E402
from odpiece.models.training.bands.export import channel_scales, folded_tensors, write_model  # noqa: E402

BACKENDS = "onnx", "torch"
PARTS = "expand", "reduce"
GRIDS = {"input": [0.02, 100], "output": [0.05, 120]}
TOY = Architecture(fine_hidden=8, middle_hidden=16, coarse_hidden=8, synthesis_coarse_blocks=1, grain_hidden=8)


@pytest.fixture
def conv():
    torch.manual_seed(0)
    return nn.Conv2d(4, 3, 3, padding=1, padding_mode="replicate").requires_grad_(False)


@pytest.fixture(scope="module")
def tokenizer(pictures):
    """One whose branches do something, with channel scales."""
    torch.manual_seed(1)
    tokenizer = Tokenizer(TOY)
    pca.initialise(tokenizer, torch.tensor(pictures[0]).permute(2, 0, 1)[None].float() / 127.5 - 1)
    with torch.no_grad():
        for module in tokenizer.modules():
            if isinstance(module, Branch):
                module.reduce.weight.normal_(0, 0.05)
                module.scale.uniform_(0.5, 2)
    return tokenizer.eval()


@pytest.fixture(scope="module")
def pictures(photo):
    return [np.ascontiguousarray(photo[:128, :192])]


@pytest.fixture(scope="module")
def toy(tokenizer, pictures, tmp_path_factory):
    """The weights file of the tokenizer, with integers."""
    network, folder = copy.deepcopy(tokenizer), tmp_path_factory.mktemp("toy")
    integers, scales = calibrated(network, pictures), channel_scales(network)
    write_model(folder, "toy", TOY, scales | folded_tensors(network), integers)
    return folder / "toy.safetensors"


def in_integers(conv, factor=1):
    """The whole weights and the steps of those of `conv` times `factor`, with channels of spread one."""
    weight = factor * conv.weight.numpy()
    found = integer_weights({"a.reduce.weight": weight, "scales.a": np.ones(len(weight), np.float32)}, ["a.reduce"])
    return found["a.reduce" + BYTES], found["a.reduce" + STEPS]


def test_sums_are_those_of_whole_numbers(conv):
    x = torch.randn(1, 4, 5, 6)
    weights, steps = in_integers(conv)
    assert weights.dtype == np.int8 and set(np.abs(weights).max((1, 2, 3))) == {63}
    error = np.abs(weights * steps[:, None, None, None] - conv.weight.numpy()).max((1, 2, 3))
    assert (error <= steps * 0.501).all() and error.min() > 0
    values = np.clip(np.rint(x[0].numpy() / np.float32(0.02)) + 100, 0, 255).astype(np.int64) - 100
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, ((0, 0), (1, 1), (1, 1)), "edge"), (3, 3), (1, 2))
    sums = np.einsum("ihwab,oiab->ohw", windows, weights.astype(np.int64)) * (0.02 * steps)[:, None, None]
    expected = np.clip(np.rint(sums / 0.05), -120, 135) * 0.05 + conv.bias.numpy()[:, None, None]
    np.testing.assert_allclose(IntegerConv(conv, GRIDS, weights, steps)(x)[0].numpy(), expected, atol=1e-5)


def test_weights_of_nothing_stay_nothing():
    weights, steps = in_integers(nn.Conv2d(2, 2, 3, bias=False).requires_grad_(False), 0)
    assert not weights.any() and (steps > 0).all()


def test_spreads_of_channels_move_into_the_weights():
    """Inputs over their spread and outputs over theirs need weights times the first, over the second."""
    weight, spread = np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float16), np.float32([1, 4, 9])
    found = integer_weights(
        {f"a.{part}.weight": weight for part in PARTS} | {"scales.a": spread}, [f"a.{p}" for p in PARTS]
    )
    for part, expected in zip(PARTS, (weight * spread[:, None, None], weight / spread[:, None, None, None])):
        steps = found[f"a.{part}{STEPS}"][:, None, None, None]
        assert (np.abs(found[f"a.{part}{BYTES}"] * steps - expected) <= steps * 0.501).all()


@pytest.mark.parametrize("flushes", [False, True])
def test_the_smallest_weights_are_kept(flushes):
    """Also in a process that trains, where tiny numbers are flushed to zero."""
    values = np.arange(65536, dtype=np.uint16).view(np.float16)
    values = values[np.isfinite(values)]
    torch.set_flush_denormal(flushes)
    try:
        found = converted({"all": values}, np.float32)["all"]
    finally:
        torch.set_flush_denormal(False)
    assert (found == values.astype(np.float64)).all()


def test_scales_fit_what_the_convolutions_see(tokenizer, pictures):
    integers = calibrated(tokenizer, pictures)
    blocks = "synthesis.middle.0", "look.middle.0", "look.middle.1"
    assert sorted(integers) == sorted(f"{block}.{conv}" for block in blocks for conv in ("expand", "reduce"))
    assert json.loads(json.dumps(integers)) == integers
    for grids in integers.values():
        for scale, zero in grids.values():
            assert scale == np.float32(scale) > 0 and 0 <= zero <= 255
    seen = []
    conv = tokenizer.synthesis.middle[0].expand
    handle = conv.register_forward_hook(lambda conv, inputs, output: seen.append(inputs[0]))
    calibrated(tokenizer, pictures)
    handle.remove()
    values, grid = torch.cat(seen), integers["synthesis.middle.0.expand"]["input"]
    assert (rounded(values, *grid) * grid[0] - values).square().mean() < 0.001 * values.square().mean()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("q", [16, 512])
def test_backends_agree(q, look, toy, pictures, monkeypatch):
    """Also the graph that onnxruntime optimizes, and where it computes in floats, as on graphics processors."""
    transform = open_model(toy).transform
    latents = tuple(np.rint(z) for z in transform.analyze(pictures[0]))
    found = [model.transform.synthesize(latents, q, look) for model in (open_model(toy), open_model(toy, "torch"))]
    for name, value in (("LEFT_OUT", (*onnx_backend.LEFT_OUT, "QDQSelectorActionTransformer")), ("FEW_PIECES", 0)):
        monkeypatch.setattr(onnx_backend, name, value)
        monkeypatch.setattr(transform, "_sessions", {})
        found.append(transform.synthesize(latents, q, look))
    for other in found[1:]:
        assert np.abs(found[0].astype(int) - other).max() <= 1 and (found[0] != other).mean() < 0.001


def test_models_need_no_integers(tokenizer, pictures, tmp_path):
    """Such as users made before there were any: these have floats, by both backends."""
    write_model(tmp_path, "floats", TOY, folded_tensors(copy.deepcopy(tokenizer)))
    (tmp_path / f"floats{INTEGERS}").unlink()
    path = tmp_path / "floats.safetensors"
    latents = tuple(np.rint(z) for z in open_model(path).transform.analyze(pictures[0]))
    onnx, floats = (open_model(path, backend).transform.synthesize(latents, 64, LOOKS[0]) for backend in BACKENDS)
    assert np.abs(onnx.astype(int) - floats).max() <= 1 and np.ptp(onnx) > 50


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("few", [0, 36])
def test_onnxruntime_computes_in_integers(look, few, pictures, monkeypatch, tmp_path):
    """In the shipped graphs it finds all convolutions that have scales, also where it hardly optimizes."""
    integers = json.loads(load_model().path.with_suffix(INTEGERS).read_text())
    assert len(integers) > 1
    latents = load_model().transform.analyze(pictures[0])
    options = onnx_backend.ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    monkeypatch.setattr(onnx_backend.ort, "SessionOptions", lambda: options)
    monkeypatch.setattr(onnx_backend, "FEW_PIECES", few)
    transform = load_model().transform
    monkeypatch.setattr(transform, "_sessions", {})
    transform.synthesize(latents, 64, look)
    assert (tmp_path / "optimized.onnx").read_bytes().count(b"QLinearConv") == len(integers)
