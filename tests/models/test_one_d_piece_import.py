"""Checkpoints to models: what is refused, and graphs that compute what the published code computes."""

from pathlib import Path

import numpy as np
import pytest

from odpiece.formats.errors import OptionError
from odpiece.models.backends import choose_device
from odpiece.models.library import load_model

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from odpiece.models.nets.one_d_piece.architecture import PRESETS, Architecture, expected_tensors  # noqa: E402
from odpiece.models.training.one_d_piece.graph import decoder_graph, encoder_graph  # noqa: E402
from odpiece.models.training.one_d_piece.published import load_checkpoint  # noqa: E402

SMALL = Architecture(width=4, layers=1, heads=1, hidden=4, groups=1, proxy_width=4)
REFERENCE = Path(__file__).parent.parent / "reference" / "onedpiece_tiny.npz"


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE, allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name.startswith(("in.", "ref."))}


@pytest.fixture(params=["onnx", "torch"])
def tokenizer(tiny, request):
    """The tile tokenizer on each backend."""
    return load_model("tiny", request.param).tile_tokenizer


def test_tokens_are_those_of_the_published_code(tokenizer, reference):
    tiles = reference["in.images_u8"].transpose(0, 2, 3, 1)
    assert (tokenizer.encode(tiles) == reference["ref.token_ids"]).all()


@pytest.mark.cuda
def test_tokens_are_nearly_those_of_the_published_code_on_a_gpu(tiny, reference):
    if choose_device("torch", "auto") == "cpu":
        pytest.skip("there is no GPU")
    tiles = reference["in.images_u8"].transpose(0, 2, 3, 1)
    same = load_model("tiny", "torch", "cuda").tile_tokenizer.encode(tiles) == reference["ref.token_ids"]
    assert same.mean() > 0.9


@pytest.mark.parametrize("count", [1, 8, 64, 256])
def test_pictures_are_those_of_the_published_code(tokenizer, reference, count):
    """Half a level is rounding, 1e-4 of 255 the tolerance of the reference."""
    tiles = tokenizer.decode(reference["ref.token_ids"][:, :count]).astype(np.float64).transpose(0, 3, 1, 2)
    crop = np.clip(reference[f"ref.image_crop_k{count}"], 0, 1) * 255
    assert np.abs(tiles[:, :, :64, 192:] - crop).max() < 0.53


def test_the_same_weights_have_the_same_fingerprint_everywhere(tiny):
    """Files name the weights by it: it may not depend on the machine, the day, or what made the checkpoint."""
    assert tiny.sha256 == "6d174fdc6799f787fb0fc09c2686b88428ec1cdeecc066a1a364945ead32285d"


@pytest.mark.parametrize("size", PRESETS)
def test_graphs_use_all_tensors_and_are_sound(size):
    arch = PRESETS[size]
    shapes = {name: np.broadcast_to(np.float32(0), shape) for name, shape in expected_tensors(arch).items()}
    used = set()
    for graph in (encoder_graph, decoder_graph):
        model = onnx.load_model_from_string(graph(shapes, arch))
        (output,) = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph.output
        assert [d.dim_value for d in output.type.tensor_type.shape.dim][1:] in ([256], [256, 256, 3])
        used |= {t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL}
    assert used == shapes.keys()


@pytest.fixture
def state():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in expected_tensors(SMALL).items()}


@pytest.fixture
def saved(tmp_path):
    """A function: the path of a file that torch.save wrote."""

    def save(content):
        torch.save(content, tmp_path / "pytorch_model.bin")
        return tmp_path / "pytorch_model.bin"

    return save


def test_checkpoints_are_read_exactly(state, saved):
    state["latent_tokens"] = state["latent_tokens"].half()
    tensors = load_checkpoint(saved(state), SMALL)
    assert tensors.keys() == state.keys()
    assert all(t.dtype == np.float32 and (t == state[name].float().numpy()).all() for name, t in tensors.items())


def test_everything_that_does_not_fit_is_listed(state, saved):
    del state["latent_tokens"], state["decoder.mask_token"]
    state["module.more"] = torch.zeros(1)
    state["encoder.ln_pre.bias"] = torch.zeros(5)
    state["encoder.ln_post.bias"][0] = torch.nan
    with pytest.raises(OptionError) as caught:
        load_checkpoint(saved(state), SMALL)
    for part in (
        "2 missing (decoder.mask_token, latent_tokens)",
        "1 extra (module.more)",
        "1 of another shape (encoder.ln_pre.bias (5,) instead of (4,))",
        "1 not of finite numbers (encoder.ln_post.bias)",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_size_is_refused_in_one_line(state, saved):
    with pytest.raises(OptionError, match="and [0-9]+ more") as caught:
        load_checkpoint(saved(state), PRESETS["s"])
    assert len(str(caught.value)) < 3000


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


@pytest.mark.parametrize(
    "content", [Evil(), [1, 2], {"a": 1}, torch.zeros(3)], ids=["code", "list", "number", "tensor"]
)
def test_other_pickles_are_refused_and_not_run(content, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError):
        load_checkpoint(saved(content), SMALL)
    assert not Path("evil-was-here").exists()


@pytest.mark.parametrize("data", [b"", b"no pickle", b"PK\x03\x04"])
def test_other_files_are_refused(data, tmp_path):
    (tmp_path / "file.bin").write_bytes(data)
    with pytest.raises(OptionError, match="cannot|no file of weights"):
        load_checkpoint(tmp_path / "file.bin", SMALL)


def test_a_cut_checkpoint_is_refused(state, saved):
    path = saved(state)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OptionError):
        load_checkpoint(path, SMALL)
