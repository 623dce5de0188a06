"""The folder of the user's models: whole or not at all, found by name, path and fingerprint, checked by hash."""

import os
from pathlib import Path

import pytest

from odpiece.formats.errors import DamagedError, OptionError, OutputError, OutputExistsError, UnknownModelError
from odpiece.models import library
from odpiece.models.library import find_model, load_model, packaged_models, user_models, verify_model
from odpiece.models.user_models import models_folder, new_model, remove_model


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def make(name, content=b"weights", force=False):
    with new_model(name, force) as made:
        (made / "weights.safetensors").write_bytes(content)


def test_where_models_are(monkeypatch, tmp_path):
    for name in ("ODPIECE_MODELS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_folder() == tmp_path / ".local" / "share" / "odpiece" / "models"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert str(models_folder()) == "/data/odpiece/models"
    monkeypatch.setenv("ODPIECE_MODELS", "/elsewhere")
    assert str(models_folder()) == "/elsewhere"


@pytest.fixture
def homeless(monkeypatch):
    """A user without a home, as in containers: no HOME, no entry in the password file."""

    def home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("ODPIECE_MODELS", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)


def test_without_a_home_there_are_the_packaged_models(homeless):
    assert user_models() == [] and load_model() is packaged_models()[0]
    with pytest.raises(OptionError, match="no model nosuch, installed: bands"):
        load_model("nosuch")


@pytest.mark.parametrize("change", [lambda: make("a"), lambda: remove_model("a")])
def test_without_a_home_nothing_is_written(homeless, change):
    with pytest.raises(OutputError, match=r"set \$ODPIECE_MODELS"):
        change()


@pytest.mark.parametrize("home", ["/dev/null", "/proc/1/nowhere", "/" + "x" * 300], ids=["a file", "not ours", "long"])
def test_a_home_that_cannot_be_used(home, monkeypatch):
    for name in ("ODPIECE_MODELS", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", home)
    assert user_models() == []
    with pytest.raises(OutputError):
        make("a")


def test_a_home_that_refuses_to_be_read(folder, monkeypatch):
    def refuse(path, pattern):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "glob", refuse)
    assert user_models() == []


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 200 + "b", "nul\0"])
def test_names_that_can_be_no_path(name):
    with pytest.raises(OptionError, match="no model"):
        load_model(name)


def test_weights_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "a.safetensors").write_bytes(b"")
    monkeypatch.setattr(library, "file_hash", lambda path: None)
    with pytest.raises(OptionError, match="cannot read"):
        load_model(str(tmp_path / "a.safetensors"))


def test_without_a_folder_there_are_the_packaged_models(folder):
    assert user_models() == [] and packaged_models()[0] is load_model()


def test_a_failure_leaves_nothing_and_what_was_there(folder):
    make("a", b"first")
    for name in ("a", "b"):
        with pytest.raises(ZeroDivisionError), new_model(name, force=True) as made:
            (made / "weights.safetensors").write_bytes(b"second")
            raise ZeroDivisionError
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert (folder / "a" / "weights.safetensors").read_bytes() == b"first"


def test_models_are_replaced_only_by_force(folder):
    make("a", b"first")
    with pytest.raises(OutputExistsError):
        make("a", b"second")
    make("a", b"second", force=True)
    assert (folder / "a" / "weights.safetensors").read_bytes() == b"second"
    assert [path.name for path in folder.iterdir()] == ["a"]


@pytest.mark.parametrize("name", ["", ".hidden", "../up", "a/b", "a b", "x" * 65, "-q"])
def test_names_that_cannot_be(folder, name):
    with pytest.raises(OptionError, match="cannot name"):
        make(name)
    assert not folder.exists()


def test_removed_models_are_gone(folder):
    make("a")
    remove_model("a")
    assert list(folder.iterdir()) == []
    for name in ("a", "bands-2", "..", "."):
        with pytest.raises(OptionError):
            remove_model(name)


def test_a_folder_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path / "file"))
    with pytest.raises(OutputError):
        make("a")


def test_models_are_found(tiny, tiny_folder, monkeypatch, tmp_path):
    assert find_model(tiny.fingerprint) is load_model("tiny") is tiny is user_models()[0]
    for path in (tiny.path.parent, tiny.path):
        assert load_model(str(path)).sha256 == tiny.sha256
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path))
    with pytest.raises(UnknownModelError):
        find_model(tiny.fingerprint)
    with pytest.raises(OptionError, match="no model tiny, installed: bands-2"):
        load_model("tiny")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.decoder.onnx"])
def test_damage_is_found(tiny_copy, name):
    verify_model(tiny_copy)
    path = tiny_copy.path.with_name(name)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=name):
        verify_model(tiny_copy)
    path.unlink()
    with pytest.raises(DamagedError, match=name):
        verify_model(tiny_copy)


@pytest.mark.parametrize("text", ["", "{}", '{"files": 3}', '{"files": {"weights.safetensors": "xy"}}'])
def test_a_damaged_record_is_said(tiny_copy, text):
    (tiny_copy.path.parent / "model.json").write_text(text)
    with pytest.raises(DamagedError, match="model.json"):
        load_model("tiny")
    assert user_models() == []
    with pytest.raises(UnknownModelError):
        find_model(tiny_copy.fingerprint)


def test_the_package_is_intact():
    for model in packaged_models():
        verify_model(model)


def test_files_that_are_no_weights(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(os.urandom(100))
    with pytest.raises(DamagedError, match="not a weights file"):
        load_model(str(path)).family  # noqa: B018
