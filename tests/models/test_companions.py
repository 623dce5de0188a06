"""Companion distributions: built by the script, found by their entry point, named where their models are missing."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from odpiece.cli.main import main
from odpiece.formats.errors import OptionError, UnknownModelError
from odpiece.models import library
from odpiece.models.library import companion_models, find_model, load_model, verify_model
from odpiece.models.released import prior_hash, released_in

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "models_distribution.py"
NAME = "odpiece-models-2026"


@pytest.fixture(scope="module")
def site(tiny_folder, tmp_path_factory):
    """A folder with the distribution of the model "tiny" installed in it."""
    out, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    command = [sys.executable, SCRIPT, NAME, "--version", "1", "--out", out, tiny_folder / "tiny"]
    subprocess.run(command, check=True, capture_output=True)
    with zipfile.ZipFile(out / "odpiece_models_2026-1-py3-none-any.whl") as wheel:
        wheel.extractall(site)
    return site


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A user without models of their own."""
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path))


@pytest.fixture
def released(monkeypatch, tiny_folder):
    """The index as of a release 0.9.0 whose model "old" is in a companion: the model "tiny"."""
    sha256 = json.loads((tiny_folder / "tiny" / "model.json").read_text())["files"]["weights.safetensors"]
    facts = {"since": "0.9.0", "sha256": sha256, "prior": "", "looks": ["faithful"], "distribution": NAME}
    index = library._index() | {"released": {"old": facts}}
    monkeypatch.setattr(library, "_index", lambda: index)
    return bytes.fromhex(sha256)[:4]


def test_models_of_a_companion_are_found(alone, site, monkeypatch):
    assert companion_models() == []
    with pytest.raises(OptionError):
        load_model("tiny")
    monkeypatch.syspath_prepend(site)
    (model,) = companion_models()
    assert model is load_model("tiny") is find_model(model.fingerprint)
    assert model.path.is_relative_to(site) and model.facts["trained_tokens"] == 255
    verify_model(model)
    assert "odpiece_models_2026" not in sys.modules  # nothing of it is run


def test_a_missing_companion_is_named(alone, released):
    with pytest.raises(UnknownModelError, match=f"model old, which is not installed: pip install {NAME}"):
        find_model(released)
    with pytest.raises(UnknownModelError, match="update odpiece"):
        find_model(bytes(4))


def test_the_doctor_names_a_missing_companion(alone, released, site, monkeypatch, capsys):
    monkeypatch.setattr("odpiece.cli.doctor._self_test", lambda attempt: {})
    for installed in (False, True):
        if installed:
            monkeypatch.syspath_prepend(site)
        main(["doctor", "--json"])
        facts = json.loads(capsys.readouterr().out)
        assert facts["other released models"] == (
            "none" if installed else {"old": f"not installed: pip install {NAME}"}
        )
        assert ("tiny" in facts["models"]) == installed and facts["faults"] == []


def test_info_names_the_release(alone, released, site, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(site)
    path = Path(__file__).parents[1] / "codec" / "one_d_piece" / "golden.odp"
    main(["info", str(path), "--json"])
    assert json.loads(capsys.readouterr().out)["release"] == "0.9.0"
    main(["info", str(path)])
    assert "release   odpiece 0.9.0 or later\n" in capsys.readouterr().out


def test_released_models_are_what_they_were():
    """Each that is in the package; those in companions are checked by their record."""
    for entry in released_in(library._index()):
        if entry.distribution == "odpiece":
            model = load_model(entry.name)
            assert (model.sha256, prior_hash(model)) == (entry.sha256, entry.prior)
            assert [
                look for look in entry.looks if not model.path.with_name(f"{model.name}.{look}.onnx").is_file()
            ] == []
    assert len(prior_hash(load_model())) == 64
