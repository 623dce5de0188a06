"""A kept model in several threads, and in forked processes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import numpy as np
import pytest

from odpiece.codec.threads import ONE_BLAS_THREAD
from odpiece.models import onnx_backend
from odpiece.models.library import load_model

THREADS = 4


def test_sessions_are_made_once_and_give_the_same_in_all_threads(photo, monkeypatch):
    made, start = [], Barrier(THREADS)
    original = onnx_backend._session
    monkeypatch.setattr(onnx_backend, "_session", lambda graph, *rest: (made.append(graph), original(graph, *rest))[1])
    transform = onnx_backend.OnnxTransform(load_model().tensors, load_model()._graph)

    def work(number):
        start.wait()
        latents = transform.analyze(photo)
        return latents, transform.synthesize(latents, 64, "faithful")

    with ThreadPoolExecutor(THREADS) as pool:
        first, *others = pool.map(work, range(THREADS))
    assert len(made) == 2
    for latents, pixels in others:
        np.testing.assert_array_equal(pixels, first[1])
        assert all(np.array_equal(a, b) for a, b in zip(latents, first[0], strict=True))


FORKED = """
import os, sys
import numpy as np
from odpiece.codec import decode, encode, load_model

model = load_model(backend=sys.argv[1])
pixels = np.tile(np.arange(200, dtype=np.uint8)[:, None], (1, 200))
first = encode(pixels, q=4, model=model)
decode(first, model=model)
for use in (False, True):
    child = os.fork()
    if child == 0:
        same = not use or (decode(encode(pixels, q=4, model=model), model=model) == decode(first, model=model)).all()
        sys.exit(7 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print(encode(pixels, q=4, model=model) == first)
"""


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_forked_child_of_a_program_that_has_coded_codes_and_ends(backend):
    """In the ordinary way, by sys.exit, as prefork servers' workers do; where it cannot, this never ends."""
    pytest.importorskip({"onnx": "onnxruntime", "torch": "torch"}[backend])
    done = subprocess.run([sys.executable, "-c", FORKED, backend], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def in_child(function):
    """Whether `function` gives true in a forked child."""
    child = os.fork()
    if child == 0:
        os._exit(0 if function() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="warns of forks beside threads")
def test_locks_that_other_threads_hold_are_free_in_a_forked_child(photo):
    transform = onnx_backend.OnnxTransform(load_model().tensors, load_model()._graph)
    inside, leave = Event(), Event()

    def hold():
        with ONE_BLAS_THREAD, transform._locks["analysis", False]:
            inside.set()
            leave.wait()

    def free():
        with ONE_BLAS_THREAD:
            return ONE_BLAS_THREAD._inside == 1 and transform._locks["analysis", False].acquire(blocking=False)

    thread = Thread(target=hold)
    thread.start()
    inside.wait()
    try:
        assert in_child(free) and not transform._locks["analysis", False].acquire(blocking=False)
    finally:
        leave.set()
        thread.join()
