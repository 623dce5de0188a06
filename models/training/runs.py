"""What training runs of both families share: how often they write, the average of their weights, how they save."""

import torch

LOG_SECONDS = 15
SAVE_SECONDS = 180
AVERAGE_DECAY = 0.9985  # of the exponential moving average of the weights


@torch.no_grad()
def follow(average, current, step):
    """Move the weights of the network `average` towards those of `current`: an exponential moving average."""
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1.0 - decay)


def save(state, path):
    """Write `state` with torch.save under a temporary name, then rename."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
