"""Build a companion distribution of models, see models/companions.py: a wheel that brings them to an installed odpiece.

    python scripts/models_distribution.py odpiece-models-2026 --version 1 --out dist MODEL...

A MODEL is what `odpiece models add` takes: a folder of `odpiece train export`, a weights file, or a user's model.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from odpiece.models.adding import add_model
from odpiece.models.companions import GROUP

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "{version}"
description = "Models of odpiece that are not in the package itself"
license = "Apache-2.0"
license-files = ["LICENSE", "NOTICE"]
requires-python = ">=3.11"

[project.entry-points."{group}"]
{package} = "{package}"

[tool.setuptools]
packages = ["{package}"]

[tool.setuptools.package-data]
{package} = ["*/*"]
"""


def write_tree(folder, name, version, models):
    """Write the sources of a distribution `name` that holds the models in the paths `models`."""
    package = name.replace("-", "_")
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text('"""Models of odpiece, each in a folder."""\n')
    (folder / "pyproject.toml").write_text(SETTINGS.format(name=name, version=version, package=package, group=GROUP))
    for text in ("LICENSE", "NOTICE"):
        shutil.copy(ROOT / text, folder)
    os.environ["ODPIECE_MODELS"] = str(folder / package)
    for model in models:
        add_model(model)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="name of the distribution")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--version", required=True)
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder for the wheel [default: dist]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_tree(Path(folder), options.name, options.version, options.models)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*build, "--wheel-dir", options.out, folder], check=True)


if __name__ == "__main__":
    main()
