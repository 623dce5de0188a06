"""The installed models: an index of weights files, each known by its name and its SHA-256."""

import hashlib
import json
from functools import cache, cached_property
from importlib import resources

from safetensors import safe_open

from odpiece.formats.errors import OptionError, UnknownModelError

FINGERPRINT_BYTES = 4


@cache
def _index():
    return json.loads(_file("index.json").read_text())


def _file(name):
    return resources.files("odpiece.models").joinpath("weights", name)


class Model:
    """One weights file, NAME.safetensors, with its graphs NAME.analysis.onnx and NAME.LOOK.onnx beside it.

    `name`, `sha256` (hex) and `fingerprint` (the first 4 bytes of the SHA-256) identify it. Tensors are
    read when they are first needed.
    """

    def __init__(self, name, path, sha256):
        self.name, self.sha256 = name, sha256
        self.fingerprint = bytes.fromhex(sha256)[:FINGERPRINT_BYTES]
        self._path = path

    def tensors(self, *prefixes):
        """{name: array} of the tensors whose names start with one of `prefixes`."""
        with safe_open(self._path, framework="numpy") as f:
            return {name: f.get_tensor(name) for name in f.keys() if name.startswith(prefixes)}

    @cached_property
    def transform(self):
        """The Transform (see interface.py) on onnxruntime."""
        from odpiece.models.onnx_backend import OnnxTransform

        return OnnxTransform(self.tensors, self._graph)

    def _graph(self, part):
        graph = self._path.with_name(f"{self._path.stem}.{part}.onnx")
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


def open_model(path):
    """The Model in the weights file `path` (a Path), which need not be installed."""
    return Model(path.stem, path, hashlib.sha256(path.read_bytes()).hexdigest())


@cache
def load_model(name=None):
    """The installed model `name`, by default the index's default. Raises OptionError for an unknown name."""
    index = _index()
    name = name or index["default"]
    if name not in index["models"]:
        raise OptionError(f"no model {name}, installed: {', '.join(index['models'])}")
    entry = index["models"][name]
    return Model(name, _file(entry["file"]), entry["sha256"])


def find_model(fingerprint):
    """The installed model with this fingerprint (4 bytes). Raises UnknownModelError."""
    for name, entry in _index()["models"].items():
        if entry["sha256"].startswith(fingerprint.hex()):
            return load_model(name)
    raise UnknownModelError(f"made with model {fingerprint.hex()}, which is not installed: update odpiece")
