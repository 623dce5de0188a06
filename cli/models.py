"""odpiece models: which models there are, and One-D-Piece weights made into models."""

import hashlib
import json
import re
from pathlib import Path

import click

from odpiece.formats.errors import DamagedError, MissingExtraError, OptionError
from odpiece.formats.files import STANDARD, check_output, make_folder, read_bytes, write_bytes

SIZES = ("s", "b", "l", "tiny")


@click.group()
def models():
    """List, check, add and remove models; import and fetch One-D-Piece weights."""


json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each model, one a line.")


@models.command("list")
@json_option
def list_models(as_json):
    """List the models: name, family, size, and the fingerprint that .odp files know them by."""
    from odpiece.models.library import companion_models, packaged_models, user_models

    rows = [(model, "in the package") for model in packaged_models()]
    rows += [(model, "in a companion") for model in companion_models()]
    rows += [(model, "of the user") for model in user_models()]
    if as_json:
        for model, where in rows:
            facts = {"name": model.name, "family": model.family, "bytes": model.path.stat().st_size}
            facts |= {"fingerprint": model.fingerprint.hex(), "sha256": model.sha256, "path": str(model.path)}
            _print(json.dumps(facts | {"packaged": where == "in the package"}))
        return
    width = max(len(model.name) for model, _ in rows)
    for model, where in rows:
        size = f"{model.path.stat().st_size / 1e6:.1f} MB"
        _print(f"{model.name:<{width}}  {model.family:<11}  {size:>9}  {model.fingerprint.hex()}  {where}")


@models.command()
@click.argument("name", metavar="NAME|PATH")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(name, as_json):
    """Describe the model NAME, or one by the path of its folder or weights file."""
    from odpiece.models.interface import ONE_D_PIECE
    from odpiece.models.library import load_model

    model = load_model(name)
    facts = {"name": model.name, "family": model.family, "path": str(model.path), "sha256": model.sha256}
    if model.family == ONE_D_PIECE:
        tables = [found.fingerprint.hex() for found in model.tile_tables]
        facts |= {name: model.facts[name] for name in ("architecture", "trained_tokens")} | {"tables": tables}
    text = json.dumps(facts) if as_json else "\n".join(f"{key:<15}{_shown(value)}" for key, value in facts.items())
    _print(text)


def _shown(value):
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return (", ".join(value) or "none") if isinstance(value, list) else value


def _print(line):
    write_bytes(STANDARD, f"{line}\n".encode())


@models.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@json_option
def verify(names, as_json):
    """Check that the files of the models NAME (default: all) are what they were when they were made."""
    from odpiece.models.library import load_model, packaged_models, verify_model
    from odpiece.models.user_models import user_folders

    everything = [model.name for model in packaged_models()] + [folder.name for folder in user_folders()]
    damaged = []
    for name in names or everything:
        try:
            verify_model(load_model(name))
            _print(json.dumps({"name": name, "intact": True}) if as_json else f"{name}: intact")
        except DamagedError as error:
            facts = {"name": name, "intact": False, "error": str(error)}
            _print(json.dumps(facts) if as_json else f"{name}: {error}")
            damaged.append(name)
    if damaged:
        raise DamagedError(f"damaged: {', '.join(damaged)}")


@models.command()
@click.argument("source", metavar="FILE|FOLDER", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", "name", metavar="NAME", help="Name of the model. [default: the one it has there]")
@click.option("-f", "--force", is_flag=True, help="Replace an existing model of this name.")
def add(source, name, force):
    """Install a model: the folder that `train export` wrote, a weights file in it, or the folder of a user's model."""
    from odpiece.models.adding import add_model

    _say_added(add_model(source, name, force))


@models.command()
@click.argument("name")
def remove(name):
    """Remove the user's model NAME with its tables. Files made with it can no longer be decoded."""
    from odpiece.models.user_models import remove_model

    remove_model(name)
    click.echo(f"removed {name}", err=True)


@models.command()
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of a web page's models; its index.json is made, or completed.",
)
@click.option("-f", "--force", is_flag=True, help="Replace an existing preview.")
def preview(name, folder, force):
    """Write what web pages need of the model NAME (default: that of the package) for files of few tokens.

    docs/web.md says how a page uses it. It takes a minute.
    """
    from odpiece.models.library import load_model
    from odpiece.models.preview import make_preview

    model = load_model(name)
    path, index = folder / f"{model.name}.preview", folder / "index.json"
    check_output(path, force)
    facts, data = _read_index(index), make_preview(model)
    make_folder(folder)
    write_bytes(path, data, force)
    entry = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest()}
    facts["models"][model.name] = {"file": model.path.name, "sha256": model.sha256, "preview": entry}
    write_bytes(index, json.dumps(facts, indent=2).encode() + b"\n", force=True)
    click.echo(f"{path}: {len(data)} bytes", err=True)


