"""Work in threads: order, errors, and BLAS as it was before."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from odpiece.codec import threads
from odpiece.codec.threads import map_in_threads
from odpiece.models.interface import LOOKS
from odpiece.models.library import Model, load_model


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    np.ones((2, 2)) @ np.ones((2, 2))
    monkeypatch.setattr(threads, "available_cores", lambda: 2)


@pytest.mark.parametrize("count", [1, 2, 9])
def test_results_are_in_order_and_blas_has_one_thread(count):
    before = blas_threads()
    seen = map_in_threads(lambda i: (i, set(blas_threads())), range(count))
    assert seen == [(i, {1}) for i in range(count)]
    assert blas_threads() == before


def test_calls_inside_of_calls():
    before = blas_threads()
    inner = map_in_threads(lambda i: map_in_threads(lambda j: (i, j), range(2)) + blas_threads(), range(3))
    assert inner == [[(i, 0), (i, 1)] + [1] * len(before) for i in range(3)]
    assert blas_threads() == before


def test_blas_is_as_before_whichever_thread_leaves_last():
    """A second thread enters before the first leaves, and leaves after it, while the first one lives on."""
    before, entered, alone = blas_threads(), Event(), Event()

    def enter_second():
        entered.wait()
        with threads.ONE_BLAS_THREAD:
            alone.set()
            first_has_left.wait()
            return blas_threads()

    first_has_left = Event()
    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(enter_second)
        with threads.ONE_BLAS_THREAD:
            entered.set()
            alone.wait()
        first_has_left.set()
        assert second.result() == [1] * len(before)
        assert blas_threads() == before


def test_blas_is_as_before_after_first_uses_at_once():
    """In a process of its own: several threads of the program encode, and live on."""
    program = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from threadpoolctl import ThreadpoolController, threadpool_info
from odpiece.codec import encode

def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

pixels = np.random.default_rng(0).integers(0, 255, (130, 130, 3), dtype=np.uint8)
before = blas_threads()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda _: encode(pixels, 4, effort=0), range(8)))
    print(before == blas_threads())
    pool.submit(lambda: ThreadpoolController().limit(limits=1, user_api="blas")).result()
    print(set(blas_threads()) == {1})
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_the_first_error_ends_the_work(monkeypatch):
    """Items after the first wait until the pool has been told to cancel, so no more than its threads have begun."""
    before, begun, cancelled = blas_threads(), [], Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            cancelled.set()
            super().shutdown(wait=wait)

    def fail_first(i):
        begun.append(i)
        if i == 0:
            raise ValueError(i)
        cancelled.wait()

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor", Pool)
    with pytest.raises(ValueError, match="0"):
        map_in_threads(fail_first, range(500))
    assert len(begun) <= 3
    assert blas_threads() == before


def test_the_transform_gives_the_same_bits_on_any_number_of_threads(photo, monkeypatch):
    pixels, results, shared = np.ascontiguousarray(photo[:128, :192]), [], load_model()
    for count in (1, 2, 3):
        monkeypatch.setattr("odpiece.models.threads._limit", count)
        transform = Model(shared.name, shared.path, shared.sha256).transform  # with sessions of its own
        bands = transform.analyze(pixels)
        latents = [np.rint(z).astype(np.int32) for z in bands]
        error, gradients = transform.error(latents, 64, pixels, np.ones((128, 192), np.float32))
        pictures = [transform.synthesize(latents, 64, look) for look in LOOKS]
        results.append([np.asarray(a).tobytes() for a in (*bands, error, *gradients, *pictures)])
        options = transform._get("analysis").get_session_options()
        assert options.intra_op_num_threads == count
    assert results[0] == results[1] == results[2]
