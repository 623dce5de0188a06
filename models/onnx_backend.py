"""The tokenizer on onnxruntime: graphs without weights, given the tensors of the weights file."""

import io
import os
from contextlib import redirect_stdout, suppress
from ctypes import py_object, pythonapi
from threading import Lock, Thread
from weakref import WeakSet

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it writes event files and may send them; read at its import

import onnxruntime as ort  # noqa: E402

from odpiece.formats.errors import DeviceError  # noqa: E402
from odpiece.models.backends import library_errors, making_network  # noqa: E402
from odpiece.models.conversion import converted  # noqa: E402
from odpiece.models.integers import BYTES, SCALES, WEIGHT, integer_weights  # noqa: E402
from odpiece.models.interface import BANDS, FINE_SUFFIX, LOOKS, PIECE, USUAL_BANDS, grains, is_fine, octave_weights
from odpiece.models.threads import thread_limit

ERRORS, FATAL = 3, 4
ort.set_default_logger_severity(ERRORS)

CUDA = "CUDAExecutionProvider"
PROVIDERS = {
    "cpu": ["CPUExecutionProvider"],
    # not the default search, which times every algorithm for each new size of picture; no TF32, as in torch_backend.py
    "cuda": [(CUDA, {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}), "CPUExecutionProvider"],
}
MANY_PIECES = 512  # of a picture: a session that made a larger one gives the memory back; it would keep twice as much
FEW_PIECES = 36  # of a picture: computing them takes less time than optimizing a graph would save
LEFT_OUT = "ConstantFolding", "ConstantSharing", "MatMulAddFusion", "QuickGeluFusion"  # where time is short
CUDA_PACKAGE = "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'"

SYNTHESIS = "synthesis.", "look.", f"{SCALES}synthesis.", f"{SCALES}look."
BAND_PREFIXES = {
    "analysis": ("analysis.",),
    **dict.fromkeys(("gradient", LOOKS[0]), SYNTHESIS),
    LOOKS[1]: (*SYNTHESIS, "grain."),
}
PREFIXES = {  # of the tensors among which are those that each graph needs
    **BAND_PREFIXES,
    **{f"{name}{FINE_SUFFIX}": ("exact.", "restoration.") for name in ("analysis", "gradient", LOOKS[0])},
    "encoder": ("encoder.", "latent_tokens", "quantize."),
    "decoder": ("decoder.", "pixel_", "quantize."),
}


def providers():
    """What this onnxruntime was built for, which need not be there."""
    return ort.get_available_providers()


def cuda_fault():
    """Why onnxruntime cannot use CUDA here, in one line; None where it can."""
    if CUDA not in providers():
        return f"this onnxruntime is built without it: {CUDA_PACKAGE}"
    said = io.StringIO()
    with redirect_stdout(said):  # where it reports libraries that it cannot load
        ort.preload_dlls()
    ort.set_default_logger_severity(FATAL)
    try:
        ort.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32), "cuda", 0)
    except RuntimeError:
        missing = next((line for line in said.getvalue().splitlines() if line.startswith("Failed")), "")
        return f"onnxruntime finds no GPU that it can use ({missing or 'check the driver with nvidia-smi'})"
    finally:
        ort.set_default_logger_severity(ERRORS)
    return None


