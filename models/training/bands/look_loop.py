"""Training the natural look, everything else frozen: how the tokens of the faithful codec turn into pixels.

The loss is ST-LPIPS by the trunk "alex", of windows that are scaled, turned and mirrored at random lest it be
fooled by patterns (as E-LPIPS, Kettunen et al. 2019); FIDELITY times the logarithm of the squared error of each
small region, so that a decibel weighs the same at every quality, in the sky and in the grass; and the share of
that error which repeats from block to block, and the seams of patches: the patterns that a convolutional decoder
paints where it knows nothing, to please the metric instead of the eye.
"""

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F

from odpiece.models.interface import GRAIN, PIECE, octave_weights
from odpiece.models.nets.bands.transform import FAITHFUL, NATURAL, PATCH, Look
from odpiece.models.nets.st_lpips import StLpips
from odpiece.models.training.bands import objective
from odpiece.models.training.bands.colours import constrain_look
from odpiece.models.training.bands.optimizers import Optimizers, rate_factor
from odpiece.models.training.bands.tuning import tune
from odpiece.models.training.data import to_float
from odpiece.models.training.precision import autocast
from odpiece.models.training.runs import follow

FIDELITY = 0.3  # of the logarithm of the squared error: a decibel weighs as much as 0.07 of ST-LPIPS
SMALLEST_ERROR = 1e-4  # added to the mean squared error, of pixels in [-1, 1]
REPETITION = 16.0  # of the squared error that repeats, as a part of all of it
SEAMS = 0.3  # of what the steps at the borders of patches are larger than elsewhere, as a logarithm
PERIODS, REPEATS = (8, 16), 4  # pixels of a block, and blocks along the side of a region in which it may repeat
WINDOW = 144  # pixels along the side of a window, after scaling
LARGEST_SCALE = 1.6  # of a window, and the smallest is its inverse
FINE_TUNING = 0.7  # of the rates of joint training


