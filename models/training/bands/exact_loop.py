"""Fitting the orthonormal matrices of high qualities, everything else frozen: to the least cost of what they give.

The cost is that of latents which are Gaussian within each region, by the energy that they have there: their bits, and
the error of rounding and of dropped tokens. So a latent that is large in few places costs little, and the matrices turn
edges and texture into few latents. No prior takes part, which would only know the latents as they were. What follows,
the restoration and the prior of high qualities, must be trained after this.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from odpiece.models.interface import BANDS
from odpiece.models.training.bands import objective
from odpiece.models.training.bands.colours import COUNT
from odpiece.models.training.bands.optimizers import rate_factor
from odpiece.models.training.bands.pca import mean_of_four, mean_of_patch
from odpiece.models.training.bands.tuning import tune
from odpiece.models.training.data import to_float

REGION = 32  # pixels along the side of a region in which a latent's energy is taken as even
RATE = 0.001  # of Adam, in radians
UNIFORM = 1 / 12  # the mean squared error of rounding, as a part of the squared step


class ExactRun:
    """The matrices in training: each as it was, then turned; what flat areas become stays."""

    def __init__(self, tokenizer, prior, processes, seed):
        self.tokenizer, self.exact, self.processes = tokenizer, tokenizer.exact, processes
        self.turns = nn.ParameterDict({name: torch.zeros_like(m) for name, m in self.exact.named_buffers()})
        self.optimizer = torch.optim.Adam(self.turns.parameters(), lr=RATE)
        self.generator = torch.Generator().manual_seed(seed + processes.rank)
        self.step, self.seconds = 0, 0.0

    def update(self, batch, progress):
        """One step on a Batch; gives {"loss": the mean logarithm of the cost a pixel}."""
        pixels = to_float(batch.pixels, self.processes.device)
        quality = objective.draw_quality(batch.lowest, torch.as_tensor(batch.highest), self.generator).to(pixels.device)
        latents = functional_call(self.exact, self.matrices(), (pixels,))
        loss = (local_cost(latents, quality) / pixels[0, 0].numel()).log().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.processes.average_gradients(list(self.turns.parameters()))
        self.optimizer.param_groups[0]["lr"] = RATE * rate_factor(self.step, progress)
        self.optimizer.step()
        self.step += 1
        return {"loss": loss.item()}

    def matrices(self):
        """The turned matrices by name."""
        return {name: _rotation(name, self.turns[name]) @ matrix for name, matrix in self.exact.named_buffers()}

    @torch.no_grad()
    def result(self):
        """The entries of the checkpoint with the turned matrices."""
        matrices = {f"exact.{name}": matrix for name, matrix in self.matrices().items()}
        whole = self.tokenizer.state_dict() | matrices
        return {"tokenizer": whole, "averaged_tokenizer": whole}

    def state_dict(self):
        return {
            "turns": self.turns.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state):
        self.turns.load_state_dict(state["turns"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]


def local_cost(latents, quality):
    """The Lagrangian D / step^2 + LAMBDA * R of each picture, (B,), at `quality` int (B,); one tensor a band."""
    masks = objective.kept_masks(quality[:, None, None].expand(-1, *latents[0].shape[2:]), len(latents))
    parts = zip(BANDS, latents, masks, objective.band_steps(quality, latents[0].device))
    bits, error = map(sum, zip(*(_bits_and_error(*part) for part in parts)))
    return objective.cost(error, bits, quality)


def _bits_and_error(band, latents, mask, step):
    """Both (B,), of one band's latents."""
    side = max(1, REGION // band.block)
    energy, kept = F.avg_pool2d(latents.square(), side), F.avg_pool2d(mask, side)
    rounding = UNIFORM * step**2
    bits = 0.5 * torch.log2(1 + energy / rounding) * kept
    error = energy * (1 - kept * energy / (energy + rounding))
    return tuple(side**2 * x.sum((1, 2, 3)) for x in (bits, error))


def _rotation(name, turn):
    """The orthonormal matrix (n, n) of any `turn` (n, n), which leaves alone what flat areas become."""
    flat = torch.eye(COUNT, len(turn))
    if name.startswith("lap"):
        flat = mean_of_patch() if name == "lap8" else mean_of_four(len(turn) // 4)[:COUNT]
    free = torch.eye(len(turn)).to(turn) - (flat.T @ flat).to(turn)
    return torch.matrix_exp(free @ (turn - turn.T) @ free)


def train_exact(options):
    """Train as the TuningOptions `options` say; writes the checkpoint with the new matrices."""
    tune(options, ExactRun)
