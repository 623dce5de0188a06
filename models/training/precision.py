"""In which precision networks are trained: bfloat16 where the processor multiplies it, else float32."""

import torch


def autocast(device):
    """The context in which convolutions on torch device `device` run in the precision that is fast there."""
    device = torch.device(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or _cpu_has_bfloat16())


def _cpu_has_bfloat16():
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))
