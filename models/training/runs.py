"""What training runs of both families share: how often they write, the average of their weights, how they save."""

import torch

from odpiece.formats.errors import OutputExistsError

LOG_SECONDS = 15
SAVE_SECONDS = 180
AVERAGE_DECAY = 0.9985  # of the exponential moving average of the weights


@torch.no_grad()
def follow(average, current, step):
    """Move the weights of the network `average` towards those of `current`: an exponential moving average."""
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1.0 - decay)


def check_free(path, advice="give another --out, or remove it"):
    """Raise OutputExistsError where the file `path` exists: what took hours to train is never overwritten."""
    if path.exists():
        raise OutputExistsError(f"{path} exists: {advice}")


def check_run(checkpoint, resume):
    """Raise OutputExistsError where a run has left the file `checkpoint` and it is not to `resume` from there."""
    if not resume:
        check_free(checkpoint, "give --resume to go on from it, or another --out")


def save(state, path):
    """Write `state` with torch.save under a temporary name, then rename."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
