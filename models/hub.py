"""Published One-D-Piece weights on the Hugging Face Hub, and how to get them.

A pin is the SHA-256 of the file: what arrives is used only if it is that. The pins of these files are not known yet, so
whoever fetches must give one.
"""

import os
from dataclasses import dataclass

from odpiece.formats.errors import DamagedError, MissingExtraError, OptionError, OutputError
from odpiece.models.user_models import file_hash

TRAINED_TOKENS = 255  # of the published networks: their training drew lengths below 256, never 256 itself


@dataclass(frozen=True)
class Published:
    """A file of weights on the hub: its repository, revision and name there, the network's size, its SHA-256 in hex."""

    repository: str
    size: str
    sha256: str | None = None
    revision: str = "main"
    file: str = "pytorch_model.bin"


PUBLISHED = {
    f"one-d-piece-{size}": Published(f"turing-motors/One-D-Piece-{size.upper()}-256", size) for size in ("s", "b", "l")
}


def published(name):
    """The Published file of this name. Raises OptionError for an unknown one."""
    if name not in PUBLISHED:
        raise OptionError(f"{name} is not published, give one of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def download(entry, sha256, revision, folder):
    """The path of the Published file `entry`, downloaded into `folder` and checked against `sha256` (hex).

    The hub is $HF_ENDPOINT where that is set. Raises MissingExtraError, OutputError where it cannot be
    reached or has no such file, DamagedError where the file is another.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise MissingExtraError("fetching needs huggingface_hub: pip install 'odpiece[hub]'") from None
    where = {"endpoint": os.environ.get("HF_ENDPOINT"), "revision": revision, "local_dir": folder}
    try:
        path = hf_hub_download(entry.repository, entry.file, **where)
    except Exception as error:  # of many kinds: network, server, disk
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise OutputError(f"cannot fetch {entry.repository}: {reason}") from None
    if (found := file_hash(path)) != sha256.lower():
        raise DamagedError(f"{entry.repository} gave a file of SHA-256 {found}, not the one asked for: nothing is kept")
    return path
