"""Models that were made elsewhere, installed: found by name and by the files made with them, or refused."""

import json
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from odpiece.cli.main import main
from odpiece.codec import decode, encode
from odpiece.formats.errors import DamagedError, OptionError, OutputExistsError, UnknownModelError
from odpiece.models.adding import add_model
from odpiece.models.library import load_model, user_models, verify_model
from odpiece.models.tile_tables import SHAPE, write_tables

GRAPHS = [part + kind for part in ("analysis", "faithful", "gradient") for kind in ("", ".fine")] + ["natural"]
PIXELS = np.full((20, 30, 3), 90, np.uint8)


@pytest.fixture
def exported(tmp_path, monkeypatch):
    """A folder as `train export` writes it, of a model "mine" with a hash of its own; the user has no models."""
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path / "models"))
    source, folder = load_model().path, tmp_path / "export"
    folder.mkdir()
    for part in source.parent.glob(f"{source.stem}.*[!s]"):  # all but the weights
        shutil.copy(part, folder / part.name.replace(source.stem, "mine"))
    with safe_open(source, "numpy") as f:
        tensors = {name: f.get_tensor(name) for name in f.keys()}
        save_file(tensors, folder / "mine.safetensors", metadata=f.metadata() | {"by": "me"})
    entry = {"file": "mine.safetensors", "sha256": load_model(folder / "mine.safetensors").sha256}
    (folder / "index.json").write_text(json.dumps({"default": "mine", "models": {"mine": entry}}))
    return folder


def test_an_exported_model_is_installed(exported):
    with pytest.raises(OptionError):
        load_model("mine")
    model = add_model(exported)
    data = encode(PIXELS, 4, effort=0, model=load_model("mine"))
    shutil.rmtree(exported)
    assert [found.name for found in user_models()] == ["mine"] and model is load_model("mine")
    verify_model(model)
    assert decode(data).shape == decode(data, look="natural").shape == PIXELS.shape


@pytest.mark.parametrize("name", ["mine", "other"])
def test_a_weights_file_is_installed_with_its_graphs(exported, name):
    assert add_model(exported / "mine.safetensors", None if name == "mine" else name).name == name
    names = sorted(path.name for path in load_model(name).path.parent.iterdir())
    graphs = [f"weights.{part}.onnx" for part in GRAPHS]
    assert names == sorted(["model.json", "weights.safetensors", "weights.integers.json", *graphs])


def test_names_are_taken_once(exported):
    add_model(exported)
    with pytest.raises(OutputExistsError, match="mine"):
        add_model(exported)
    add_model(exported, force=True)
    for name in ("bands-2", "../up"):
        with pytest.raises(OptionError):
            add_model(exported, name)


def test_a_user_s_model_moves_with_its_tables(tiny_copy, tmp_path, monkeypatch):
    rows = np.full(SHAPE, 4095, np.uint32)
    write_tables(tiny_copy.path, rows)
    data = encode(PIXELS, 4, model=tiny_copy)
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path / "other"))
    with pytest.raises(UnknownModelError):
        decode(data)
    model = add_model(tiny_copy.path.parent)
    assert model.name == "tiny" and decode(data).shape == PIXELS.shape
    write_tables(model.path, rows)  # tables are made again without harm
    verify_model(model)
    assert add_model(tiny_copy.path, "again").sha256 == model.sha256


@pytest.mark.parametrize(
    "file", ["mine.safetensors", "mine.analysis.onnx", "mine.gradient.fine.onnx", "mine.faithful.onnx", "index.json"]
)
def test_what_is_missing_is_said(exported, file):
    (exported / file).unlink()
    with pytest.raises((DamagedError, OptionError), match=f"{file}|train export"):
        add_model(exported)
    assert user_models() == []


def test_damage_is_found_before_anything_is_installed(exported, tiny_copy, monkeypatch, tmp_path):
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path / "none"))
    (exported / "plain.safetensors").write_bytes(b"text" * 99)
    for path in (exported / "mine.safetensors", tiny_copy.path):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    for source in (exported, tiny_copy.path.parent, exported / "plain.safetensors"):
        with pytest.raises(DamagedError):
            add_model(source)
    (exported / "index.json").write_text("{}")
    with pytest.raises(DamagedError, match="index.json"):
        add_model(exported)
    assert user_models() == []


def test_the_commands(exported, capsys):
    main(["models", "add", str(exported), "-o", "new"])
    sha256 = load_model("new").sha256
    assert sha256 in capsys.readouterr().err
    main("models list --json".split())
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["name"], first["packaged"], first["family"]) == ("bands-2", True, "bands")
    assert (second["name"], second["packaged"], second["sha256"]) == ("new", False, sha256)
    assert second["fingerprint"] == sha256[:8] and second["bytes"] == load_model("new").path.stat().st_size
    load_model("new").path.write_bytes(b"")
    with pytest.raises(SystemExit) as caught:
        main("models verify --json".split())
    assert caught.value.code == DamagedError.exit_code
    intact, damaged = map(json.loads, capsys.readouterr().out.splitlines())
    assert intact == {"name": "bands-2", "intact": True}
    assert not damaged["intact"] and "weights.safetensors" in damaged["error"]
