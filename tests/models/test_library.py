"""The installed models: the index against the files, the tensors that ship, look-ups that fail."""

import hashlib
import json
from importlib import resources

import numpy as np
import pytest
from safetensors import safe_open

from odpiece.codec.bands.coders import SYMBOLS
from odpiece.formats.errors import OptionError, UnknownModelError
from odpiece.models.interface import FINE_SUFFIX, STEP_AT_OCTAVE
from odpiece.models.library import find_model, load_model, open_model
from odpiece.models.prior import MEAN_STEPS, SCALES

WEIGHTS = resources.files("odpiece.models") / "weights"
INDEX = json.loads((WEIGHTS / "index.json").read_text())
NAMES = list(INDEX["models"])
GRAPHS = [part + kind for part in ("analysis", "gradient", "faithful") for kind in ("", FINE_SUFFIX)] + ["natural"]


def tensors(name):
    with safe_open(WEIGHTS / INDEX["models"][name]["file"], framework="numpy") as f:
        return {key: f.get_tensor(key) for key in f.keys()}


@pytest.mark.parametrize("name", NAMES)
def test_index_names_the_file_by_its_sha256(name):
    entry, data = INDEX["models"][name], (WEIGHTS / INDEX["models"][name]["file"]).read_bytes()
    assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    assert entry["file"] == f"{name}.safetensors"
    assert len(data) <= 40e6


def test_nothing_else_ships():
    kinds = "safetensors", "integers.json", *(f"{graph}.onnx" for graph in GRAPHS)
    parts = [f"{name}.{kind}" for name in NAMES for kind in kinds]
    assert sorted(f.name for f in WEIGHTS.iterdir()) == sorted(["index.json", *parts])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", GRAPHS)
def test_graphs_hold_no_weights(name, part):
    assert (WEIGHTS / f"{name}.{part}.onnx").stat().st_size < 100_000


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_finite_float16(name):
    network_parts = ("analysis", "synthesis", "look", "grain", "exact", "restoration")
    kinds = {kind: [] for kind in (*network_parts, "static", "prior", "scales")}
    for key, tensor in tensors(name).items():
        kinds[key.split(".")[0]].append(tensor)
    networks = sum((kinds[part] for part in network_parts), [])
    assert all(kinds.values()), {kind: len(found) for kind, found in kinds.items()}
    assert {t.dtype for t in networks} == {np.dtype(np.float16)}
    assert all(np.isfinite(t).all() for t in networks)
    assert {t.dtype.kind for t in kinds["static"] + kinds["prior"]} <= set("iu")
    assert all(t.dtype == np.float32 and (t > 0).all() for t in kinds["scales"])


TABLES = {
    "static.latents": (13, 4, 240, SYMBOLS),
    "static.lengths": (13, 29),
    "prior.tables": (2 * MEAN_STEPS * SCALES, SYMBOLS),
    "prior.lengths": (13, 29),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("table, shape", TABLES.items(), ids=TABLES)
def test_tables_have_the_coder_s_sum(name, table, shape):
    values = tensors(name)[table]
    assert values.dtype == np.uint32 and values.shape == shape
    assert (values.sum(axis=-1, dtype=np.int64) == 2**24 - shape[-1]).all()
    assert values.min() >= 1


@pytest.mark.parametrize("name", NAMES)
def test_architecture_is_in_the_metadata(name):
    with safe_open(WEIGHTS / INDEX["models"][name]["file"], framework="numpy") as f:
        architecture = json.loads(f.metadata()["architecture"])
    found = tensors(name)
    assert found["analysis.fine.0.expand.weight"].shape == (architecture["fine_hidden"], 96, 3, 3)
    assert found["grain.deviation.expand.weight"].shape == (architecture["grain_hidden"], 96, 3, 3)


def test_load_model_by_name_and_by_default():
    assert load_model().name == INDEX["default"]
    assert [load_model(name).name for name in NAMES] == NAMES
    assert load_model() is load_model()


@pytest.mark.parametrize("name", NAMES)
def test_find_model_by_fingerprint(name):
    sha256 = INDEX["models"][name]["sha256"]
    model = find_model(bytes.fromhex(sha256)[:4])
    assert (model.name, model.sha256, model.fingerprint) == (name, sha256, bytes.fromhex(sha256[:8]))


@pytest.mark.parametrize("name", NAMES)
def test_open_model_of_a_path_is_the_installed_model(name):
    model = open_model(WEIGHTS / f"{name}.safetensors")
    assert (model.name, model.fingerprint) == (name, load_model(name).fingerprint)
    np.testing.assert_array_equal(model.static_tables["latents"], load_model(name).static_tables["latents"])


def test_tensors_are_those_with_the_prefix():
    got = load_model().tensors("analysis.")
    everything = tensors(INDEX["default"])
    assert set(got) == {key for key in everything if key.startswith("analysis.")}
    assert all(np.array_equal(t, everything[key]) for key, t in got.items())


def test_unknown_name():
    with pytest.raises(OptionError, match=INDEX["default"]):
        load_model("no such model")


def test_unknown_fingerprint():
    unknown = bytes(b ^ 0xFF for b in load_model().fingerprint)
    with pytest.raises(UnknownModelError, match=unknown.hex()):
        find_model(unknown)


def test_shipped_weights_were_trained_with_the_steps_of_the_code():
    """A file's q means nothing without them."""
    with safe_open(WEIGHTS / INDEX["models"][INDEX["default"]]["file"], framework="numpy") as f:
        assert json.loads(f.metadata()["steps"]) == list(STEP_AT_OCTAVE)
