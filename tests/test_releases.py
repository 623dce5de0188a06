"""What a release promises: its model is named for ever, its golden files stay, its version stands in one place."""

import hashlib
import json
import re
import tomllib
from pathlib import Path

from odpiece.models import library
from odpiece.models.released import PACKAGE, prior_hash, released_in

ROOT = Path(__file__).resolve().parent.parent
RELEASES = ROOT / "tests" / "golden" / "releases"
HASHES = json.loads((RELEASES / "sha256.json").read_text())  # {VERSION/NAME: SHA-256}: lines are only ever added
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
IS_RELEASE = re.fullmatch(r"\d+\.\d+\.\d+", VERSION) is not None


def test_golden_files_of_releases_are_only_ever_added():
    found = (path for path in RELEASES.rglob("*") if path.is_file() and path.name not in ("sha256.json", "README.md"))
    assert {
        path.relative_to(RELEASES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found
    } == HASHES


def test_a_release_has_its_model_in_the_index_and_golden_files():
    index = library._index()
    assert not IS_RELEASE or any(name.startswith(f"{VERSION}/") for name in HASHES)
    assert not IS_RELEASE or index["default"] in [model.name for model in released_in(index)]
    assert {name.split("/")[0] for name in HASHES} >= {model.since for model in released_in(index)}


def test_released_models_in_the_package_never_change():
    for released in released_in(library._index()):
        if released.distribution == PACKAGE:
            model = library.load_model(released.name)
            assert (model.sha256, prior_hash(model)) == (released.sha256, released.prior)


def test_the_version_stands_in_one_place():
    texts = [path for path in ROOT.glob("*") if path.is_file() and path.name != "pyproject.toml"]
    texts = [path for path in texts if path.suffix in (".md", ".cff", "") and path.name != "CHANGELOG.md"]
    assert len(texts) > 3
    assert [path.name for path in texts if VERSION in path.read_text()] == []


def test_the_changelog_has_this_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased" and (VERSION in headings or not IS_RELEASE)


def test_the_package_for_browsers_has_the_version_of_a_release():
    assert not IS_RELEASE or json.loads((ROOT / "web" / "package.json").read_text())["version"] == VERSION
