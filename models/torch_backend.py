"""The tokenizer on PyTorch, on the CPU or a CUDA device, from the weights file that onnxruntime reads, too.

Everything is in float32, on CUDA, too, where PyTorch by itself would round to TF32: why, see docs/decisions/speed.md.
"""

import os
import warnings
from functools import wraps
from threading import Lock

import numpy as np
import torch

from odpiece.models.backends import library_errors, making_network
from odpiece.models.integers import SCALES
from odpiece.models.interface import PIECE, grains, is_fine, octave_weights
from odpiece.models.nets.bands.integers import to_integers
from odpiece.models.nets.bands.transform import NATURAL, Architecture, Tokenizer
from odpiece.models.nets.one_d_piece.architecture import Architecture as OneDPieceArchitecture
from odpiece.models.nets.one_d_piece.network import OneDPiece

PREFIXES = "analysis.", "synthesis.", "look.", "grain.", "exact.", "restoration.", SCALES  # of the tokenizer's tensors

# The threads of the parent, which its pool would wait for, are not in a forked process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


_TF32 = Lock()  # held while TF32 is off, which is a matter of the whole process


def in_float32(method):
    """A method of a class that has a `device`, on CUDA without TF32, by one thread at a time."""

    @wraps(method)
    def whole(self, *args, **kwargs):
        if self.device == "cpu":
            return method(self, *args, **kwargs)
        with _TF32:
            kept, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
            try:
                return method(self, *args, **kwargs)
            finally:
                torch.backends.cudnn.allow_tf32 = kept

    return whole


def cuda_fault():
    """Why PyTorch cannot use CUDA here, in one line; None where it can."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return None
    if torch.version.cuda is None and torch.version.hip is None:
        return f"PyTorch {torch.__version__} is built without it, see pytorch.org for a build with CUDA"
    return str(notes[0].message).splitlines()[0] if notes else "no GPU is found, check the driver with nvidia-smi"


def cuda_devices():
    """[(name, bytes of memory)] of the CUDA devices."""
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [(device.name, device.total_memory) for device in found]


def _network(architecture, tensors, integers):
    """The Tokenizer of shipped tensors {name: float array}; the channel scales of its blocks are folded into them.

    `integers` tell which convolutions are in integers, see nets/bands/integers.py.
    """
    with torch.device("meta"):
        network = Tokenizer(Architecture.from_dict(architecture))
    tensors = {name: t.astype(np.float32) for name, t in tensors.items()}
    state = {name: torch.from_numpy(t) for name, t in tensors.items() if not name.startswith(SCALES)}
    ones = {name: torch.ones(t.shape) for name, t in network.state_dict().items() if name.endswith(".scale")}
    network.load_state_dict(state | ones, assign=True)
    to_integers(network.requires_grad_(False), integers, tensors)
    for block in (*network.synthesis.middle, *network.look.middle):
        block.register_forward_hook(lambda block, inputs, output: _passed_by(inputs[0], output))
    return network.eval().requires_grad_(False)


def _passed_by(x, y):
    """`y`, through which gradients go as through `x`."""
    return x + (y - x).detach()


def _in_levels(x):
    """Pixels `x` about [-1, 1] in whole grey levels, 0..255."""
    return ((x + 1) * 127.5).round().clamp(0, 255)


class TorchTransform:
    """A Transform (see interface.py) on `device`, "cpu" or "cuda".

    `architecture` is the dict of the weights file, `load(*prefixes)` gives its tensors whose names start so. They
    are read at first use, once, whichever thread comes first. `integers` are as in nets/bands/integers.py.
    """

    def __init__(self, architecture, load, device="cpu", integers=None):
        self._architecture, self._load, self.device, self._integers = architecture, load, device, integers or {}
        self._network, self._lock = None, Lock()

    def _get(self):
        with self._lock:
            if self._network is None:
                with making_network("the weights file", self.device):
                    network = _network(self._architecture, self._load(*PREFIXES), self._integers)
                    self._network = network.to(self.device, memory_format=torch.channels_last)
        return self._network

    def _tensor(self, array):
        return torch.from_numpy(np.require(array, requirements="CW")).to(self.device)

    def _pixels(self, pixels):
        """uint8 (H, W, 3) as float (1, 3, H, W) in [-1, 1], in memory channels last as it came."""
        return self._tensor(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1

    def _bands(self, latents):
        return [self._tensor(z[None].astype(np.float32)) for z in latents]

    def _octaves(self, q):
        return self._tensor(octave_weights(q)[None])

    def prepare_for(self, part, q, pieces):
        """Nothing: there is one network for all parts."""

    @library_errors
    @in_float32
    @torch.no_grad()
    def analyze(self, pixels, fine=False):
        return tuple(z[0].cpu().numpy() for z in self._get().analyze(self._pixels(pixels), fine))

    @library_errors
    @in_float32
    @torch.no_grad()
    def synthesize(self, latents, q, look, place=(0, 0)):
        noise = None
        if look == NATURAL and not is_fine(q):
            noise = [self._tensor(values) for values in grains(latents[0].shape[1:], place).values()]
        x = self._get().decode(self._bands(latents), self._octaves(q), noise)
        return _in_levels(x).to(torch.uint8)[0].permute(1, 2, 0).contiguous().cpu().numpy()

    @library_errors
    @in_float32
    def error(self, latents, q, pixels, importance):
        rows, columns = latents[0].shape[1:]
        bands = [z.requires_grad_() for z in self._bands(latents)]
        decoded = self._get().decode(bands, self._octaves(q))
        difference = _passed_by(decoded, _in_levels(decoded) / 127.5 - 1) - self._pixels(pixels)
        squares = (self._tensor(importance) * difference.square())[0].sum(0)
        error = squares.reshape(rows, PIECE, columns, PIECE).sum((1, 3))
        found = torch.autograd.grad(error.sum(), bands)
        return error.detach().cpu().numpy(), tuple(g[0].cpu().numpy() for g in found)


class TorchTileTokenizer:
    """A TileTokenizer (see interface.py) on `device`; arguments as of TorchTransform."""

    def __init__(self, architecture, load, device="cpu"):
        self._architecture, self._load, self.device = architecture, load, device
        self._network, self._lock = None, Lock()

    def _get(self):
        with self._lock:
            if self._network is None:
                with making_network("the weights file", self.device):
                    self._network = self._make().to(self.device)
        return self._network

    def _make(self):
        with torch.device("meta"):
            network = OneDPiece(OneDPieceArchitecture.from_dict(self._architecture))
        state = {name: torch.from_numpy(t) for name, t in self._load("").items()}
        network.load_state_dict(state, assign=True)
        return network.eval().requires_grad_(False)

    def _tensor(self, array):
        return torch.from_numpy(np.require(array, requirements="CW")).to(self.device)

    @library_errors
    @in_float32
    @torch.no_grad()
    def encode(self, tiles):
        ids = self._get().encode(self._tensor(tiles).permute(0, 3, 1, 2).float() / 255)
        return ids.to(torch.int32).cpu().numpy()

    @library_errors
    @in_float32
    @torch.no_grad()
    def decode(self, tokens):
        x = self._get().decode(self._tensor(tokens.astype(np.int64))).clamp(0, 1)
        return (x * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
