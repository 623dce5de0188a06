"""In which precision networks are trained: bfloat16 where a CPU multiplies it, else float32.

A GPU takes float32, whose convolutions it rounds to TF32: no slower than bfloat16 here, see docs/decisions/training.md.
"""

import torch


def autocast(device):
    """The context in which convolutions on torch device `device` run in the precision that is fast there."""
    device = torch.device(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cpu" and _cpu_has_bfloat16())


def _cpu_has_bfloat16():
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))