def _session(graph, tensors, device, quick):
    """A session of the graph file `graph`, and the initializers it reads; `tensors` are {name: float array}.

    Tensors that the graph does not name are left out. The initializers do not copy the arrays, and the session does not
    hold them: keep both together. A `quick` session is made in less than half the time, of the graph as it is but for
    a look's convolutions of integers, and runs slower, in one thread: its results would depend on their number.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1 if quick else thread_limit() or 0  # 0: one a core; the same results bit by bit
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # else idle threads take their core's time
    data = graph.read_bytes()
    named = {name: t for name, t in tensors.items() if name.encode() in data}
    integers = _integer_weights(data, tensors)
    arrays = converted(named, np.float32) | integers
    if quick:
        levels = ort.GraphOptimizationLevel
        shown = integers and ".gradient" not in graph.name  # gradients need not be the same everywhere
        options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if shown else levels.ORT_DISABLE_ALL
    values = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}
    options.add_external_initializers(list(values), list(values.values()))
    left_out = LEFT_OUT if quick else ()
    session = ort.InferenceSession(data, options, PROVIDERS[device], disabled_optimizers=left_out)
    session.disable_fallback()
    if device == "cuda" and CUDA not in session.get_providers():  # it goes on without, and only logs it
        raise DeviceError("onnxruntime could not start on the GPU: odpiece doctor says more")
    return session, values


def _integer_weights(data, tensors):
    """Those of integers that the graph `data` names, see models/integers.py."""
    names = (name.removesuffix(WEIGHT) for name in tensors if name.endswith(WEIGHT))
    return integer_weights(tensors, [name for name in names if (name + BYTES).encode() in data])


_EVERYWHERE = WeakSet()  # all _Sessions there are


def _begin_in_child():
    for sessions in _EVERYWHERE:
        sessions.begin_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)


class _Sessions:
    """Sessions on `device`, "cpu" (all cores, or as models/threads.py says) or "cuda", made at first use.

    `load(*prefixes)` must give {name: float array} of the weights file's tensors whose names start so, and
    `graph(name)` the path of the graph of this name.
    """

    def __init__(self, load, graph, device="cpu"):
        self._load, self._graph, self.device = load, graph, device
        self._begin()
        _EVERYWHERE.add(self)

    def _begin(self):
        self._sessions, self._locks = {}, {(name, quick): Lock() for name in PREFIXES for quick in (False, True)}

    def begin_in_child(self):
        """In a forked process: make sessions anew, for the threads of those that there are, and perhaps whoever held
        a lock, are not in it. Their end would wait for these threads, so they never end.
        """
        for session in self._sessions.values():
            pythonapi.Py_IncRef(py_object(session))
        self._begin()

    def prepare(self, *names, quick=False):
        """Begin to make those sessions of these graphs that there are not in a thread, for whoever needs them soon."""
        names = [name for name in names if (name, quick) not in self._sessions]
        if not names:
            return

        def make():
            with suppress(Exception):  # whoever needs them meets it again
                for name in names:
                    self._get(name, quick)

        Thread(target=make).start()

    def _get(self, name, quick=False):
        with self._locks[name, quick]:  # of several threads the first makes the session, the others wait for it
            if (name, quick) not in self._sessions:
                graph = self._graph(name)
                with making_network(graph, self.device):
                    self._sessions[name, quick] = _session(graph, self._load(*PREFIXES[name]), self.device, quick)
            return self._sessions[name, quick][0]


class OnnxTransform(_Sessions):
    """A Transform (see interface.py), of the graphs "analysis", "gradient" and one for each look, of both kinds.

    An encoder that does not search never loads the synthesis.
    """

    @library_errors
    def analyze(self, pixels, fine=False):
        part, count = ("analysis" + FINE_SUFFIX, len(BANDS)) if fine else ("analysis", USUAL_BANDS)
        session, pieces = self._get(part), pixels[::PIECE, ::PIECE, 0].size
        return tuple(b[0] for b in session.run(_names("band", count), {"pixels": pixels}, self._options(pieces)))

    def prepare_for(self, part, q, pieces):
        self.prepare(_graph_of(part, is_fine(q)), quick=pieces <= FEW_PIECES)

    @library_errors
    def synthesize(self, latents, q, look, place=(0, 0)):
        feed = _feed(latents, q)
        session = self._session_of(look, latents)
        if len(session.get_inputs()) > len(feed):
            feed |= {f"noise{n}": values for n, values in grains(latents[0].shape[1:], place).items()}
        return session.run(["pixels"], feed, self._options(latents[0][0].size))[0]

    @library_errors
    def error(self, latents, q, pixels, importance):
        feed = _feed(latents, q) | {"pixels": pixels, "importance": importance}
        names = ["error", *_names("gradient", len(latents))]
        options = self._options(latents[0][0].size)
        error, *found = self._session_of("gradient", latents).run(names, feed, options)
        return error, tuple(g[0] for g in found)

    def _options(self, pieces):
        """How to run a session on a picture of so many pieces: memory of more than MANY_PIECES is given back."""
        if self.device != "cpu" or pieces <= MANY_PIECES:
            return None
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return options

    def _session_of(self, part, latents):
        """The session of the graph `part` for these latents."""
        return self._get(_graph_of(part, len(latents) > USUAL_BANDS), latents[0][0].size <= FEW_PIECES)


def _names(name, count):
    return [f"{name}{i}" for i in range(count)]


def _graph_of(part, fine):
    """The graph `part`, where `fine` that of all bands: high qualities have one look."""
    if not fine:
        return part
    return (LOOKS[0] if part in LOOKS else part) + FINE_SUFFIX


def _feed(latents, q):
    feed = {f"band{i}": np.asarray(z, np.float32)[None] for i, z in enumerate(latents)}
    return feed | {"octaves": octave_weights(q)[None]}


class OnnxTileTokenizer(_Sessions):
    """A TileTokenizer (see interface.py); arguments as of OnnxTransform, graphs "encoder" and "decoder".

    An encoder never loads the decoder's weights, nor a decoder the encoder's.
    """

    @library_errors
    def encode(self, tiles):
        session = self._get("encoder")
        return session.run(["tokens"], {"tiles": np.ascontiguousarray(tiles)})[0]

    @library_errors
    def decode(self, tokens):
        session = self._get("decoder")
        return session.run(["tiles"], {"tokens": np.ascontiguousarray(tokens, dtype=np.int32)})[0]
