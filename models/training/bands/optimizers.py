"""Optimizers: Muon for the convolutions of the networks, Adam for everything else.

Muon (Jordan et al. 2024) orthogonalises each matrix's update, here as in torch.optim.Muon with the rate adjusted
to the size of Adam's updates. Ours works in float32: torch's own works in bfloat16, which takes seconds a step on
processors without it.
"""

import torch
from torch import nn

from odpiece.models.nets.bands.blocks import Linear

MUON_RATE = 6e-4
MUON_ITERATIONS = 3  # of Newton-Schulz; five cost a third of a training step
ADAM_RATE = 3e-4
MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
ADAM_SIZE = 0.2  # root mean square of Adam's updates, in rates
LINEAR_RATE = 4e-5  # the layers that start as principal components
WARMUP_STEPS = 100
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


def orthogonalized(matrix, iterations=MUON_ITERATIONS):
    """`matrix` (m, n) with all singular values near one, by Newton-Schulz iterations on its smaller Gram matrix.

    X <- (a + b X X^T + c (X X^T)^2) X is a polynomial of the Gram matrix times X, so all but two products are of
    the smaller side alone.
    """
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / x.norm().clamp_min(1e-12)
    gram = x @ x.T
    total = torch.eye(len(gram), dtype=x.dtype, device=x.device)
    for _ in range(iterations):
        factor = NEWTON_SCHULZ[1] * gram + NEWTON_SCHULZ[2] * (gram @ gram)
        factor.diagonal().add_(NEWTON_SCHULZ[0])
        total = factor @ total
        gram = factor @ gram @ factor
    x = total @ x
    return x if matrix.shape[0] <= matrix.shape[1] else x.T


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalized as a matrix of outputs x inputs; parameters of any number of dimensions from two."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - MOMENTUM)
                update = orthogonalized(weight.grad.lerp(momentum, MOMENTUM).flatten(1))
                rate = group["lr"] * ADAM_SIZE * max(update.shape) ** 0.5
                weight.sub_(update.view_as(weight), alpha=rate)


class Optimizers:
    """Steps all parameters of `modules`; `state_dict` and `load_state_dict` as in torch."""

    def __init__(self, modules):
        muon, linear, rest = _split(modules)
        groups = [{"params": linear, "lr": LINEAR_RATE}, {"params": rest, "lr": ADAM_RATE}]
        self.all = [torch.optim.Adam(groups, betas=(0.9, 0.98), fused=True), Muon(muon, lr=MUON_RATE)]
        self.rates = [[group["lr"] for group in o.param_groups] for o in self.all]
        self.parameters = muon + linear + rest

    def step(self, factor):
        """One update with all rates multiplied by `factor`; clears the gradients."""
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
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
