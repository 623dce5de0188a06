"""The wheel: everything a user needs is inside, and nothing else comes with it."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import click
import numpy
import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("cli", "codec", "formats", "models", "package")
SUBPACKAGES = FOLDERS[:-1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
LIBRARIES = sorted({str(Path(module.__file__).parents[1]) for module in (click, numpy)})
CORE = {"click", "constriction", "numpy", "onnxruntime", "pillow", "safetensors", "threadpoolctl", "tqdm"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of what is built: building in place would leave build/ behind."""
    copy = tmp_path_factory.mktemp("tree")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory):
    """The wheel, opened."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, tree]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as opened:
        yield opened


def test_every_module_is_inside_once(wheel):
    expected = {f"odpiece/{path.relative_to(ROOT)}" for name in SUBPACKAGES for path in (ROOT / name).rglob("*.py")}
    expected |= {"odpiece/__init__.py", "odpiece/__main__.py"}
    assert {name for name in wheel.namelist() if name.endswith(".py")} == expected


def test_weights_data_and_type_markers_are_inside(wheel):
    names = set(wheel.namelist())
    weights = {f"odpiece/models/weights/{path.name}" for path in (ROOT / "models" / "weights").iterdir()}
    assert weights and weights <= names
    data = {"cli/view.html", "codec/comparison/page.html", "codec/self_test.odp", "models/training/held_out.txt"}
    assert {f"odpiece/{path}" for path in data} <= names
    assert {"odpiece/py.typed", *(f"odpiece/{name}/py.typed" for name in SUBPACKAGES)} <= names


def test_only_an_extra_asks_for_torch(wheel):
    name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    needs = Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist")
    core = {re.match(r"[\w-]+", need)[0] for need in needs if "extra ==" not in need}
    assert core == CORE
    assert any(need.startswith("torch") and "extra ==" in need for need in needs)


def test_constriction_is_pinned_to_a_minor_release():
    """The bit stream depends on it."""
    needs = SETTINGS["project"]["dependencies"]
    assert [need for need in needs if need.startswith("constriction")] == ["constriction>=0.5,<0.6"]


def test_the_command_is_installed(wheel):
    name = next(n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    assert "odpiece = odpiece.cli.main:main" in wheel.read(name).decode()


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installed(request, tmp_path_factory):
    """A folder of installed packages with odpiece in it: unpacked from a wheel, or as an editable install makes it."""
    folder = tmp_path_factory.mktemp("site")
    if request.param == "wheel":
        request.getfixturevalue("wheel").extractall(folder)
        return folder
    tree, out = request.getfixturevalue("tree"), tmp_path_factory.mktemp("editable")
    program = f"from setuptools.build_meta import build_editable; build_editable({str(out)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=tree, check=True, capture_output=True)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as opened:
        opened.extractall(folder)
    return folder


def run(folder, program, cwd=ROOT):
    """Standard output of a program that has the packages in `folder`, and all libraries, but no other odpiece."""
    start = f"import site, sys; site.addsitedir({str(folder)!r}); sys.path.extend({LIBRARIES!r})\n"
    command = [sys.executable, "-S", "-W", "error", "-c", start + program]
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("cwd", ["repository", "elsewhere"])
def test_odpiece_is_imported_from_every_kind_of_install(installed, cwd, tmp_path):
    """Also where the working directory is the repository, whose folders are on the path then."""
    program = """
import odpiece
print(odpiece.__version__, odpiece.__file__)
import numpy, odpiece.codec, odpiece.models.nets
assert odpiece.encode is odpiece.codec.encode and odpiece.decode is odpiece.codec.decode
print(odpiece.decode(odpiece.encode(numpy.zeros((5, 6, 3), numpy.uint8), q=2)).shape)
print(odpiece.codec.__file__)
"""
    first, shape, codec = run(installed, program, ROOT if cwd == "repository" else tmp_path).splitlines()
    version, file = first.split(" ", 1)
    assert version == SETTINGS["project"]["version"] and shape == "(5, 6, 3)"
    assert not Path(file).is_relative_to(ROOT) and not Path(codec).is_relative_to(ROOT)


def test_the_module_is_the_command(installed):
    program = "import runpy; sys.argv[1:] = ['--version']; runpy.run_module('odpiece', run_name='__main__')"
    assert run(installed, program) == f"odpiece {SETTINGS['project']['version']}\n"


def test_importing_odpiece_is_light(installed):
    program = """
import sys
before = set(sys.modules)
import odpiece
assert {"encode", "decode", "__version__"} <= set(dir(odpiece)) and not hasattr(odpiece, "nothing")
print(sorted(set(sys.modules) - before))
"""
    assert ast.literal_eval(run(installed, program)) == ["odpiece"]
