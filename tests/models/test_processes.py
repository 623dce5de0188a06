"""Processes of one run: gradients are averaged over them."""

import os
import socket
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from odpiece.models.training.processes import Processes  # noqa: E402

SHAPES = ((3, 4), (), (2, 1, 5))
WORKER = f"""
import os, sys
from pathlib import Path
import torch
from odpiece.models.training.processes import joined

with joined("cpu") as processes:
    torch.manual_seed(processes.rank)
    parameters = [torch.zeros(shape, requires_grad=True) for shape in {SHAPES}]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    processes.average_gradients([torch.zeros(2, requires_grad=True), *parameters])  # the first has no gradient
    torch.save([p.grad for p in parameters], Path(sys.argv[1]) / f"process{{processes.rank}}.pt")
"""


def gradients(rank):
    """Of the process of this rank, before they are averaged."""
    torch.manual_seed(rank)
    return [torch.randn(shape) for shape in SHAPES]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")
def test_gradients_are_the_mean_over_two_processes(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    shared |= {"GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(tmp_path / "worker.py"), str(tmp_path)]
    running = [subprocess.Popen(command, env=os.environ | shared | {"RANK": str(i)}) for i in range(2)]
    try:
        assert [process.wait(timeout=600) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    for i in range(2):
        got = torch.load(tmp_path / f"process{i}.pt", weights_only=True)
        for mean, a, b in zip(got, gradients(0), gradients(1), strict=True):
            torch.testing.assert_close(mean, (a + b) / 2)


def test_a_single_process_keeps_its_gradients(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    parameter = torch.zeros(3, requires_grad=True)
    parameter.grad = torch.tensor([1.0, -2.0, 3.0])
    Processes("cpu").average_gradients([parameter])
    assert parameter.grad.tolist() == [1.0, -2.0, 3.0]
