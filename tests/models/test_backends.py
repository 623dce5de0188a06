"""The tokenizer by PyTorch and by onnxruntime: the same latents, pixels and gradients; what is missing is said."""

import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import numpy as np
import pytest

from odpiece.codec import decode, encode
from odpiece.codec.files import read
from odpiece.formats.errors import DamagedError, DeviceError, MissingExtraError, OptionError
from odpiece.models import backends, onnx_backend
from odpiece.models.backends import choose_device
from odpiece.models.interface import BANDS, LOOKS, USUAL_BANDS, is_fine, step_size
from odpiece.models.library import Model, find_model, load_model, open_model

WEIGHTS = resources.files("odpiece.models") / "weights" / f"{load_model().name}.safetensors"
ON_CUDA = 1e-3  # relative precision of sums in another order; with TF32 errors differ by 0.02 to 0.08


@pytest.fixture(scope="module")
def pixels(photo):
    """uint8 (64, 128, 3), read-only: sky, edge and texture."""
    part = np.ascontiguousarray(photo[80:144, 40:168])
    part.flags.writeable = False
    return part


@pytest.fixture(scope="module")
def onnx():
    return load_model().transform


@pytest.fixture(scope="module")
def torch_transform():
    pytest.importorskip("torch")
    return load_model(backend="torch").transform


@pytest.fixture(params=backends.BACKENDS)
def cuda(request):
    """The installed model on a GPU, by each backend."""
    if request.param == "torch":
        pytest.importorskip("torch")
    try:
        return load_model(backend=request.param, device="cuda")
    except DeviceError as error:
        pytest.skip(str(error))


def quantized(transform, pixels, q):
    latents = transform.analyze(pixels, is_fine(q))
    return tuple(np.rint(z / step_size(q)).astype(np.float32) * np.float32(step_size(q)) for z in latents)


def assert_latents_agree(got, expected, tolerance):
    for a, b, band in zip(got, expected, BANDS[: len(expected)], strict=True):
        assert a.dtype == np.float32 and a.shape == b.shape and len(a) == band.latents
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


def assert_pixels_agree(transform, onnx, pixels, q, look):
    latents = quantized(onnx, pixels, q)
    got, expected = (t.synthesize(latents, q, look, (3, 1)) for t in (transform, onnx))
    assert got.dtype == np.uint8 and got.shape == pixels.shape
    assert np.abs(got.astype(int) - expected).max() <= 1
    return (got != expected).mean()


def assert_errors_agree(transform, onnx, pixels, tolerance, q=90):
    importance = np.random.default_rng(0).uniform(0, 2, pixels.shape[:2]).astype(np.float32)
    latents = quantized(onnx, pixels, q)
    (error, gradients), (expected, wanted) = (t.error(latents, q, pixels, importance) for t in (transform, onnx))
    assert error.dtype == np.float32 and error.shape == (1, 2)
    np.testing.assert_allclose(error, expected, rtol=tolerance)
    assert_latents_agree(
        gradients, wanted, 10 * tolerance + 1e-2
    )  # as much as a pixel makes that is rounded the other way


@pytest.mark.parametrize("q", [512, 600, 4096])
def test_torch_analysis_is_that_of_onnx(q, torch_transform, onnx, pixels):
    got, expected = (t.analyze(pixels, is_fine(q)) for t in (torch_transform, onnx))
    assert len(expected) == (len(BANDS) if is_fine(q) else USUAL_BANDS)
    assert_latents_agree(got, expected, 1e-5)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("q", [1, 77, 512, 600, 4096])
def test_torch_pixels_are_those_of_onnx(q, look, torch_transform, onnx, pixels):
    assert assert_pixels_agree(torch_transform, onnx, pixels, q, look) < 0.001


def test_the_noise_depends_on_the_place(torch_transform, onnx, pixels):
    latents = onnx.analyze(pixels)
    here, there = (torch_transform.synthesize(latents, 64, "natural", place) for place in ((0, 0), (0, 1)))
    assert (here != there).any()
    assert np.abs(onnx.synthesize(latents, 64, "natural", (0, 1)).astype(int) - there).max() <= 1


@pytest.mark.parametrize("q", [90, 1500, 4096])
def test_torch_errors_and_gradients_are_those_of_onnx(q, torch_transform, onnx, pixels):
    assert_errors_agree(torch_transform, onnx, pixels, 1e-4, q)


def test_torch_clips_to_grey_levels(torch_transform):
    latents = tuple(np.full((b.latents, b.side, b.side), sign * 1e4) for b, sign in zip(BANDS, (1, -1, 1)))
    assert {0, 255} <= set(torch_transform.synthesize(latents, 64, "faithful").ravel().tolist())


def test_a_model_on_torch_is_shared_between_threads(pixels):
    """Also the first use, in which the networks are made, and with gradients on in one thread and off in others."""
    pytest.importorskip("torch")
    model = open_model(WEIGHTS, "torch")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: encode(pixels, 64, model=model), range(4)))
    assert set(found) == {encode(pixels, 64, model=load_model(backend="torch"))}


def test_files_of_torch_decode_everywhere(pixels, torch_transform):
    model = load_model(backend="torch")
    data = encode(pixels, 64, model=model)
    assert np.abs(decode(data).astype(int) - decode(data, model=model)).max() <= 1
    assert read(data).tokens.sha256 == read(data, model=model).tokens.sha256


def test_a_file_of_another_model_stays_on_the_backend(pixels, torch_transform):
    """The file's own model is found, on the backend of the one that was given."""
    other = Model("other", load_model().path, "00" * 32, "torch")
    assert read(encode(pixels, 4), model=other).model is load_model(load_model().name, "torch", "cpu")
    assert find_model(load_model().fingerprint).backend == "onnx"


