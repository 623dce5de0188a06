"""The models: in the package, in companion distributions, in the user's folder, and weights files anywhere.

Inside the package an index tells each model's weights file and SHA-256, and released models, see released.py. Companion
distributions hold further ones, see companions.py. The user's folder is as user_models.py says.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from functools import cache, cached_property, partial
from pathlib import Path

from safetensors import safe_open

from odpiece.formats.errors import DamagedError, OdpieceError, OptionError, UnknownModelError
from odpiece.models.backends import choose_device, load_backend
from odpiece.models.companions import companion_folders
from odpiece.models.interface import BANDS_FAMILY, FACTS, INTEGERS, ONE_D_PIECE
from odpiece.models.released import released_in
from odpiece.models.user_models import RECORD, file_hash, record_of, user_folders

FINGERPRINT_BYTES = 4


@cache
def _index():
    return json.loads(_file("index.json").read_text())


def _file(name):
    return Path(__file__).parent / "weights" / name


class Model:
    """One weights file, NAME.safetensors, with its graphs NAME.PART.onnx beside it.

    `name`, `sha256` (hex) and `fingerprint` (the first 4 bytes of the SHA-256) identify it; its networks run on
    `backend` and `device`, see backends.py. Tensors are read when they are first needed; DamagedError is raised where
    the file has not what a model needs. A pickled model is its name and hash: where it is read, it must be installed.
    """

    def __init__(self, name: str, path: Path, sha256: str, backend: str = "onnx", device: str = "cpu") -> None:
        self.name, self.path, self.sha256 = name, path, sha256
        self.backend, self.device = backend, device
        self.fingerprint = bytes.fromhex(sha256)[:FINGERPRINT_BYTES]

    def __reduce__(self):
        return _find_again, (self.name, str(self.path), self.sha256, self.backend, self.device)

    @contextmanager
    def _weights(self):
        """The opened weights file; what it lacks is a DamagedError."""
        try:
            with safe_open(self.path, framework="numpy") as f:
                yield f
        except (OdpieceError, MemoryError):
            raise
        except Exception as error:  # of many kinds: not found, no such file, other shapes
            raise DamagedError(f"{self.path} is not a weights file: {error}".splitlines()[0]) from None

    def tensors(self, *prefixes):
        """{name: array} of the tensors whose names start with one of `prefixes`."""
        with self._weights() as f:
            return {name: f.get_tensor(name) for name in f.keys() if name.startswith(prefixes)}

    @cached_property
    def facts(self):
        """What a model of another family than the bands' says of itself: "family", "architecture", "trained_tokens"."""
        with self._weights() as f:
            return json.loads((f.metadata() or {}).get(FACTS, "{}"))

    @property
    def family(self):
        """BANDS_FAMILY or ONE_D_PIECE: which codec its tokens need."""
        return self.facts.get("family", BANDS_FAMILY)

    def _architecture(self):
        """The dict of the networks' sizes, see nets/bands/transform.py."""
        with self._weights() as f:
            return json.loads(f.metadata()["architecture"])

    def _integers(self):
        """What the graphs compute in integers, see nets/bands/integers.py; {} where there are none."""
        path = self.path.with_name(f"{self.path.stem}{INTEGERS}")
        try:
            return json.loads(path.read_text()) if path.is_file() else {}
        except (OSError, ValueError) as error:
            raise DamagedError(f"{path} is damaged, install the model again: {error}") from None

    @cached_property
    def transform(self):
        """The Transform (see interface.py) on `backend` and `device`, of the bands."""
        if self.backend == "torch":
            networks = self._architecture(), self.tensors
            return load_backend("torch").TorchTransform(*networks, self.device, self._integers())
        return load_backend("onnx").OnnxTransform(self.tensors, self._graph, self.device)

    @cached_property
    def tile_tokenizer(self):
        """The TileTokenizer (see interface.py) on `backend` and `device`, of a One-D-Piece network."""
        if self.backend == "torch":
            return load_backend("torch").TorchTileTokenizer(self.facts["architecture"], self.tensors, self.device)
        return load_backend("onnx").OnnxTileTokenizer(self.tensors, self._graph, self.device)

    def _graph(self, part):
        graph = self.path.with_name(f"{self.path.stem}.{part}.onnx")
        if not graph.is_file():
            raise OptionError(f"model {self.name} has no part {part}: it was made without it")
        return graph

    @cached_property
    def prior(self):
        """The IntegerPrior."""
        from odpiece.models.prior import IntegerPrior

        with self._weights() as f:
            tables = {name: f.get_tensor(f"prior.{name}") for name in ("squash", "tables", "lengths")}
        return IntegerPrior(_PriorTensors(self, tables))

    def later_bits_gradient(self, q, bands):
        """What latents cost those that are coded after them, see models/prior_gradient.py."""
        from odpiece.models.prior_gradient import later_bits_gradient

        return later_bits_gradient(self.prior, q, bands)

    @cached_property
    def static_tables(self):
        """{"latents": uint32 (13, 4, 240, 64), "lengths": uint32 (13, 29)}, see codec/bands/coders.py."""
        with self._weights() as f:
            return {name: f.get_tensor(f"static.{name}") for name in ("latents", "lengths")}

    @property
    def tile_tables(self):
        """The TileTables of a One-D-Piece model, those to code with first; none where it has none."""
        from odpiece.models.tile_tables import find_tables

        return find_tables(self.path)

    def owns(self, fingerprint):
        """Whether files with this fingerprint (4 bytes) are this model's: by its weights, or by tables of it."""
        if self.fingerprint == fingerprint:
            return True
        return self.family == ONE_D_PIECE and any(tables.fingerprint == fingerprint for tables in self.tile_tables)


