"""odpiece doctor: what is installed, and whether it works."""

import json
import os
import platform
import re
import shutil
import subprocess
from importlib import import_module

import click

from odpiece.formats.errors import DeviceError, MissingExtraError, OdpieceError, told
from odpiece.formats.files import STANDARD, write_bytes
from odpiece.models.backends import BACKENDS

EXTRAS = ("torch", "compare", "tasks", "hub", "remote", "ray")  # those that users install
MODULES = {"pillow": "PIL"}  # where it is not the distribution's name
NVIDIA_SMI = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
SECONDS = 20  # that nvidia-smi may take


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json):
    """Say which versions, devices and models are there, and test that each backend codes as it should.

    Fails if something is wrong; what is optional and not installed is not wrong.
    """
    facts, faults = _facts()
    if as_json:
        lines = [json.dumps(facts | {"faults": faults})]
    else:
        lines = [*_lines(facts), *(f"WRONG: {fault}" for fault in faults), *["all is well"] * (not faults)]
    write_bytes(STANDARD, "".join(line + "\n" for line in lines).encode())
    if faults:
        raise OdpieceError(f"{len(faults)} of the checks failed, the first of them: {faults[0]}")


def _facts():
    """({heading: value or {name: text}}, the list of what is wrong)."""
    from importlib import metadata  # here and below: half of the time that odpiece --help takes

    faults = []

    def attempt(name, function, *arguments):
        """What a check gives; in place of an error, of whatever kind, its text, which is a fault."""
        try:
            return function(*arguments)
        except Exception as error:
            faults.append(f"{name}: {told(error)}")
            return told(error)

    facts = {
        "odpiece": metadata.version("odpiece"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {name: attempt(name, _version, name, extra) for name, extra in _requirements()},
        "providers": attempt("onnxruntime", _providers),
        "cuda devices": attempt("cuda devices", _devices),
    }
    models = attempt("models", _models)
    known = isinstance(models, list)
    facts["models"] = {model.name: attempt(model.name, _verified, model) for model in models} if known else models
    facts["other released models"] = attempt("other released models", _missing_models)
    facts["self-test"] = _self_test(attempt)
    return facts, faults


def _requirements():
    """(distribution, the extra that asks for it, or None) of all packages that odpiece can use."""
    from importlib import metadata

    found = {}
    for need in metadata.requires("odpiece"):
        extra = re.search(r"extra == ['\"](\w+)", need)
        if not extra or extra[1] in EXTRAS:
            found.setdefault(re.match(r"[\w.-]+", need)[0], extra and extra[1])
    return found.items()


def _version(name, extra):
    """The version of a distribution that can be imported; of those that single features need, that is there."""
    from importlib import metadata

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        if extra:
            return f"not installed: pip install 'odpiece[{extra}]'"
        if name == "onnxruntime":  # onnxruntime-gpu takes its place
            return import_module(name).__version__
        raise OdpieceError(f"not installed: pip install {name}") from None
    if extra in (None, "torch"):
        import_module(MODULES.get(name, name))
    return version


def _providers():
    from odpiece.models.onnx_backend import providers

    return providers()


def _devices():
    """{name: memory} of the CUDA devices, as PyTorch or, without it, the driver's program says."""
    try:
        from odpiece.models.torch_backend import cuda_devices

        found = {f"{i} {name}": f"{memory / 2**20:.0f} MiB" for i, (name, memory) in enumerate(cuda_devices())}
    except (ImportError, OSError):
        found = {}
    if not found and shutil.which(NVIDIA_SMI[0]):
        said = subprocess.run(NVIDIA_SMI, capture_output=True, text=True, timeout=SECONDS)
        if said.returncode:
            return f"nvidia-smi fails: {' '.join((said.stdout + said.stderr).split()) or said.returncode}"
        found = {f"{i} {line.split(', ')[0]}": line.split(", ")[-1] for i, line in enumerate(said.stdout.splitlines())}
    return found or "none"


def _models():
    from odpiece.models.library import companion_models, packaged_models, user_models

    return packaged_models() + companion_models() + user_models()


def _missing_models():
    """{name: text} of the released models that are not installed, without which some files cannot be opened."""
    from odpiece.models.library import companion_models, packaged_models, released_models

    installed = {model.sha256 for model in packaged_models() + companion_models()}
    missing = [model for model in released_models() if model.sha256 not in installed]
    return {model.name: f"not installed: pip install {model.distribution}" for model in missing} or "none"


def _verified(model):
    from odpiece.models.library import verify_model

    verify_model(model)
    return model.sha256


def _self_test(attempt):
    """{backend and device: text}; onnx on the CPU comes first, the others are compared with it."""
    reference, told = [], {}

    def test(backend, device):
        from odpiece.codec.self_test import check_pixels, self_test
        from odpiece.models.library import load_model

        try:
            model = load_model(backend=backend, device=device)
        except (MissingExtraError, DeviceError) as error:
            return f"not available: {error}"
        outcome = self_test(model)
        reference.append(outcome)
        levels = check_pixels(outcome, reference[0])
        return f"works: {outcome.changed} of {outcome.latents} latents and at most {levels} grey levels differ"

    for backend in BACKENDS:
        for device in ("cpu", "cuda"):
            name = f"{backend} {device}"
            told[name] = attempt(name, test, backend, device)
    return told


def _lines(facts):
    """The facts as text, a heading or a name each line."""
    for heading, value in facts.items():
        if isinstance(value, dict):
            yield heading
            yield from (f"  {name:<34}{text}" for name, text in value.items())
        else:
            yield f"{heading:<36}{', '.join(value) if isinstance(value, list) else value}"
