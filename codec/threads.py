"""Work on several segments at once: one Python thread a core, and one thread for the linear algebra in each."""

import os
from threading import Event, Lock, Thread

from threadpoolctl import ThreadpoolController

from odpiece.models.threads import available_cores, thread_limit


def map_in_threads(function, items):
    """The list of `function` of each item, in order; at the first error no further item is begun."""
    with ONE_BLAS_THREAD:
        if len(items) == 1:
            return [function(items[0])]
        from concurrent.futures import ThreadPoolExecutor  # takes long to load

        pool = ThreadPoolExecutor(min(len(items), thread_limit() or available_cores()))
        try:
            return list(pool.map(function, items))
        finally:
            pool.shutdown(cancel_futures=True)


class _OneBlasThread:
    """A context in which numpy's BLAS does not start threads of its own, which wait for one another.

    The setting belongs to the process: the first thread that enters makes it, the last that leaves undoes it. A thread
    of its own does both. threadpoolctl lets only the thread that made a setting undo it, and forgets about that thread
    afterwards, so that the program around can make settings of its own.
    """

    def __init__(self):
        self._lock, self._inside, self._limit, self._end = Lock(), 0, None, None

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                # found anew, since a library may have been loaded meanwhile: half a millisecond
                self._limit = ThreadpoolController().wrap(limits=1, user_api="blas")
                self._begun, self._end = Event(), Event()
                self._keeper = Thread(target=self._keep)
                self._keeper.start()
                self._begun.wait()
            self._inside += 1

    def __exit__(self, *error):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._end.set()
                self._keeper.join()

    def _keep(self):
        try:
            with self._limit:
                self._begun.set()
                self._end.wait()
        finally:
            self._begun.set()

    def begin_in_child(self):
        """In a forked process: the threads that are inside, or at the lock, are not in it."""
        self._lock = Lock()
        if self._inside:
            self._inside = 0
            self._limit.restore_original_limits()


ONE_BLAS_THREAD = _OneBlasThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ONE_BLAS_THREAD.begin_in_child)
