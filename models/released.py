"""Released models: what released versions of odpiece made files with, named in weights/index.json for ever.

    released   {name: {"since": the release that had it first, "sha256": of its weights, "prior": of its prior's
               tensors, "looks": the looks that it had, "distribution": the one that holds it}}

An entry is never changed or taken out; further looks of an old model are files beside its weights.
"""

import hashlib
from dataclasses import dataclass

PACKAGE = "odpiece"  # the distribution of models that are in the package itself


@dataclass(frozen=True)
class Released:
    """An entry; hashes are SHA-256 in hex."""

    name: str
    since: str
    sha256: str
    prior: str
    looks: tuple[str, ...]
    distribution: str = PACKAGE

    def __post_init__(self):
        object.__setattr__(self, "looks", tuple(self.looks))


def released_in(index):
    """The Released models of what weights/index.json holds, oldest first."""
    return [Released(name, **entry) for name, entry in index.get("released", {}).items()]


def prior_hash(model):
    """The SHA-256, hex, of the names and bytes of all tensors that a Model's tokens are coded with."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.tensors("prior.", "static.").items()):
        digest.update(name.encode() + tensor.tobytes())
    return digest.hexdigest()
