"""A kept model in several threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np

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
