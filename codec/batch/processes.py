"""Several processes on one machine, which share its cores and survive one another."""

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import Process, connection, get_context, parent_process
from threading import Thread, main_thread
from typing import Any

from odpiece.codec.batch.work import Record, do
from odpiece.formats.errors import OdpieceError
from odpiece.models.threads import available_cores, limit_threads

GRACE = 0.5  # seconds that a process has to remove what it is writing; then it is killed
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@dataclass
class _Worker:
    process: Process
    pipe: connection.Connection
    item: Any


def do_all(jobs, work, force=False, workers=None):
    """The Records of `jobs` as they are done; see `run_all`."""

    def lost(job, error):
        return Record(job.input, job.output, error=error, exit_code=OdpieceError.exit_code)

    return run_all(partial(do, work=work, force=force), jobs, lost, workers)


def run_all(function, items, lost, workers=None):
    """What `function` makes of each of `items`, as it is done, by `workers` processes (default: one a core), or in
    this one if 1.

    The cores are divided among the processes. When the caller stops, so do they, and leave only whole files.
    Where a process dies, as for want of memory, the result is `lost(item, error)`, and another takes its place.
    """
    workers = min(workers or available_cores(), len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    arguments = function, max(1, available_cores() // workers)
    waiting, running = iter(items), []
    try:
        running += (_start(item, arguments) for item in islice(waiting, workers))
        while running:
            ready = connection.wait([worker.pipe for worker in running])
            for worker in [worker for worker in running if worker.pipe in ready]:
                yield _receive(worker, lost)
                _go_on(worker, running, next(waiting, None), arguments)
    finally:
        _stop(running)


def _start(item, arguments):
    """A _Worker that has begun with `item`."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, *arguments), daemon=True)
    with _interrupts_held():
        process.start()
    theirs.close()  # else the death of the process would not be seen as the end of the pipe
    worker = _Worker(process, ours, item)
    _send(worker, item)
    return worker


@contextmanager
def _interrupts_held():
    """A process begun inside never sees Ctrl-C: it is for its parent to end it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(worker, item):
    worker.item = item
    try:
        worker.pipe.send(item)
    except OSError:  # it is dead, which `_receive` says
        pass


def _receive(worker, lost):
    """What the worker made of its item, or `lost` of it if it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        return lost(worker.item, f"the process that worked on it ended by {_ending(worker.process.exitcode)}")


def _ending(code):
    if code == -signal.SIGKILL:
        return "SIGKILL, perhaps for want of memory: give fewer processes with -j"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _go_on(worker, running, item, arguments):
    """Give `item` (None: nothing more) to the worker, or to a new one if it is dead."""
    alive = worker.process.is_alive()
    if item and alive:
        _send(worker, item)
        return
    running.remove(worker)
    _stop([worker])
    if item:
        running.append(_start(item, arguments))


def _stop(workers):
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(GRACE)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


def _serve(pipe, function, threads):
    """The life of a process: a result for each item that comes."""
    _end_by_exceptions()
    if parent := parent_process():
        Thread(target=_end_with, args=(parent,), daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when it is loaded
    limit_threads(threads)
    try:
        while True:
            pipe.send(function(pipe.recv()))
    except (EOFError, OSError, KeyboardInterrupt):
        pass


def _end_by_exceptions():
    """Signals that would end the process at once raise an exception, so that half-written files are removed."""
    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # not so under nohup
            signal.signal(number, signal.default_int_handler)


def _end_with(parent):
    """End this process when its parent has ended without a word, as by SIGKILL: nobody wants its work any more."""
    connection.wait([parent.sentinel])
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(main_thread().ident, signal.SIGTERM)
        time.sleep(GRACE)
    os._exit(1)