class LookRun:
    """The natural look in training, with its average, the metric and the optimizers."""

    def __init__(self, tokenizer, prior, processes, seed):
        self.tokenizer, self.prior, self.processes = tokenizer, prior, processes
        self.look = Look(tokenizer.arch, grain=True).to(processes.device)
        start = tokenizer.looks[NATURAL if NATURAL in tokenizer.looks else FAITHFUL]
        self.look.load_state_dict(start.state_dict(), strict=False)
        self.average = copy.deepcopy(self.look)
        self.metric = StLpips("alex").to(processes.device, memory_format=torch.channels_last)
        self.optimizers = Optimizers([self.look])
        self.generator = torch.Generator().manual_seed(seed + processes.rank)
        self.step, self.seconds = 0, 0.0

    def update(self, batch, progress):
        """One step on a Batch; gives ST-LPIPS, PSNR in dB, what repeats, seams."""
        pixels = to_float(batch.pixels, self.processes.device)
        features, octaves = self._features(pixels, batch)
        with autocast(pixels.device):
            decoded = self.look(features, octaves, self._grain(pixels)).float()
        parts = [repetition(decoded - pixels, period) for period in PERIODS]
        repeated = sum((pattern / (error.detach() + SMALLEST_ERROR)).mean() for error, pattern in parts)
        fidelity = torch.log(parts[0][0] + SMALLEST_ERROR).mean()
        distance = self._distance(pixels, decoded)
        seams = visible_seams(decoded)
        loss = distance + FIDELITY * (fidelity + REPETITION * repeated) + SEAMS * seams
        loss.backward()
        self.processes.average_gradients(self.optimizers.parameters)
        self.optimizers.step(FINE_TUNING * rate_factor(self.step, progress))
        constrain_look(self.look)
        self.step += 1
        follow(self.average, self.look, self.step)
        error = (decoded.detach() - pixels).square().mean((1, 2, 3))
        psnr = 10 * torch.log10(4 / error.clamp_min(SMALLEST_ERROR)).mean()
        values = {"st_lpips": distance, "psnr": psnr, "repeated": repeated, "seams": seams}
        return {name: value.item() for name, value in values.items()}

    @torch.no_grad()
    def _features(self, pixels, batch):
        """What a look takes of a Batch at random qualities, but the noise, from the frozen synthesis."""
        quality = objective.draw_quality(batch.lowest, torch.as_tensor(batch.highest), self.generator).to(pixels.device)
        octaves = torch.as_tensor(octave_weights(quality.cpu()), device=pixels.device)
        steps = objective.band_steps(quality, pixels.device)
        lengths = quality[:, None, None].expand(-1, pixels.shape[2] // PIECE, pixels.shape[3] // PIECE)
        with autocast(pixels.device):
            latents = objective.analyze(self.tokenizer, pixels, quality)
            masks = objective.kept_masks(lengths, len(latents))
            tokens = objective.quantize(latents, masks, steps, self.prior, octaves)
            decoded = objective.dequantize(tokens, steps)
            return self.tokenizer.synthesis(decoded, octaves), octaves

    def _grain(self, pixels):
        batch, _, height, width = pixels.shape
        shapes = ((batch, GRAIN, height // n, width // n) for n in (16, 8))
        return [(2 * torch.rand(shape, generator=self.generator) - 1).to(pixels.device) for shape in shapes]

    def _distance(self, pixels, decoded):
        """Mean ST-LPIPS of a random window of both, scaled, turned and mirrored alike."""
        view = self._view(pixels.shape[2])
        with autocast(pixels.device):
            with torch.no_grad():
                target = self.metric.features(view(pixels))
            return self.metric.distance(target, self.metric.features(view(decoded))).mean()

    def _view(self, side):
        draw = torch.rand(3, generator=self.generator)
        size = min(side, round(WINDOW * LARGEST_SCALE ** (2 * draw[0].item() - 1)))
        top, left = (int(u * (side - size + 1)) for u in draw[1:].tolist())
        turned, mirrored = torch.randint(2, (2,), generator=self.generator).tolist()

        def view(x):
            x = x[:, :, top : top + size, left : left + size]
            x = F.interpolate(x, size=(WINDOW, WINDOW), mode="bilinear", antialias=True, align_corners=False)
            x = x.transpose(2, 3) if turned else x
            return (x.flip(2) if mirrored else x).contiguous(memory_format=torch.channels_last)

        return view

    def result(self):
        """The entries of the checkpoint with the natural look's averaged weights."""
        weights = {f"looks.{NATURAL}.{name}": tensor for name, tensor in self.average.state_dict().items()}
        whole = self.tokenizer.state_dict() | weights
        arch = replace(self.tokenizer.arch, looks=(FAITHFUL, NATURAL)).to_dict()
        return {"tokenizer": whole, "averaged_tokenizer": whole, "architecture": arch}

    def state_dict(self):
        return {
            "look": self.look.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state):
        self.look.load_state_dict(state["look"])
        self.average.load_state_dict(state["average"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]


def repetition(residual, period):
    """The mean square of `residual` (B, 3, H, W), and of what of it is the same in all blocks of a region.

    Both float (B, rows, columns), of regions of REPEATS x REPEATS blocks of `period` pixels; the mean of a region
    is no pattern and not counted in the second.
    """
    batch, channels, height, width = residual.shape
    side = period * REPEATS
    blocks = residual.reshape(batch, channels, height // side, REPEATS, period, width // side, REPEATS, period)
    pattern = blocks.mean((3, 6))
    pattern = pattern - pattern.mean((3, 5), keepdim=True)
    return blocks.square().mean((1, 3, 4, 6, 7)), pattern.square().mean((1, 3, 5))


def visible_seams(decoded):
    """How much larger steps between pixels are at the borders of patches than within, 0 if they are not; a scalar.

    The logarithm of the ratio of mean squared steps, of regions of 4 x 4 patches of float `decoded` (B, 3, H, W).
    """
    total = 0.0
    for x in (decoded, decoded.transpose(2, 3)):
        steps = F.pad((x[..., 1:] - x[..., :-1]).square().mean(1), (1, 0))
        batch, height, width = steps.shape
        side = PATCH * REPEATS
        means = steps.reshape(batch, height // side, side, width // side, REPEATS, PATCH).mean((2, 4))
        ratio = (means[..., 0] + SMALLEST_ERROR) / (means[..., 1:].mean(-1) + SMALLEST_ERROR)
        total = total + F.relu(torch.log(ratio)).mean() / 2
    return total


def train_look(options):
    """Train as the TuningOptions `options` say; writes the checkpoint with the natural look.

    High qualities have one look, which is not trained here.
    """
    tune(replace(options, fine=0.0), LookRun)