class _PriorTensors(dict):
    """The prior's tensors, of which those of a band are read from the weights file when the first is asked for."""

    def __init__(self, model, tensors):
        super().__init__(tensors)
        self._model = model

    def __missing__(self, name):
        from odpiece.models.prior import part_of

        part = self._model.tensors(f"prior.{part_of(name)}")
        self.update({found.removeprefix("prior."): tensor for found, tensor in part.items()})
        if name not in self:
            raise DamagedError(f"{self._model.path} is not a weights file: it has no prior.{name}")
        return self[name]


@cache
def _model(*facts):
    """The one Model of these arguments: what is read for it, it keeps."""
    return Model(*facts)


def open_model(path, backend="onnx", device="cpu"):
    """The Model in the weights file `path` (a Path), which need not be installed. Raises as `load_model` does."""
    sha256 = file_hash(path)
    if sha256 is None:
        raise OptionError(f"cannot read {path}, give a model's weights file")
    return _model(path.stem, path, sha256, backend, choose_device(backend, device))


def _packaged(name, *where):
    entry = _index()["models"][name]
    return _model(name, _file(entry["file"]), entry["sha256"], *where)


def _in_folder(folder, *where):
    """The Model in a folder as user_models.py makes them."""
    record = record_of(folder)
    return _model(record.name, record.weights, record.sha256, *where)


def packaged_models():
    """The Models inside the package, the default one first."""
    default = _index()["default"]
    return [load_model(name) for name in sorted(_index()["models"], key=lambda name: (name != default, name))]


def companion_models(backend="onnx", device="cpu"):
    """The Models in companion distributions; those too damaged to be one are left out."""
    return _sound_models(companion_folders(), backend, device)


def user_models(backend="onnx", device="cpu"):
    """The Models in the user's folder, by name; those too damaged to be one are left out."""
    return _sound_models(user_folders(), backend, device)


def _sound_models(folders, backend, device):
    found = []
    for folder in folders:
        with suppress(DamagedError):
            model = _in_folder(folder, backend, device)
            model.facts  # noqa: B018
            found.append(model)
    return found


def load_model(name: str | os.PathLike[str] | None = None, backend: str = "onnx", device: str = "cpu") -> Model:
    """The model `name` on a backend and a device (see backends.py).

    It is one of the package (the default for None), one of the user, or named by the path of a weights file or of a
    model's folder. Raises OptionError for an unknown name, DamagedError for a damaged model, MissingExtraError and
    DeviceError for a backend or a device that is not there: nothing else is chosen instead.
    """
    if not isinstance(name, (str, os.PathLike, type(None))):
        raise OptionError(f"the model is of type {type(name).__name__}, give a name or a path")
    device = choose_device(backend, device)
    name = name or _index()["default"]
    if name in _index()["models"]:
        return _packaged(name, backend, device)
    folders = {folder.name: folder for folder in (*user_folders(), *companion_folders())}
    folder = folders.get(name, Path(name))
    if os.path.isdir(folder):
        return _in_folder(folder, backend, device)
    if os.path.isfile(folder):
        return open_model(folder, backend, device)
    names = ", ".join([*_index()["models"], *folders])
    raise OptionError(f"no model {name}, installed: {names}")


def find_model(fingerprint, backend="onnx", device="cpu"):
    """The installed model whose files have this fingerprint (4 bytes).

    Raises UnknownModelError, else as `load_model` does.
    """
    device = choose_device(backend, device)
    for name, entry in _index()["models"].items():
        if entry["sha256"].startswith(fingerprint.hex()):
            return _packaged(name, backend, device)
    for model in (*companion_models(backend, device), *user_models(backend, device)):
        if model.owns(fingerprint):
            return model
    raise UnknownModelError(_where_to_find(fingerprint))


def _where_to_find(fingerprint):
    """A line on a model that is not installed."""
    for model in released_models():
        if model.sha256.startswith(fingerprint.hex()):
            return f"made with model {model.name}, which is not installed: pip install {model.distribution}"
    return f"made with model {fingerprint.hex()}, which is not installed: update odpiece, or give --model PATH"


def released_models():
    """The Released models that this odpiece knows, installed or not."""
    return released_in(_index())


def release_of(model):
    """The first release that opens files of a Model, None where no release had it."""
    return next((released.since for released in released_models() if released.sha256 == model.sha256), None)


def _find_again(name, path, sha256, backend, device):
    """The model of a pickle: one installed with this hash, at best under this name, else that in the file `path`.

    Raises UnknownModelError where there is none, MissingExtraError and DeviceError.
    """
    for find in (partial(load_model, name), partial(find_model, bytes.fromhex(sha256)[:FINGERPRINT_BYTES])):
        with suppress(OptionError, UnknownModelError, DamagedError):
            model = find(backend=backend, device=device)
            if model.sha256 == sha256:
                return model
    if file_hash(path) == sha256:
        return _model(name, Path(path), sha256, backend, choose_device(backend, device))
    raise UnknownModelError(f"model {name} with the SHA-256 {sha256} is not installed: odpiece models add does it")


def verify_model(model):
    """Raise DamagedError where the model's files are not what they were when it was made."""
    if (model.path.parent / RECORD).is_file():
        record_of(model.path.parent).check()
    elif file_hash(model.path) != model.sha256:
        raise DamagedError(f"{model.path} is missing or damaged: install odpiece again")
    if model.family == ONE_D_PIECE:
        for tables in model.tile_tables:
            tables.rows  # noqa: B018
