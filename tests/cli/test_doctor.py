"""odpiece doctor, and --backend and --device as a user gives them."""

import json
import shutil
import subprocess
import sys
from importlib import resources

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec import self_test
from odpiece.formats import errors
from odpiece.models import library, onnx_backend
from odpiece.models.library import load_model

WEIGHTS = resources.files("odpiece.models") / "weights"


@pytest.fixture
def no_torch(monkeypatch):
    """Seconds are saved, and nothing depends on whether it is installed."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "odpiece.models.torch_backend", raising=False)


@pytest.fixture
def damaged(tmp_path, monkeypatch):
    """A copy of the installed model with one bit of its weights turned, in place of it."""
    folder = shutil.copytree(WEIGHTS, tmp_path / "weights")
    path = folder / f"{load_model().name}.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(library, "_file", folder.joinpath)
    return path


def run(*arguments, error=None):
    """Run a command, which must fail as `error` if that is given."""
    if not error:
        return main(list(arguments))
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == error.exit_code


def diagnosis(capsys, error=None):
    """(the facts of doctor --json, what it says on standard error)."""
    run("doctor", "--json", error=error)
    out, err = capsys.readouterr()
    return json.loads(out), err


def test_a_sound_installation(capsys):
    pytest.importorskip("torch")
    facts, err = diagnosis(capsys)
    assert (facts["faults"], err) == ([], "")
    assert facts["models"] == {model.name: model.sha256 for model in library.packaged_models()}
    assert facts["packages"]["numpy"] == np.__version__
    assert "CPUExecutionProvider" in facts["providers"]
    assert facts["self-test"]["onnx cpu"].startswith("works: 0 of ")
    assert facts["self-test"]["torch cpu"].startswith("works: ")
    assert set(facts["self-test"]) == {"onnx cpu", "onnx cuda", "torch cpu", "torch cuda"}


def test_the_text_says_the_same(capsys, no_torch, monkeypatch):
    monkeypatch.setattr("odpiece.cli.doctor.EXTRAS", ())
    run("doctor")
    out, err = capsys.readouterr()
    assert out.endswith("all is well\n") and err == ""
    for text in (load_model().sha256, np.__version__, "not available: backend torch needs torch: pip install"):
        assert text in out


def test_a_damaged_weights_file(damaged, capsys, no_torch):
    facts, err = diagnosis(capsys, error=errors.OdpieceError)
    assert facts["models"][damaged.stem] == f"{damaged} is missing or damaged: install odpiece again"
    assert any(damaged.name in fault for fault in facts["faults"]) and "checks failed" in err


@pytest.mark.parametrize("wreck", [lambda path: path.write_bytes(b"no weights"), lambda path: path.unlink()])
def test_a_weights_file_that_is_no_such_file(damaged, wreck, capsys, no_torch):
    wreck(damaged)
    facts, _ = diagnosis(capsys, error=errors.OdpieceError)
    assert {fault.split(":")[0] for fault in facts["faults"]} >= {damaged.stem, "onnx cpu"}


def test_broken_packages_are_named(capsys, monkeypatch, no_torch, tmp_path):
    """Also those without which nothing works."""
    (tmp_path / "constriction.py").write_text("raise ImportError('libsomething.so.2 is missing')")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.modules['torch'] = None\n"
        "from odpiece.cli.main import main; main(['doctor', '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    facts = json.loads(done.stdout)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert facts["packages"]["constriction"] == "ImportError: libsomething.so.2 is missing"
    assert facts["self-test"]["onnx cpu"] == facts["packages"]["constriction"]


def test_a_backend_that_codes_wrongly_is_found(capsys, monkeypatch, no_torch):
    right = onnx_backend.OnnxTransform.synthesize
    monkeypatch.setattr(onnx_backend.OnnxTransform, "synthesize", lambda *arguments: 255 - right(*arguments))
    run("doctor", error=errors.OdpieceError)
    assert "WRONG: onnx cpu: encoding gives wrong tokens" in capsys.readouterr().out  # it looks at what it has coded


def test_wrong_latents_are_found(monkeypatch):
    right = onnx_backend.OnnxTransform.analyze
    monkeypatch.setattr(onnx_backend.OnnxTransform, "analyze", lambda *arguments: tuple(-z for z in right(*arguments)))
    with pytest.raises(errors.OdpieceError, match="encoding gives wrong tokens"):
        self_test.self_test(load_model())


def test_wrong_tokens_are_found(monkeypatch):
    """As by a prior that is not exact: those of the file are known by its checksum."""
    data = bytearray(self_test.stored_file())
    data[-9] ^= 1
    monkeypatch.setattr(self_test, "stored_file", lambda: bytes(data))
    with pytest.raises(errors.DamagedError):
        self_test.self_test(load_model())


def test_pixels_of_backends_are_compared():
    one = self_test.Outcome(9, 0, np.full((2, 4, 4, 3), 100, dtype=np.uint8))
    assert self_test.check_pixels(self_test.Outcome(9, 0, one.pictures + 1), one) == 1
    with pytest.raises(errors.OdpieceError, match="up to 2 grey levels"):
        self_test.check_pixels(self_test.Outcome(9, 0, one.pictures - 2), one)


@pytest.fixture
def folder(tmp_path, monkeypatch, photo):
    """The working directory, with photo.png and photo.odp."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo[:64]).save("photo.png")
    (tmp_path / "photo.odp").write_bytes(self_test.stored_file())
    return tmp_path


def test_encode_and_decode_on_torch(folder, capsys):
    pytest.importorskip("torch")
    run("encode", "photo.png", "-o", "torch.odp", "--backend", "torch", "--device", "auto", "-v")
    assert "tokenizer on torch, c" in capsys.readouterr().err  # pu or uda
    run("decode", "torch.odp", "--backend", "torch", "-v")
    assert "tokenizer on torch, cpu" in capsys.readouterr().err
    run("decode", "torch.odp", "-o", "onnx.png")
    a, b = (np.asarray(Image.open(name)).astype(int) for name in ("torch.odp.png", "onnx.png"))
    assert np.abs(a - b).max() <= 1 and a.shape == (64, 256, 3)


@pytest.mark.parametrize("command", [["encode", "photo.png"], ["decode", "photo.odp"]], ids=lambda c: c[0])
def test_what_is_missing_is_one_line_and_nothing_is_written(command, folder, capsys, no_torch, monkeypatch):
    monkeypatch.setattr(onnx_backend, "cuda_fault", lambda: "there is none")
    for arguments, error in (
        (["--device", "cuda"], errors.DeviceError),
        (["--backend", "torch"], errors.MissingExtraError),
    ):
        run(*command, "-o", "out.odp" if command[0] == "encode" else "out.png", *arguments, error=error)
        err = capsys.readouterr().err
        assert err.startswith("odpiece: backend ") and err.count("\n") == 1
    assert {path.name for path in folder.iterdir()} == {"photo.png", "photo.odp"}


def test_auto_says_its_choice(folder, capsys, monkeypatch):
    monkeypatch.setattr(onnx_backend, "cuda_fault", lambda: "there is none")
    run("decode", "photo.odp", "-o", "out.png", "--device", "auto", "-v")
    assert "tokenizer on onnx, cpu" in capsys.readouterr().err
