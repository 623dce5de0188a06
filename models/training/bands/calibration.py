"""Which scales the convolutions of 8-bit integers get, see nets/bands/integers.py: those of least error.

Values have long tails, whose cutting costs less than what a wide scale rounds to zero.
"""

from collections import defaultdict

import numpy as np
import torch

from odpiece.models.interface import octave_weights, step_size
from odpiece.models.nets.bands.integers import LARGEST_BYTE, rounded

BLOCKS = "synthesis.middle.0", "look.middle"  # others lose too much, see docs/decisions/speed.md
QUALITIES = 16, 64, 256, 512
POWER = 1.5  # of errors: squares leave small values to the dead zone, 1 dulls drawn pictures
SHARES = np.geomspace(1, 1 / 8, 13)  # of the extremes, that scales are tried for


def calibrated(tokenizer, pictures):
    """What NAME.integers.json holds, of a Tokenizer with its channel scales (see `fold` in blocks.py).

    `pictures` are uint8 (H, W, 3), sides multiples of 64.
    """
    convs = {name: module for name, module in tokenizer.named_modules() if name.startswith(BLOCKS)}
    convs = {name: conv for name, conv in convs.items() if name.endswith((".expand", ".reduce"))}
    extremes = defaultdict(lambda: (0.0, 0.0))
    errors = defaultdict(lambda: np.zeros(len(SHARES)))

    def widen(place, x):
        low, high = extremes[place]
        extremes[place] = min(low, float(x.min())), max(high, float(x.max()))

    def measure(place, x):
        grids = [_grid(*extremes[place], share) for share in SHARES]
        errors[place] += [float((rounded(x, *grid) * grid[0] - x).abs().pow(POWER).sum()) for grid in grids]

    for look_at in (widen, measure):
        _run(tokenizer, convs, pictures, look_at)
    best = {place: _grid(*extremes[place], SHARES[np.argmin(found)]) for place, found in errors.items()}
    return {name: {side: best[name, side] for side in ("input", "output")} for name in convs}


def _grid(low, high, share):
    """[scale, zero point] of integers from share * low to share * high."""
    scale = np.float32(max((high - low) * share / LARGEST_BYTE, np.finfo(np.float32).tiny))
    return [float(scale), int(np.clip(np.rint(-low * share / scale), 0, LARGEST_BYTE))]


@torch.no_grad()
def _run(tokenizer, convs, pictures, look_at):
    """Call `look_at((name, "input" or "output"), values)` for each of `convs` as it decodes the pictures.

    Outputs are without bias.
    """

    def hook(name):
        def see(conv, inputs, output):
            look_at((name, "input"), inputs[0])
            look_at((name, "output"), output if conv.bias is None else output - conv.bias[:, None, None])

        return see

    handles = [conv.register_forward_hook(hook(name)) for name, conv in convs.items()]
    for pixels in pictures:
        latents = tokenizer.analyze(torch.tensor(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1)
        for q in QUALITIES:
            step = float(step_size(q))
            tokenizer.decode([(z / step).round() * step for z in latents], torch.from_numpy(octave_weights(q)[None]))
    for handle in handles:
        handle.remove()
