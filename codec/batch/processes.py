"""Several processes on one machine, which share its cores and survive one another."""

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Process, connection, get_context

from odpiece.codec.batch.work import Job, Record, do
from odpiece.formats.errors import OdpieceError
from odpiece.models.threads import available_cores, limit_threads

GRACE = 0.5  # seconds that a process has to remove what it is writing; then it is killed


@dataclass
class _Worker:
    process: Process
    pipe: connection.Connection
    job: Job


def do_all(jobs, work, force=False, workers=None):
    """The Records of `jobs` as they are done, by `workers` processes (default: one a core), or in this one if 1.

    The cores are divided among the processes. When the caller stops, so do they, and leave only whole files.
    A process that dies, as for want of memory, is an error of the file it had, and another takes its place.
    """
    workers = min(workers or available_cores(), len(jobs))
    if workers <= 1:
        yield from (do(job, work, force) for job in jobs)
        return
    arguments = work, force, max(1, available_cores() // workers)
    waiting, running = iter(jobs), []
    try:
        running += (_start(job, arguments) for job in _first(waiting, workers))
        while running:
            ready = connection.wait([worker.pipe for worker in running])
            for worker in [worker for worker in running if worker.pipe in ready]:
                yield _receive(worker)
                _go_on(worker, running, next(waiting, None), arguments)
    finally:
        _stop(running)


def _first(jobs, count):
    return (job for _, job in zip(range(count), jobs))


def _start(job, arguments):
    """A _Worker that has begun with `job`."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, *arguments), daemon=True)
    with _interrupts_held():
        process.start()
    theirs.close()  # else the death of the process would not be seen as the end of the pipe
    worker = _Worker(process, ours, job)
    _send(worker, job)
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


def _send(worker, job):
    worker.job = job
    try:
        worker.pipe.send(job)
    except OSError:  # it is dead, which `_receive` says
        pass


def _receive(worker):
    """The Record of what the worker had to do, an error if it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        error = f"the process that worked on it ended by {_ending(worker.process.exitcode)}"
        return Record(worker.job.input, worker.job.output, error=error, exit_code=OdpieceError.exit_code)


def _ending(code):
    if code == -signal.SIGKILL:
        return "SIGKILL, perhaps for want of memory: give fewer processes with -j"
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _go_on(worker, running, job, arguments):
    """Give `job` (None: nothing more) to the worker, or to a new one if it is dead."""
    alive = worker.process.is_alive()
    if job and alive:
        _send(worker, job)
        return
    running.remove(worker)
    _stop([worker])
    if job:
        running.append(_start(job, arguments))


def _stop(workers):
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(GRACE)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


def _serve(pipe, work, force, threads):
    """The life of a process: a Record for each Job that comes."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an exception, so that half-written files are removed
    os.environ["OMP_NUM_THREADS"] = str(threads)  # torch reads it when it is loaded
    limit_threads(threads)
    try:
        while True:
            pipe.send(do(pipe.recv(), work, force))
    except (EOFError, OSError, KeyboardInterrupt):
        pass
