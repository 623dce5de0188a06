"""The installed models: an index of weights files, each known by its name and its SHA-256."""

import hashlib
import json
from functools import cache, cached_property
from importlib import resources

from safetensors import safe_open

from odpiece.formats.errors import DamagedError, OptionError, UnknownModelError
from odpiece.models.backends import choose_device, load_backend

FINGERPRINT_BYTES = 4


@cache
def _index():
    return json.loads(_file("index.json").read_text())


def _file(name):
    return resources.files("odpiece.models").joinpath("weights", name)


class Model:
    """One weights file, NAME.safetensors, with its graphs NAME.analysis.onnx and NAME.LOOK.onnx beside it.

    `name`, `sha256` (hex) and `fingerprint` (the first 4 bytes of the SHA-256) identify it; its transform runs on
    `backend` and `device`, see backends.py. Tensors are read when they are first needed.
    """

    def __init__(self, name, path, sha256, backend="onnx", device="cpu"):
        self.name, self.path, self.sha256 = name, path, sha256
        self.backend, self.device = backend, device
        self.fingerprint = bytes.fromhex(sha256)[:FINGERPRINT_BYTES]

    def tensors(self, *prefixes):
        """{name: array} of the tensors whose names start with one of `prefixes`."""
        with safe_open(self.path, framework="numpy") as f:
            return {name: f.get_tensor(name) for name in f.keys() if name.startswith(prefixes)}

    def _architecture(self):
        """The dict of the networks' sizes, see nets/transform.py."""
        with safe_open(self.path, framework="numpy") as f:
            return json.loads(f.metadata()["architecture"])

    @cached_property
    def transform(self):
        """The Transform (see interface.py) on `backend` and `device`."""
        if self.backend == "torch":
            return load_backend("torch").TorchTransform(self._architecture(), self.tensors, self.device)
        return load_backend("onnx").OnnxTransform(self.tensors, self._graph, self.device)

    def _graph(self, part):
        graph = self.path.with_name(f"{self.path.stem}.{part}.onnx")
        if not graph.is_file():
            raise OptionError(f"model {self.name} has no part {part}: it was made without it")
        return graph

    @cached_property
    def prior(self):
        """The IntegerPrior."""
        from odpiece.models.prior import IntegerPrior

        return IntegerPrior({name.removeprefix("prior."): t for name, t in self.tensors("prior.").items()})

    @cached_property
    def static_tables(self):
        """{"latents": uint32 (11, 4, 264, 64), "lengths": uint32 (11, 19)}, see codec/coders.py."""
        return {name.removeprefix("static."): t for name, t in self.tensors("static.").items()}


@cache
def _model(*facts):
    """The one Model of these arguments: what is read for it, it keeps."""
    return Model(*facts)


def open_model(path, backend="onnx", device="cpu"):
    """The Model in the weights file `path` (a Path), which need not be installed. Raises as `load_model` does."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return _model(path.stem, path, sha256, backend, choose_device(backend, device))


def packaged_models():
    """The Models inside the package, the default one first."""
    default = _index()["default"]
    return [load_model(name) for name in sorted(_index()["models"], key=lambda name: (name != default, name))]


def verify_model(model):
    """Raise DamagedError where the model's file is not what it was when it was made."""
    if not model.path.is_file() or hashlib.sha256(model.path.read_bytes()).hexdigest() != model.sha256:
        raise DamagedError(f"{model.path} is missing or damaged: install odpiece again")


def load_model(name=None, backend="onnx", device="cpu"):
    """The installed model `name`, by default the index's default, on a backend and a device (see backends.py).

    Raises OptionError for an unknown name, MissingExtraError and DeviceError for a backend or a device that is not
    there: nothing else is chosen instead.
    """
    device = choose_device(backend, device)
    index = _index()
    name = name or index["default"]
    if name not in index["models"]:
        raise OptionError(f"no model {name}, installed: {', '.join(index['models'])}")
    entry = index["models"][name]
    return _model(name, _file(entry["file"]), entry["sha256"], backend, device)


def find_model(fingerprint, backend="onnx", device="cpu"):
    """The installed model with this fingerprint (4 bytes). Raises UnknownModelError, else as `load_model` does."""
    for name, entry in _index()["models"].items():
        if entry["sha256"].startswith(fingerprint.hex()):
            return load_model(name, backend, device)
    raise UnknownModelError(f"made with model {fingerprint.hex()}, which is not installed: update odpiece")
