"""Optimizers: Muon for the convolutions of the networks, Adam for everything else.

Muon (Jordan et al. 2024) orthogonalises each matrix's update. torch.optim.Muon takes matrices only,
so each convolution is given to it as a two-dimensional view that shares the weight's memory.
"""

import torch
from torch import nn

from odpiece.models.nets.bands.transform import Linear

MUON_RATE = 6e-4
MUON_ITERATIONS = 3  # of Newton-Schulz; five cost a third of a training step
ADAM_RATE = 3e-4
LINEAR_RATE = 4e-5  # the layers that start as principal components
WARMUP_STEPS = 500
COOLDOWN = 0.7  # the last part of a run, in which the rates fall linearly to zero


def _split(modules):
    """Parameters of `modules` as (convolution weights, linear-transform weights, the rest)."""
    muon, linear, rest = [], [], []
    for module in modules:
        for part in module.modules():
            own = dict(part.named_parameters(recurse=False))
            weight = own.pop("weight", None)
            rest += own.values()
            if weight is None:
                continue
            if isinstance(part, Linear):
                linear.append(weight)
            elif isinstance(part, nn.Conv2d):
                muon.append(weight)
            else:
                rest.append(weight)
    return muon, linear, rest


class Optimizers:
    """Steps all parameters of `modules`; `state_dict` and `load_state_dict` as in torch."""

    def __init__(self, modules):
        self.muon_weights, linear, rest = _split(modules)
        self.matrices = [nn.Parameter(w.detach().flatten(1)) for w in self.muon_weights]
        groups = [{"params": linear, "lr": LINEAR_RATE}, {"params": rest, "lr": ADAM_RATE}]
        self.all = [
            torch.optim.Adam(groups, betas=(0.9, 0.98), fused=True),
            torch.optim.Muon(
                self.matrices, lr=MUON_RATE, weight_decay=0.0, ns_steps=MUON_ITERATIONS, adjust_lr_fn="match_rms_adamw"
            ),
        ]
        self.rates = [[group["lr"] for group in o.param_groups] for o in self.all]
        self.parameters = self.muon_weights + linear + rest

    def step(self, factor):
        """One update with all rates multiplied by `factor`; clears the gradients."""
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for weight, matrix in zip(self.muon_weights, self.matrices):
            matrix.grad = weight.grad.flatten(1)
        for optimizer, rates in zip(self.all, self.rates):
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * factor
            optimizer.step()
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self):
        return [o.state_dict() for o in self.all]

    def load_state_dict(self, states):
        for optimizer, state in zip(self.all, states):
            optimizer.load_state_dict(state)


def rate_factor(step, progress):
    """Warm-up over steps, then constant, then linear to zero as `progress` goes from 1 - COOLDOWN to 1."""
    return min(1.0, (step + 1) / WARMUP_STEPS, max(0.0, 1.0 - progress) / COOLDOWN)
