"""Training a One-D-Piece tokenizer in one stage, on pixels alone, with Tail Token Drop.

Of each picture a number of first tokens is drawn, evenly from 1 to 256, and only these are decoded; so the first tokens
learn to carry most. Runs by the clock, on one CPU or, started by torchrun, on every GPU. The run folder holds
`checkpoint.pt` (all state, written every few minutes and at the end), `log.jsonl` and, at the end,
`pytorch_model.bin`: the averaged weights under the published names.
"""

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from odpiece.formats.errors import OptionError
from odpiece.models.nets.one_d_piece.architecture import PRESETS, TOKENS, Architecture
from odpiece.models.nets.one_d_piece.network import OneDPiece
from odpiece.models.training.data import PictureCache, crop_batches, middle_squares
from odpiece.models.training.one_d_piece.start import initialise
from odpiece.models.training.processes import joined
from odpiece.models.training.runs import LOG_SECONDS, SAVE_SECONDS, check_run, follow, save

RATE = 0.05  # learning rate times width; at five times as much the decoder ignores its tokens within 100 steps
ENCODER_PART = 0.03  # of the rate: an encoder that learns as fast as the decoder gives all pictures the same tokens
WARMUP_STEPS = 20
WEIGHT_DECAY = 1e-4  # of the matrices of layers
ERROR_WEIGHT = 20.0  # of the mean squared error, pixels in [0, 1], beside the quantizer's losses
PREFIXES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
START_PICTURES = 200  # whose principal components the encoder begins with
SHOWN = 64  # pictures of the table at the end


@dataclass(frozen=True)
class OneDPieceOptions:
    """Options of one run. `minutes` counts all resumed parts; `batch` is that of one process.

    Without `drop` all tokens are always decoded. `overfit` above 0 trains on the middles of so many pictures alone.
    """

    data: Path
    out: Path
    minutes: float
    preset: str
    drop: bool = True
    overfit: int = 0
    resume: bool = False
    cache: Path | None = None
    batch: int = 8
    seed: int = 0


def _groups(network):
    """Parameters for AdamW, each group with its part of the rate. Weight decay is for matrices of layers, not for
    norms, biases, embeddings and tokens."""
    groups = {}
    for name, parameter in network.named_parameters():
        table = "embedding" in name or "token" in name
        decay = 0.0 if table or parameter.ndim < 2 else WEIGHT_DECAY
        part = ENCODER_PART if name.startswith(("encoder.", "latent_tokens", "quantize.")) else 1.0
        groups.setdefault((part, decay), []).append(parameter)
    return [{"params": g, "part": part, "weight_decay": decay} for (part, decay), g in groups.items()]


def draw_lengths(count, drop, generator):
    """int64 (count,): tokens to keep of each picture, evenly from 1 to 256, or all."""
    if not drop:
        return torch.full((count,), TOKENS)
    return torch.randint(1, TOKENS + 1, (count,), generator=generator)


