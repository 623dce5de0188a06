"""A One-D-Piece checkpoint, as its authors publish it or as trained here, to a model that the codec can use."""

import json

import numpy as np
import torch
from safetensors.numpy import save_file

from odpiece.formats.errors import OptionError
from odpiece.models.interface import FACTS, ONE_D_PIECE
from odpiece.models.nets.one_d_piece.architecture import TOKENS, expected_tensors
from odpiece.models.training.one_d_piece.graph import decoder_graph, encoder_graph
from odpiece.models.user_models import WEIGHTS

SHOWN = 5  # names of each kind in an error


def load_checkpoint(path, arch):
    """{name: float32 array} of a file that torch.save wrote of the state dict of a network of the sizes `arch`.

    Only tensors are unpickled, nothing is run. Raises OptionError, which says what is missing or extra or does not fit.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, for files of all kinds
        reason = "it holds more than tensors" if "weights_only" in str(error) else "it is damaged or of another kind"
        raise OptionError(f"{path} is no file of weights that can be read safely: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise OptionError(f"{path} holds no state dict: give a file of named tensors")
    if problems := _problems(state, expected_tensors(arch)):
        raise OptionError(f"{path} does not fit: {'; '.join(problems)}")
    return {name: tensor.to(torch.float32).numpy() for name, tensor in state.items()}


def _problems(state, expected):
    """What keeps a state dict from being the expected one, a list of lines."""
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    common = found.keys() & expected.keys()
    shapes = [f"{n} {found[n]} instead of {expected[n]}" for n in sorted(common) if found[n] != expected[n]]
    values = [n for n in sorted(common) if not (state[n].is_floating_point() and state[n].isfinite().all())]
    lists = {
        "missing": sorted(expected.keys() - found.keys()),
        "extra": sorted(map(str, found.keys() - expected.keys())),
        "of another shape": shapes,
        "not of finite numbers": values,
    }
    return [f"{len(names)} {kind} ({_listed(names)})" for kind, names in lists.items() if names]


def _listed(names):
    more = [f"and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join(names[:SHOWN] + more)


def write_one_d_piece(folder, arch, tensors, trained_tokens=TOKENS):
    """Write weights file and graphs of a One-D-Piece model into `folder`.

    `tensors` are those of load_checkpoint; `trained_tokens`, 1..256, how many of a tile's tokens the decoder has met
    in training. The same tensors give the same bytes everywhere, by whose SHA-256 files know the model.
    """
    facts = {"family": ONE_D_PIECE, "architecture": arch.to_dict(), "trained_tokens": trained_tokens}
    tensors = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
    save_file(tensors, folder / WEIGHTS, metadata={FACTS: json.dumps(facts, sort_keys=True)})
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes files that nobody else may read
    stem = (folder / WEIGHTS).stem
    (folder / f"{stem}.encoder.onnx").write_bytes(encoder_graph(tensors, arch))
    (folder / f"{stem}.decoder.onnx").write_bytes(decoder_graph(tensors, arch))
