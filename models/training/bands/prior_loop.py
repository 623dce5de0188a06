"""Training the float prior alone, the tokenizer frozen: cheap steps on the tokens that the codec will write."""

import copy

import torch

from odpiece.models.interface import PIECE, octave_weights
from odpiece.models.training.bands import objective
from odpiece.models.training.bands.optimizers import Optimizers, rate_factor
from odpiece.models.training.bands.tuning import tune
from odpiece.models.training.data import to_float
from odpiece.models.training.precision import autocast
from odpiece.models.training.runs import follow

RATE_BALANCE = 0.6  # bits are weighted by q^-RATE_BALANCE: about equally a quality


class PriorRun:
    """The prior in training, with its average and optimizers."""

    def __init__(self, tokenizer, prior, processes, seed):
        self.tokenizer, self.prior, self.processes = tokenizer, prior.train(), processes
        self.average = copy.deepcopy(prior)
        self.optimizers = Optimizers([self.prior])
        self.generator = torch.Generator().manual_seed(seed + processes.rank)
        self.step, self.seconds = 0, 0.0

    def update(self, batch, progress):
        """One step on a Batch; gives {"loss": weighted bits a pixel}."""
        bands, masks, octaves, quality = self._tokens(batch)
        with autocast(quality.device):
            bits = sum(b.sum((1, 2, 3)) for b in self.prior.bits(bands, masks, octaves))
        pixels = bands[0][0, 0].numel() * PIECE**2
        loss = (bits * quality.float() ** -RATE_BALANCE).mean() / pixels
        loss.backward()
        self.processes.average_gradients(self.optimizers.parameters)
        self.optimizers.step(rate_factor(self.step, progress))
        self.step += 1
        follow(self.average, self.prior, self.step)
        return {"loss": loss.item()}

    @torch.no_grad()
    def _tokens(self, batch):
        """(bands, masks, octaves, quality) of the crops of a Batch, each at a random quality."""
        pixels = to_float(batch.pixels, self.processes.device)
        quality = objective.draw_quality(batch.lowest, torch.as_tensor(batch.highest), self.generator).to(pixels.device)
        octaves = torch.as_tensor(octave_weights(quality.cpu()), device=pixels.device)
        steps = objective.band_steps(quality, pixels.device)
        with autocast(pixels.device):
            latents = objective.analyze(self.tokenizer, pixels, quality)
            masks = objective.kept_masks(quality[:, None, None].expand(-1, *latents[0].shape[2:]), len(latents))
            return objective.quantize(latents, masks, steps, self.prior, octaves), masks, octaves, quality

    def result(self):
        return {"prior": self.prior.state_dict(), "averaged_prior": self.average.state_dict()}

    def state_dict(self):
        return self.result() | {
            "optimizers": self.optimizers.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state):
        self.prior.load_state_dict(state["prior"])
        self.average.load_state_dict(state["averaged_prior"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]


def train_prior(options):
    """Train as the TuningOptions `options` say; writes the checkpoint with the new prior."""
    tune(options, PriorRun)