def _read_index(path):
    """The dict of an index.json with the key "models", which need not be there yet. Raises OptionError."""
    if not path.is_file():
        return {"models": {}}
    try:
        facts = json.loads(read_bytes(path))
        facts["models"].items()
    except (ValueError, TypeError, LookupError, AttributeError):
        raise OptionError(f"{path} is no index of models: give another folder") from None
    return facts


@models.command("import-one-d-piece")
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", type=click.Choice(SIZES), required=True, help="Size of the network.")
@click.option("-o", "--output", "name", required=True, metavar="NAME", help="Name of the model.")
@click.option(
    "--trained-tokens",
    type=click.IntRange(1, 256),
    default=255,
    show_default=True,
    help="Tokens of a tile that the decoder was trained to use: 255 for the published weights.",
)
@click.option("-f", "--force", is_flag=True, help="Replace an existing model of this name.")
def import_one_d_piece(checkpoint, size, name, trained_tokens, force):
    """Make CHECKPOINT, a One-D-Piece pytorch_model.bin, a model of the user (needs odpiece[torch])."""
    from odpiece.models.user_models import check_name

    check_name(name, force)
    _import(checkpoint, size, name, trained_tokens, force)


def _import(checkpoint, size, name, trained_tokens, force):
    try:
        from odpiece.models.nets.one_d_piece.architecture import PRESETS
        from odpiece.models.training.one_d_piece.published import load_checkpoint, write_one_d_piece
    except ImportError as error:
        raise MissingExtraError(f"importing needs {error.name}: pip install 'odpiece[torch]'") from None
    from odpiece.models.library import load_model, packaged_models
    from odpiece.models.user_models import new_model

    if name in [model.name for model in packaged_models()]:
        raise OptionError(f"{name} is a model of the package: give another name")
    tensors = load_checkpoint(checkpoint, PRESETS[size])
    with new_model(name, force) as folder:
        write_one_d_piece(folder, PRESETS[size], tensors, trained_tokens)
    _say_added(load_model(name))


def _say_added(model):
    click.echo(f"{model.name}: {model.path.stat().st_size / 1e6:.1f} MB, SHA-256 {model.sha256}", err=True)


@models.command()
@click.argument("name")
@click.option("--sha256", metavar="HEX", help="SHA-256 of the published file, as its page on the hub shows it.")
@click.option("--revision", metavar="REV", help="Commit, tag or branch of the repository.  [default: main]")
@click.option("-f", "--force", is_flag=True, help="Replace an existing model of this name.")
def fetch(name, sha256, revision, force):
    """Download the published weights NAME, one-d-piece-s, -b or -l, and import them (needs odpiece[hub,torch])."""
    from odpiece.models.hub import TRAINED_TOKENS, download, published
    from odpiece.models.user_models import check_name, scratch_folder

    entry, sha256 = published(name), sha256 or published(name).sha256
    if sha256 is None:
        page = f"{entry.repository}/blob/{revision or entry.revision}/{entry.file}"
        raise OptionError(f"the SHA-256 of {name} is not known here: give --sha256, which {page} shows")
    if not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise OptionError(f"{sha256} is no SHA-256, give 64 hexadecimal digits")
    check_name(name, force)
    with scratch_folder() as folder:
        path = download(entry, sha256, revision or entry.revision, folder)
        _import(path, entry.size, name, TRAINED_TOKENS, force)