@pytest.mark.parametrize("names, word", [(("jax", "cpu"), "onnx, torch"), (("onnx", "tpu"), "cpu, cuda, auto")])
def test_unknown_names(names, word):
    with pytest.raises(OptionError, match=word):
        choose_device(*names)


def no_torch(monkeypatch, library):
    """As if PyTorch were not installed, or were `library`."""
    monkeypatch.setitem(sys.modules, "torch", library)
    monkeypatch.delitem(sys.modules, "odpiece.models.torch_backend", raising=False)


@pytest.mark.parametrize("device", ["cpu", "cuda", "auto"])
def test_torch_that_is_missing(device, monkeypatch):
    no_torch(monkeypatch, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'odpiece\[torch\]'"):
        choose_device("torch", device)


def test_torch_that_is_broken(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delitem(sys.modules, "odpiece.models.torch_backend", raising=False)
    (tmp_path / "torch.py").write_text("raise OSError('libtorch.so: cannot open shared object file\\nmore')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"torch is broken, .*\(libtorch.so: cannot open [\w ]+\)$"):
        choose_device("torch", "cpu")


def test_a_device_that_is_missing(monkeypatch):
    monkeypatch.setattr(onnx_backend, "cuda_fault", lambda: "there is none")
    with pytest.raises(DeviceError, match="backend onnx cannot use cuda: there is none"):
        choose_device("onnx", "cuda")
    assert choose_device("onnx", "auto") == "cpu"


def test_auto_takes_a_device_that_is_there(monkeypatch):
    monkeypatch.setattr(onnx_backend, "cuda_fault", lambda: None)
    assert choose_device("onnx", "auto") == choose_device("onnx", "cuda") == "cuda"
    assert choose_device("onnx", "cpu") == "cpu"


def test_onnxruntime_without_cuda_says_which_has_it():
    if onnx_backend.CUDA in onnx_backend.providers():
        pytest.skip("this onnxruntime has CUDA")
    assert "onnxruntime-gpu" in onnx_backend.cuda_fault()


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_onnxruntime_that_silently_falls_back(monkeypatch, pixels):
    """It makes a session on the CPU where the GPU cannot be used, and goes on."""
    if onnx_backend.cuda_fault() is None:
        pytest.skip("there is a GPU")
    monkeypatch.setattr(onnx_backend, "cuda_fault", lambda: None)
    model = open_model(WEIGHTS, "onnx", "cuda")
    with pytest.raises(DeviceError, match="onnxruntime could not start on the GPU"):
        model.transform.analyze(pixels)


@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_what_fails_on_a_gpu_is_one_line(backend, pixels):
    """Also what has no class of its own, such as a GPU that a library has no code for."""
    module = pytest.importorskip(f"odpiece.models.{backend}_backend")

    def load(*prefixes):
        raise RuntimeError("no kernel image is available\nmore")

    arguments = (load, lambda part: None) if backend == "onnx" else ({}, load)
    transform = {"onnx": "OnnxTransform", "torch": "TorchTransform"}[backend]
    with pytest.raises(DeviceError, match="--device cpu does without it: no kernel image is available$"):
        getattr(module, transform)(*arguments, "cuda").analyze(pixels)
    with pytest.raises(DamagedError, match="it makes no network: no kernel image is available$"):
        getattr(module, transform)(*arguments, "cpu").analyze(pixels)


def test_memory_that_is_missing_is_a_memory_error():
    def load(*prefixes):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(MemoryError):
        onnx_backend.OnnxTransform(load, lambda part: None).analyze(None)


def test_tf32_is_off_on_cuda_alone_and_for_a_while():
    """Also after an error, and as before where the process has it off itself."""
    flags = pytest.importorskip("torch").backends.cudnn
    from odpiece.models.torch_backend import in_float32

    class Transform:
        def __init__(self, device):
            self.device = device

        @in_float32
        def seen(self, fails=False):
            return 1 / 0 if fails else flags.allow_tf32

    before = flags.allow_tf32
    try:
        for given in (True, False):
            flags.allow_tf32 = given
            assert Transform("cuda").seen() is False and Transform("cpu").seen() is given
            with pytest.raises(ZeroDivisionError):
                Transform("cuda").seen(fails=True)
            assert flags.allow_tf32 is given
    finally:
        flags.allow_tf32 = before


@pytest.mark.cuda
def test_cuda_analysis_is_that_of_the_cpu(cuda, onnx, pixels):
    assert_latents_agree(cuda.transform.analyze(pixels), onnx.analyze(pixels), ON_CUDA)


@pytest.mark.cuda
@pytest.mark.parametrize("look", LOOKS)
def test_cuda_pixels_are_those_of_the_cpu(look, cuda, onnx, pixels):
    for q in (1, 77, 600, 4096):
        assert assert_pixels_agree(cuda.transform, onnx, pixels, q, look) < 0.05


@pytest.mark.cuda
def test_cuda_errors_and_gradients_are_those_of_the_cpu(cuda, onnx, pixels):
    assert_errors_agree(cuda.transform, onnx, pixels, ON_CUDA)


@pytest.mark.cuda
def test_cuda_files_decode_on_the_cpu(cuda, pixels):
    data = encode(pixels, 64, model=cuda)
    assert np.abs(decode(data).astype(int) - decode(data, model=cuda)).max() <= 1
    assert abs(len(data) / len(encode(pixels, 64)) - 1) < 0.02
