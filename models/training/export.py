"""From a training checkpoint to what ships: one weights file and the two ONNX graphs."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from odpiece.models.interface import STEP_AT_OCTAVE
from odpiece.models.nets.transform import Residual
from odpiece.models.training.graph import analysis_graph, synthesis_graph


def folded_tensors(tokenizer):
    """{name: float16 array} of a Tokenizer whose channel scales have been folded into its weights."""
    for module in tokenizer.modules():
        if isinstance(module, Residual):
            module.fold()
    state = tokenizer.state_dict()
    return {name: t.to(torch.float16).numpy() for name, t in state.items() if not name.endswith(".scale")}


def write_model(folder, name, architecture, tensors):
    """Write `name`.safetensors, its two graphs and the index into `folder`; gives the SHA-256 in hex.

    `tensors` holds the network's float16 tensors and the integer tables of the coders.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    facts = {"architecture": architecture.to_dict(), "steps": STEP_AT_OCTAVE}
    data = save(tensors, metadata={key: json.dumps(value) for key, value in facts.items()})
    digest = hashlib.sha256(data).hexdigest()
    (folder / f"{name}.safetensors").write_bytes(data)
    (folder / f"{name}.analysis.onnx").write_bytes(analysis_graph(tensors))
    (folder / f"{name}.synthesis.onnx").write_bytes(synthesis_graph(tensors))
    index = {"default": name, "models": {name: {"file": f"{name}.safetensors", "sha256": digest}}}
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")
    return digest
