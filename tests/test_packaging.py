"""The wheel: everything a user needs is inside, and nothing else comes with it."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("cli", "codec", "formats", "models")
CORE = {"click", "constriction", "numpy", "onnxruntime", "pillow", "safetensors", "threadpoolctl", "tqdm"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the tree, opened: building in place would leave build/ behind."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, copy]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as opened:
        yield opened


def test_every_module_is_inside_once(wheel):
    expected = {f"odpiece/{path.relative_to(ROOT)}" for name in FOLDERS for path in (ROOT / name).rglob("*.py")}
    assert {name for name in wheel.namelist() if name.endswith(".py")} == expected


def test_weights_data_and_type_markers_are_inside(wheel):
    names = set(wheel.namelist())
    weights = {f"odpiece/models/weights/{path.name}" for path in (ROOT / "models" / "weights").iterdir()}
    assert weights and weights <= names
    assert {"odpiece/codec/comparison/page.html", "odpiece/codec/self_test.odp"} <= names
    assert {f"odpiece/{name}/py.typed" for name in FOLDERS} <= names


def test_only_an_extra_asks_for_torch(wheel):
    name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    needs = Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist")
    core = {re.match(r"[\w-]+", need)[0] for need in needs if "extra ==" not in need}
    assert core == CORE
    assert any(need.startswith("torch") and "extra ==" in need for need in needs)


def test_constriction_is_pinned_to_a_minor_release():
    """The bit stream depends on it."""
    with open(ROOT / "pyproject.toml", "rb") as f:
        needs = tomllib.load(f)["project"]["dependencies"]
    assert [need for need in needs if need.startswith("constriction")] == ["constriction>=0.5,<0.6"]


def test_the_command_is_installed(wheel):
    name = next(n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    assert "odpiece = odpiece.cli.main:main" in wheel.read(name).decode()
