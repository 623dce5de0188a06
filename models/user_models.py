"""The user's models: a folder for each, which is there whole or not at all.

$ODPIECE_MODELS, or $XDG_DATA_HOME/odpiece/models, or ~/.local/share/odpiece/models
    NAME/
        model.json              the SHA-256 of each file that the model was made with
        weights.safetensors     by its SHA-256 .odp files know the model
        weights.PART.onnx       graphs
        weights.integers.json   what these compute in integers, see nets/bands/integers.py
        weights.static*.safetensors     tables that were counted later, see tile_tables.py
"""

import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from odpiece.formats.errors import DamagedError, OptionError, OutputError, OutputExistsError

RECORD, WEIGHTS, TABLES = "model.json", "weights.safetensors", "weights.static"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def models_folder():
    """Where the user's models are; it need not exist. Raises OutputError for a user without a home."""
    if os.environ.get("ODPIECE_MODELS"):
        return Path(os.environ["ODPIECE_MODELS"])
    try:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError:
        raise OutputError("this user has no home: set $ODPIECE_MODELS to a folder for models") from None
    return Path(base) / "odpiece" / "models"


def user_folders():
    """The folders of the user's models, by name; none where there is no home or it cannot be read."""
    try:
        return sorted(record.parent for record in models_folder().glob(f"[!.]*/{RECORD}"))
    except (OutputError, OSError):
        return []


@dataclass(frozen=True)
class Record:
    """What model.json of `folder` says: `files` is {file name: SHA-256 in hex}."""

    folder: Path
    files: dict[str, str]

    @property
    def name(self):
        return self.folder.name

    @property
    def weights(self):
        return self.folder / WEIGHTS

    @property
    def sha256(self):
        return self.files[WEIGHTS]

    def check(self):
        """Raise DamagedError where a file is missing or is not what it was."""
        for file, sha256 in self.files.items():
            if file_hash(self.folder / file) != sha256:
                raise DamagedError(f"{self.folder / file} is missing or damaged: import model {self.name} again")


def record_of(folder):
    """The Record of a model's folder. Raises DamagedError."""
    try:
        files = json.loads((folder / RECORD).read_text())["files"]
        bytes.fromhex(files[WEIGHTS])
    except (OSError, ValueError, KeyError, TypeError):
        raise DamagedError(f"{folder} holds no model: its {RECORD} is missing or damaged") from None
    return Record(folder, files)


def file_hash(path):
    """The SHA-256 of a file in hex, None where it cannot be read."""
    import hashlib  # not needed to code a picture, as the two below

    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def check_name(name, force=False):
    """Raise OptionError for what cannot name a model, OutputExistsError for a taken name unless `force`, and as
    models_folder does.
    """
    if not NAME.fullmatch(name):
        raise OptionError(f"{name!r} cannot name a model: give letters, digits, dots, dashes, underscores")
    if os.path.lexists(models_folder() / name) and not force:
        raise OutputExistsError(f"model {name} exists, use --force to replace it")


@contextmanager
def new_model(name, force=False):
    """A context that gives a folder to write a model's files into; at its end they become the model `name`.

    Where what is inside fails nothing is left, and a model of that name stays as it was. Raises OutputError, and
    as check_name does.
    """
    check_name(name, force)
    with scratch_folder() as scratch:
        made = scratch / name
        made.mkdir()
        yield made
        lasting = (path for path in sorted(made.iterdir()) if not path.name.startswith(TABLES))
        files = {path.name: file_hash(path) for path in lasting}
        (made / RECORD).write_text(json.dumps({"files": files}, indent=2) + "\n")
        target = models_folder() / name
        try:
            if os.path.lexists(target):
                os.replace(target, scratch / "former")
            os.replace(made, target)
        except OSError as error:
            raise OutputError(f"cannot write {target}: {error.strerror}") from None


@contextmanager
def scratch_folder():
    """A context that gives an empty folder beside the models, removed at its end. Raises OutputError."""
    import shutil
    import tempfile

    try:
        models_folder().mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=models_folder()))
    except OSError as error:
        raise OutputError(f"cannot write into {models_folder()}: {error.strerror}") from None
    try:
        yield scratch
    except OSError as error:
        raise OutputError(f"cannot write into {models_folder()}: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_model(name):
    """Remove a model of the user with all its files. Raises OptionError for an unknown one."""
    if name not in [folder.name for folder in user_folders()]:
        raise OptionError(f"no model {name} in {models_folder()}: only models there can be removed")
    with scratch_folder() as scratch:  # first out of sight, then gone: never half there
        os.replace(models_folder() / name, scratch / name)
