"""One training run in several processes, as `torchrun` starts them: one for each GPU, or on the CPU for tests."""

import os
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from odpiece.models.threads import available_cores

LONGEST_WAIT = timedelta(hours=12)  # the first process may have a whole data set to decode


class Processes:
    """The processes of a run, seen from one of them: number `rank` of `count`, with a `device` of its own.

    A run that torchrun did not start is a single process. `device` "auto" takes the GPU if there is one.
    """

    def __init__(self, device="auto"):
        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if device == "cuda" or device == "auto" and torch.cuda.is_available():
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        else:
            self.device = torch.device("cpu")

    @property
    def first(self):
        """Whether this one writes the files and the messages."""
        return self.rank == 0

    @property
    def loaders(self):
        """How many processes make ready the pictures of this one: a GPU waits for nobody, a CPU has better to do."""
        if self.device.type == "cpu":
            return 0
        return max(1, available_cores() // self.count - 1)

    def use_threads(self, count=0):
        """Compute on so many threads; 0: on one beside a GPU, so that the others serve the loaders, else on all."""
        if count or self.device.type == "cuda":
            torch.set_num_threads(count or 1)

    def shared(self, network):
        """`network` wrapped so that its gradients are the mean over all processes."""
        return DistributedDataParallel(network) if self.count > 1 else network

    @torch.no_grad()
    def average_gradients(self, parameters):
        """Make the gradients of `parameters` the mean over all processes, which give gradients to the same ones."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        for gradient, mean in zip(gradients, (flat / self.count).split([g.numel() for g in gradients])):
            gradient.copy_(mean.view_as(gradient))

    @contextmanager
    def first_before_others(self):
        """The others wait until the first process has gone through the context."""
        if self.count > 1 and not self.first:
            dist.barrier()
        yield
        if self.count > 1 and self.first:
            dist.barrier()

    def agree(self, value):
        """The first process's float `value`, in all of them."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return shared.item()


@contextmanager
def joined(device="auto"):
    """Processes, connected while the context lasts; `device` as of Processes."""
    processes = Processes(device)
    if processes.device.type == "cuda":
        torch.cuda.set_device(processes.device)
    if processes.count == 1:
        yield processes
        return
    dist.init_process_group("nccl" if processes.device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield processes
    finally:
        dist.destroy_process_group()
