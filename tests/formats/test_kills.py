"""kill -9 at every moment of writing a file: the name holds the old bytes, or all the new ones, or is free."""

import json
import subprocess
import sys

import pytest

# Forks a child for each bytecode instruction of formats/files.py that a write passes, and kills it there.
PROGRAM = """
import errno, json, os, signal, sys
from odpiece.formats import files

folder, exists, force, links = json.loads(sys.argv[1])
NEW, OLD = b"new" * 30000, b"old"
out = os.path.join(folder, "out")


def no_links(*args):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def write_until(moment):
    def trace(frame, event, arg):
        nonlocal moment
        if frame.f_code.co_filename != files.__file__:
            return None
        frame.f_trace_opcodes = True
        moment -= event == "opcode"
        if moment == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    files.write_bytes(out, NEW, force)
    os._exit(0)


def state(name):
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    return {NEW: "new", OLD: "old"}.get(data, f"{len(data)} bytes")


if not links:
    os.link = no_links
seen, status, moment = [], 1, 0
while status:
    moment += 1
    if exists:
        with open(out, "wb") as file:
            file.write(OLD)
    child = os.fork()
    if child == 0:
        write_until(moment)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    names = sorted(os.listdir(folder))
    seen.append({name if name == "out" else os.path.splitext(name)[1]: state(name) for name in names})
    for name in names:
        os.unlink(os.path.join(folder, name))
print(json.dumps(seen))
"""


@pytest.mark.parametrize("exists, force, links", [(False, False, True), (False, False, False), (True, True, True)])
def test_a_kill_at_any_instruction_leaves_no_half_output(exists, force, links, tmp_path):
    arguments = json.dumps([str(tmp_path), exists, force, links])
    done = subprocess.run([sys.executable, "-c", PROGRAM, arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    seen = json.loads(done.stdout)
    before = "old" if exists else None
    assert {state.get("out") for state in seen} == {before, "new"}
    assert {name for state in seen for name in state} == {"out", ".partial"}
    # the file under the temporary name is seen without bytes, with all of them, and gone: all of the write was passed
    assert {state.get(".partial") for state in seen} >= {"0 bytes", "new", None}
    assert len(seen) > 100 and seen[-1] == {"out": "new"}
