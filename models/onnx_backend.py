"""The tokenizer on onnxruntime: graphs without weights, given the tensors of the weights file."""

import os

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it writes event files and may send them; read at its import

import onnxruntime as ort  # noqa: E402

from odpiece.models.interface import BANDS, LOOKS, grain, octave_weights

ort.set_default_logger_severity(3)


def _session(graph, tensors):
    """A session of the graph file `graph`, and the initializers it reads; `tensors` are {name: float array}.

    The initializers do not copy the arrays, and the session does not hold them: keep both together.
    """
    options = ort.SessionOptions()
    arrays = {name: np.ascontiguousarray(t, dtype=np.float32) for name, t in tensors.items()}
    values = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}
    options.add_external_initializers(list(values), list(values.values()))
    return ort.InferenceSession(graph.read_bytes(), options, providers=["CPUExecutionProvider"]), values


class OnnxTransform:
    """A Transform (see interface.py) on all cores of the CPU.

    `load(*prefixes)` must give {name: float array} of the weights file's tensors whose names start so, and
    `graph(name)` the path of the graph "analysis", "gradient" or of a look. Sessions are made at first use: an
    encoder never loads the synthesis.
    """

    def __init__(self, load, graph):
        self._load, self._graph = load, graph
        self._sessions = {}

    def _get(self, name, *prefixes):
        if name not in self._sessions:
            self._sessions[name] = _session(self._graph(name), self._load(*prefixes))
        return self._sessions[name][0]

    def analyze(self, pixels):
        bands = [f"band{i}" for i in range(len(BANDS))]
        return tuple(b[0] for b in self._get("analysis", "analysis.").run(bands, {"pixels": pixels}))

    def synthesize(self, latents, q, look):
        feed = {f"band{i}": z[None].astype(np.float32) for i, z in enumerate(latents)}
        feed["octaves"] = octave_weights(q)[None]
        session = self._get(look, "synthesis.", f"looks.{look}.")
        if len(session.get_inputs()) > len(feed):
            rows, columns = latents[-1].shape[1:]
            feed |= {"grain16": grain(rows, columns)[None], "grain8": grain(2 * rows, 2 * columns)[None]}
        return session.run(["pixels"], feed)[0]

    def error(self, latents, q, pixels, importance, gradients=True):
        bands = {f"band{i}": z[None].astype(np.float32) for i, z in enumerate(latents)}
        feed = bands | {"octaves": octave_weights(q)[None], "pixels": pixels, "importance": importance}
        names = ["error", *(f"gradient{i}" for i in range(len(BANDS)) if gradients)]
        error, *found = self._get("gradient", "synthesis.", f"looks.{LOOKS[0]}.").run(names, feed)
        return error, tuple(g[0] for g in found)


class OnnxTileTokenizer:
    """A TileTokenizer (see interface.py) on all cores of the CPU; arguments as of OnnxTransform.

    An encoder never loads the decoder's weights, nor a decoder the encoder's.
    """

    def __init__(self, load, graph):
        self._load, self._graph = load, graph
        self._sessions = {}

    def _run(self, part, output, inputs):
        if part not in self._sessions:
            prefixes = {"encoder": ("encoder.", "latent_tokens"), "decoder": ("decoder.", "pixel_")}[part]
            self._sessions[part] = _session(self._graph(part), self._load("quantize.", *prefixes))
        return self._sessions[part][0].run([output], inputs)[0]

    def encode(self, tiles):
        return self._run("encoder", "tokens", {"tiles": np.ascontiguousarray(tiles)})

    def decode(self, tokens):
        return self._run("decoder", "tiles", {"tokens": np.ascontiguousarray(tokens, dtype=np.int32)})