class Run:
    """The state of a training run: network, its average, optimizer, clock."""

    def __init__(self, network, processes):
        self.network = network.to(processes.device, memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.network).requires_grad_(False)
        self.rate = RATE / network.arch.width
        self.optimizer = torch.optim.AdamW(_groups(self.network), lr=self.rate, betas=(0.9, 0.99))
        self.trained = processes.shared(self.network)
        self.step, self.seconds = 0, 0.0

    def update(self, images, lengths, progress):
        """One step on float pictures (B, 3, 256, 256) in [0, 1], keeping int64 `lengths` (B,). Gives the mean
        squared error."""
        with torch.autocast(images.device.type, torch.bfloat16):
            pictures, losses = self.trained(images, lengths)
        error = (pictures.float() - images).square().mean()
        (ERROR_WEIGHT * error + sum(losses)).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["part"] * rate_factor(self.step, progress)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        follow(self.averaged, self.network, self.step)
        return error.item()

    def state_dict(self):
        return {
            "architecture": self.network.arch.to_dict(),
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    @classmethod
    def from_state_dict(cls, state, processes):
        run = cls(OneDPiece(Architecture.from_dict(state["architecture"])), processes)
        run.network.load_state_dict(state["network"])
        run.averaged.load_state_dict(state["averaged"])
        run.optimizer.load_state_dict(state["optimizer"])
        run.step, run.seconds = state["step"], state["seconds"]
        return run


def rate_factor(step, progress):
    """Warm-up over steps, then half a cosine to zero as `progress` goes to 1."""
    return min(1.0, (step + 1) / WARMUP_STEPS) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def to_unit(pixels, device="cpu"):
    """uint8 (B, H, W, 3) array to a float tensor (B, 3, H, W) in [0, 1]."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2)
    return (x.float() / 255).contiguous(memory_format=torch.channels_last)


def _new_network(options):
    torch.manual_seed(options.seed)
    network = OneDPiece(PRESETS[options.preset])
    initialise(network, to_unit(middle_squares(options.data, options.overfit or START_PICTURES)))
    return network


def _batches(options, processes, seed):
    """Endless batches uint8 (batch, 256, 256, 3)."""
    if not options.overfit:
        with processes.first_before_others():
            cache = PictureCache(options.data, options.cache)
        yield from crop_batches(cache, options.batch, seed)
    pictures, rng = middle_squares(options.data, options.overfit), np.random.default_rng(seed)
    while True:
        yield pictures[rng.permutation(len(pictures))[: options.batch]]


@torch.no_grad()
def psnr_by_prefix(network, pictures):
    """{k: mean PSNR (dB)} of uint8 pictures (N, 256, 256, 3), decoded from their first k tokens, k in PREFIXES."""
    device, values = next(network.parameters()).device, {k: [] for k in PREFIXES}
    for picture in pictures:
        x = to_unit(picture[None], device)
        ids = network.encode(x)
        for k in PREFIXES:
            decoded = (network.decode(ids[:, :k]).clamp(0, 1) * 255).round() / 255
            values[k].append(-10 * math.log10(max((decoded - x).square().mean().item(), 1e-10)))
    return {k: float(np.mean(v)) for k, v in values.items()}


def load_averaged(path):
    """The averaged OneDPiece of a checkpoint file, in evaluation mode, on the CPU."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = OneDPiece(Architecture.from_dict(state["architecture"]))
    network.load_state_dict(state["averaged"])
    return network.eval()


def train_one_d_piece(options):
    """Train as `options` say, see OneDPieceOptions and the module's text.

    Gives {k: PSNR} by psnr_by_prefix on some of the training pictures, or None in all processes but the first.
    """
    checkpoint = options.out / "checkpoint.pt"
    check_run(checkpoint, options.resume)  # in every process, before the first can have written it
    torch.set_flush_denormal(True)
    options.out.mkdir(parents=True, exist_ok=True)
    with joined() as processes:
        if options.resume and checkpoint.is_file():
            run = _resumed(options, checkpoint, processes)
        else:
            run = Run(_new_network(options), processes)
        _train(run, options, processes, checkpoint)
    if not processes.first:
        return None
    save(run.state_dict(), checkpoint)
    save(run.averaged.state_dict(), options.out / "pytorch_model.bin")
    return psnr_by_prefix(run.averaged, middle_squares(options.data, options.overfit or SHOWN))


def _resumed(options, checkpoint, processes):
    state = torch.load(checkpoint, map_location=processes.device, weights_only=True)
    if Architecture.from_dict(state["architecture"]) != PRESETS[options.preset]:
        raise OptionError(f"{checkpoint} is not of the preset {options.preset}: give the one that the run began with")
    return Run.from_state_dict(state, processes)


def _train(run, options, processes, checkpoint):
    seed = (options.seed, processes.rank, run.step)  # other pictures and lengths in each process and resumed part
    batches, generator = _batches(options, processes, seed), torch.Generator()
    generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
    budget, started = options.minutes * 60, time.monotonic() - run.seconds
    logged = saved = run.seconds
    errors, bar = [], tqdm(total=round(budget), unit="s", desc="train", disable=None if processes.first else True)
    while run.seconds < budget:
        images = to_unit(next(batches), processes.device)
        lengths = draw_lengths(len(images), options.drop, generator).to(processes.device)
        errors.append(run.update(images, lengths, run.seconds / budget))
        run.seconds = processes.agree(time.monotonic() - started)  # all stop at the same step, with the same rates
        bar.update(round(run.seconds) - bar.n)
        if processes.first and run.seconds - logged >= LOG_SECONDS:
            _log(options.out, run, errors)
            errors, logged = [], run.seconds
        if processes.first and run.seconds - saved >= SAVE_SECONDS:
            save(run.state_dict(), checkpoint)
            saved = run.seconds
    bar.close()


def _log(out, run, errors):
    line = {"step": run.step, "minutes": round(run.seconds / 60, 2), "psnr": -10 * math.log10(np.mean(errors))}
    with open(out / "log.jsonl", "a") as log:
        log.write(json.dumps(line) + "\n")
