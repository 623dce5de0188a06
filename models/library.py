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
    """One weights file; tensors are read when they are first needed.

    `name`, `sha256` (hex) and `fingerprint` (the first 4 bytes of the SHA-256) identify it.
    """

    def __init__(self, name, path, sha256, threads=0):
        self.name, self.sha256 = name, sha256
        self.fingerprint = bytes.fromhex(sha256)[:FINGERPRINT_BYTES]
        self._path, self._threads = path, threads

    def tensors(self, prefix):
        """{name: array} of the tensors whose names start with `prefix`."""
        with safe_open(self._path, framework="numpy") as f:
            return {name: f.get_tensor(name) for name in f.keys() if name.startswith(prefix)}

    def verify(self):
        """Whether the file's bytes have the SHA-256 that the index gives."""
        return hashlib.sha256(self._path.read_bytes()).hexdigest() == self.sha256

    @cached_property
    def transform(self):
        """The Transform (see interface.py) on onnxruntime."""
        from odpiece.models.onnx_backend import OnnxTransform

        return OnnxTransform(self.tensors, self._threads)

    @cached_property
    def static_tables(self):
        """{"latents": (11, 264, 64), "lengths": (11, L)} uint32 weights by octave of q; each row sums to 2^24 - its size."""
        return {name.removeprefix("static."): t for name, t in self.tensors("static.").items()}


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
