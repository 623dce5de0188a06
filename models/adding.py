"""A model made elsewhere becomes one of the user: its files are checked, and copied into the folder of models.

It is given as a weights file NAME.safetensors with its graphs NAME.PART.onnx beside it, as a folder that `odpiece train
export` wrote (of several models in it, the last), or as the folder of a user's model, tables included.
"""

import json
import shutil
from pathlib import Path

from odpiece.formats.errors import DamagedError, OptionError
from odpiece.models.interface import BANDS_FAMILY, FINE_SUFFIX, INTEGERS, LOOKS
from odpiece.models.library import load_model, packaged_models
from odpiece.models.user_models import RECORD, TABLES, WEIGHTS, check_name, file_hash, new_model, record_of

INDEX = "index.json"  # of a folder that `train export` wrote


def add_model(source, name=None, force=False):
    """Install the model in the file or folder `source`, a Path, and return it.

    Its `name` is by default the one it has there. Raises OptionError for a name that cannot be or what holds no model,
    OutputExistsError for a taken name unless `force`, DamagedError for files that are not what they were, OutputError.
    """
    weights = _weights_in(source)
    name = name or (weights.resolve().parent.name if weights.name == WEIGHTS else weights.stem)
    if name in [model.name for model in packaged_models()]:
        raise OptionError(f"{name} is a model of the package: give another name")
    check_name(name, force)
    _check(load_model(weights))
    with new_model(name, force) as folder:
        for path, new in _files(weights):
            shutil.copyfile(path, folder / new)
    return load_model(name)


def _weights_in(source):
    """The weights file of the model in `source`, checked by the hash that stands beside it."""
    if source.is_file():
        return source
    if (source / RECORD).is_file():
        record_of(source).check()
        return source / WEIGHTS
    if not (source / INDEX).is_file():
        raise OptionError(f"{source} holds no model: give a folder of odpiece train export, or a weights file in it")
    try:
        index = json.loads((source / INDEX).read_text())
        entry = index["models"][index["default"]]
        weights, sha256 = source / Path(entry["file"]).name, entry["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DamagedError(f"{source / INDEX} is damaged: export the model again") from None
    if file_hash(weights) != sha256:
        raise DamagedError(f"{weights} is missing or damaged: export the model again")
    return weights


def _check(model):
    """Raise DamagedError for a weights file that is none, OptionError where a graph is missing."""
    if model.family != BANDS_FAMILY:
        parts = ("encoder", "decoder")
        if not {"architecture", "trained_tokens"} <= model.facts.keys():
            raise DamagedError(f"{model.path} does not say what network it is of: import it again")
    else:
        parts = [part + suffix for part in ("analysis", "gradient", LOOKS[0]) for suffix in ("", FINE_SUFFIX)]
        model.prior, model.static_tables  # noqa: B018
    for part in parts:
        graph = model.path.with_name(f"{model.path.stem}.{part}.onnx")
        if not graph.is_file():
            raise OptionError(f"{graph} is missing: give the weights file with its graphs beside it")


def _files(weights):
    """(path, name in the folder of a model) of a weights file, its graphs, what these have in integers, its tables."""
    yield weights, WEIGHTS
    for path in sorted(weights.parent.iterdir()):
        new = Path(WEIGHTS).stem + path.name.removeprefix(weights.stem)
        known = path.suffix == ".onnx" or new.startswith(TABLES) or path.name == f"{weights.stem}{INTEGERS}"
        if path.name.startswith(f"{weights.stem}.") and known:
            yield path, new
