"""Memory of a picture of 200 megapixels: at most 1.5 GiB beyond its own bytes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from odpiece.formats.png import pack_png

SIDE = 14144
BOUND = 1536  # MiB
ODPIECE = str(Path(sys.executable).with_name("odpiece"))


def most_memory(*arguments):
    """MiB of resident memory that a command takes at most, without three bytes a pixel."""
    child = subprocess.Popen([ODPIECE, *arguments, "--quiet", "--max-pixels", str(SIDE**2)])
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    return (usage.ru_maxrss - 3 * SIDE**2 / 1024) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other units")
def test_a_very_large_picture_takes_bounded_memory(tmp_path, example):
    png, odp, out = (str(tmp_path / name) for name in ("large.png", "large.odp", "decoded.png"))
    times = -(-SIDE // len(example))
    Path(png).write_bytes(pack_png(np.tile(example, (times, times, 1))[:SIDE, :SIDE]))
    assert most_memory("encode", png, "-o", odp) < BOUND
    assert most_memory("decode", odp, "-o", out) < BOUND
