"""From a training checkpoint to what ships, one weights file and the ONNX graphs, and back."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save

from odpiece.models.integers import SCALES
from odpiece.models.interface import BANDS, FINE_SUFFIX, INTEGERS, MEAN_STEP_AT_OCTAVE, STEP_AT_OCTAVE, USUAL_BANDS
from odpiece.models.nets.bands.blocks import Branch
from odpiece.models.nets.bands.prior import Prior
from odpiece.models.nets.bands.transform import FAITHFUL, Architecture, Tokenizer
from odpiece.models.training.bands.gradient_graph import gradient_graph
from odpiece.models.training.bands.graph import analysis_graph, synthesis_graph
from odpiece.models.training.bands.quantized_prior import dequantized


def channel_scales(tokenizer):
    """{"scales." + name: float32 (channels,)} of a Tokenizer's branches: only training needs them."""
    blocks = ((name, module) for name, module in tokenizer.named_modules() if isinstance(module, Branch))
    return {f"{SCALES}{name}": block.scale.numpy().copy() for name, block in blocks}


def folded_tensors(tokenizer):
    """{name: float16 array} of a Tokenizer whose channel scales have been folded into its weights."""
    for module in tokenizer.modules():
        if isinstance(module, Branch):
            module.fold()
    state = tokenizer.state_dict()
    return {name: t.to(torch.float16).numpy() for name, t in state.items() if not name.endswith(".scale")}


def load_shipped(path):
    """(Tokenizer, float Prior) from a weights file, to go on training from."""
    with safe_open(path, framework="numpy") as f:
        architecture = Architecture.from_dict(json.loads(f.metadata()["architecture"]))
        tensors = {name: torch.as_tensor(f.get_tensor(name)) for name in f.keys()}
    tokenizer, prior = Tokenizer(architecture), Prior()
    tokenizer.load_state_dict({name: tensors.get(name, own) for name, own in tokenizer.state_dict().items()})
    for name, scale in tensors.items():
        if name.startswith(SCALES):
            tokenizer.get_submodule(name.removeprefix(SCALES)).unfold(scale)
    prior.load_state_dict(dequantized(tensors, prior.state_dict()))
    return tokenizer, prior


def write_model(folder, name, architecture, tensors, integers=None):
    """Write `name`.safetensors and its graphs into `folder`, and make it the index's default.

    `tensors` holds the network's float16 tensors and the integer tables of the coders; `integers` is as in
    `write_graphs`. Gives the SHA-256 in hex.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
    facts = {"architecture": architecture.to_dict(), "steps": STEP_AT_OCTAVE, "mean_steps": MEAN_STEP_AT_OCTAVE}
    data = save(tensors, metadata={key: json.dumps(value) for key, value in facts.items()})
    digest = hashlib.sha256(data).hexdigest()
    (folder / f"{name}.safetensors").write_bytes(data)
    write_graphs(folder, name, architecture.looks, tensors, integers or {})
    index = folder / "index.json"
    known = json.loads(index.read_text()) if index.is_file() else {"models": {}}
    known["models"][name] = {"file": f"{name}.safetensors", "sha256": digest}
    index.write_text(json.dumps(known | {"default": name}, indent=2) + "\n")
    return digest


def write_graphs(folder, name, looks, tensors, integers):
    """Write the graphs of a model, and `name`.integers.json: which convolutions of its usual looks are in integers."""
    for suffix, bands, given in (("", USUAL_BANDS, looks), (FINE_SUFFIX, len(BANDS), (FAITHFUL,))):
        graphs = {"analysis": analysis_graph(tensors, bands), "gradient": gradient_graph(tensors, bands, integers)}
        graphs |= {look: synthesis_graph(tensors, look, bands, integers) for look in given}
        for part, graph in graphs.items():
            (folder / f"{name}.{part}{suffix}.onnx").write_bytes(graph)
    (folder / f"{name}{INTEGERS}").write_text(json.dumps(integers, indent=2) + "\n")
