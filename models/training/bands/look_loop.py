"""Training the natural look, everything else frozen: how strong the noise is that it adds to the faithful one.

The loss is the error of the contrast (training/bands/contrast.py), and FIDELITY times the logarithm of how many times
as large the squared error gets.
"""

import copy
import math
from dataclasses import replace

import torch

from odpiece.models.interface import GRAIN_SIZES, LOOKS, PIECE, octave_weights
from odpiece.models.nets.bands.grain import Grain
from odpiece.models.nets.bands.transform import FINE, PATCH
from odpiece.models.training.bands import objective
from odpiece.models.training.bands.colours import constrain_branches
from odpiece.models.training.bands.contrast import contrast_error
from odpiece.models.training.bands.optimizers import Optimizers, rate_factor
from odpiece.models.training.bands.tuning import tune
from odpiece.models.training.data import to_float
from odpiece.models.training.precision import autocast
from odpiece.models.training.runs import follow

HIDDEN = 64  # channels of the network that predicts deviations
FIDELITY = 0.3  # of the logarithm: a decibel counts 0.07
RATE = 10.0  # times those of joint training, for a network so small that begins with nothing
SMALLEST_ERROR = 1e-4  # mean squared, of pixels in [-1, 1]


class LookRun:
    """The grain of the natural look in training, with its average and the optimizers."""

    def __init__(self, tokenizer, prior, processes, seed):
        self.tokenizer, self.prior, self.processes = tokenizer, prior, processes
        self.arch = replace(tokenizer.arch, grain_hidden=tokenizer.arch.grain_hidden or HIDDEN)
        self.grain = copy.deepcopy(tokenizer.grain) or begun_grain(self.arch.grain_hidden, tokenizer.look)
        self.grain.to(processes.device)
        self.average = copy.deepcopy(self.grain)
        self.optimizers = Optimizers([self.grain])
        self.generator = torch.Generator().manual_seed(seed + processes.rank)
        self.step, self.seconds = 0, 0.0

    def update(self, batch, progress):
        """One step on a Batch; gives the contrast's error, and PSNR in dB of both looks."""
        pixels = to_float(batch.pixels, self.processes.device)
        features, plain, octaves, quality = self._faithful(pixels, batch)
        with autocast(pixels.device):
            decoded = plain + self.grain(features, octaves, self._noise(pixels)).float()
        contrast = contrast_error(decoded, pixels, quality).mean()
        faithful, natural = (torch.log10(_squares(x - pixels)).mean() for x in (plain, decoded))
        (contrast + FIDELITY * math.log(10) * (natural - faithful)).backward()
        self.processes.average_gradients(self.optimizers.parameters)
        self.optimizers.step(RATE * rate_factor(self.step, progress))
        constrain_branches(self.grain)
        self.step += 1
        follow(self.average, self.grain, self.step)
        psnr = {f"{name}_psnr": 10 * (math.log10(4) - x.item()) for name, x in zip(LOOKS, (faithful, natural))}
        return {"contrast": contrast.item()} | psnr

    @torch.no_grad()
    def _faithful(self, pixels, batch):
        """Of a Batch at random qualities: the features and pixels of the faithful look, octave weights, qualities."""
        quality = objective.draw_quality(batch.lowest, torch.as_tensor(batch.highest), self.generator).to(pixels.device)
        octaves = torch.as_tensor(octave_weights(quality.cpu()), device=pixels.device)
        steps = objective.band_steps(quality, pixels.device)
        lengths = quality[:, None, None].expand(-1, pixels.shape[2] // PIECE, pixels.shape[3] // PIECE)
        with autocast(pixels.device):
            latents = objective.analyze(self.tokenizer, pixels, quality)
            masks = objective.kept_masks(lengths, len(latents))
            tokens = objective.quantize(latents, masks, steps, self.prior, octaves)
            middle = self.tokenizer.synthesis(objective.dequantize(tokens, steps), octaves)
            features = self.tokenizer.look.features(middle, octaves)
            return features, self.tokenizer.look.pixels(features).float(), octaves, quality

    def _noise(self, pixels):
        batch, _, height, width = pixels.shape
        shapes = ((batch, 1, height // n, width // n) for n in GRAIN_SIZES)
        return [torch.randint(256, shape, generator=self.generator).to(pixels.device) for shape in shapes]

    def result(self):
        """The entries of the checkpoint with the averaged weights of the grain."""
        weights = {f"grain.{name}": tensor for name, tensor in self.average.state_dict().items()}
        whole = self.tokenizer.state_dict() | weights
        return {"tokenizer": whole, "averaged_tokenizer": whole, "architecture": self.arch.to_dict()}

    def state_dict(self):
        return {
            "grain": self.grain.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state):
        self.grain.load_state_dict(state["grain"])
        self.average.load_state_dict(state["average"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]


@torch.no_grad()
def begun_grain(hidden, look):
    """A Grain as training begins: with the channel scales of the last block of `look`."""
    grain = Grain(FINE, hidden, PATCH)
    grain.deviation.scale.copy_(look.fine[-1].scale)
    constrain_branches(grain)
    return grain


def _squares(error):
    """float (B,): the mean squares of errors (B, 3, H, W), at least SMALLEST_ERROR."""
    return error.square().mean((1, 2, 3)).clamp_min(SMALLEST_ERROR)


def train_look(options):
    """Train as the TuningOptions `options` say; writes the checkpoint with the natural look.

    High qualities have one look, which is not trained here.
    """
    tune(replace(options, fine=0.0), LookRun)
