"""Keep what the release in pyproject.toml promises for ever: its default model in the index, and its golden files.

    python scripts/add_release.py

Golden files go from tests/golden to tests/golden/releases/VERSION, their SHA-256 to sha256.json beside it.
"""

import hashlib
import json
import shutil
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

from odpiece.models.interface import LOOKS
from odpiece.models.library import load_model
from odpiece.models.released import Released, prior_hash

ROOT = Path(__file__).resolve().parent.parent
INDEX = ROOT / "models" / "weights" / "index.json"
GOLDEN = ROOT / "tests" / "golden"
RELEASES = GOLDEN / "releases"
HASHES = RELEASES / "sha256.json"


def add_model(version):
    """Name the default model in the index, unless an earlier release did."""
    index, model = json.loads(INDEX.read_text()), load_model()
    entry = asdict(Released(model.name, version, model.sha256, prior_hash(model), LOOKS))
    index["released"].setdefault(entry.pop("name"), entry)
    INDEX.write_text(json.dumps(index, indent=2) + "\n")


def add_golden_files(version):
    """Copy the golden files of today, and add their hashes to the list."""
    kept = RELEASES / version
    shutil.copytree(GOLDEN, kept, ignore=shutil.ignore_patterns(RELEASES.name))
    files = sorted(path for path in kept.rglob("*") if path.is_file())
    hashes = {path.relative_to(RELEASES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    HASHES.write_text(json.dumps(json.loads(HASHES.read_text()) | hashes, indent=2) + "\n")


def main():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    if not all(part.isdigit() for part in version.split(".")):
        sys.exit(f"{version} is no release: set its number in pyproject.toml")
    if (RELEASES / version).exists():
        sys.exit(f"{version} has its golden files: those of a release never change")
    add_model(version)
    add_golden_files(version)


if __name__ == "__main__":
    main()
