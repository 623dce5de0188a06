"""Many machines: the files as a Ray Data pipeline, coded by actors that hold the model.

Ray starts a lost actor anew and tries its files again a few times; what is missing at the end is given to new actors,
a few times, too. What an earlier try has written whole is then found to be the same. Every machine must see the inputs
and the outputs, on a shared file system or at URLs.
"""

import logging
import os
import pickle
import socket
import sys
import warnings
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import replace
from importlib import metadata

from odpiece.codec.batch.work import Job, Record, do
from odpiece.formats.errors import MissingExtraError, OdpieceError, OptionError
from odpiece.formats.files import is_remote, local_path
from odpiece.models.threads import limit_threads

MOST_BLOCKS = 1000  # a block is what is done again when a machine is lost
RETRIES = 3  # of a block whose actor dies; calls to a machine that is gone are counted, too
TIMEOUT = 10  # seconds until a cluster has answered
ROUNDS = 3  # then its files are errors


class Actor:
    """A process somewhere, with one thread: rows of a Job to rows of a Record, both numbered and pickled."""

    def __init__(self, work, force, version):
        if version != _version():
            raise OdpieceError(f"odpiece {_version()} is installed on a machine of the cluster, here it is {version}")
        os.environ["OMP_NUM_THREADS"] = "1"
        limit_threads(1)
        self._work, self._force = work, force

    def __call__(self, row):
        number, job = pickle.loads(row["item"])
        return {"item": pickle.dumps((number, do(job, self._work, self._force, again=True)))}


def do_all(jobs, work, force=False, workers=None, address=None):
    """The Records of `jobs` as they are done, by `workers` actors (default: one a core of the cluster).

    `address` is that of a cluster; without it Ray takes $RAY_ADDRESS, or starts one on this machine. Raises
    MissingExtraError, OptionError where no cluster answers, OdpieceError where Ray fails.
    """
    lost = dict(enumerate(jobs))
    aside = redirect_stdout(_Aside(sys.stdout)) if sys.stdout else nullcontext()
    with aside, _connected(address) as ray:
        for _ in range(ROUNDS):
            for number, record in _results(ray, lost, work, force, workers) if lost else ():
                yield _named_as(lost.pop(number), record)
    for job in lost.values():
        error = "the processes that worked on it ended, perhaps for want of memory"
        yield Record(job.input, job.output, error=error, exit_code=OdpieceError.exit_code)


class _Aside:
    """Standard output for our bytes; what Ray prints there by itself goes to standard error."""

    def __init__(self, stdout):
        self.buffer = stdout.buffer

    def __getattr__(self, name):
        return getattr(sys.stderr, name)


def _require_answer(address):
    """Raise OptionError at once where nothing listens at host:port; Ray itself tries for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), TIMEOUT).close()
    except OSError as error:
        raise OptionError(f"no Ray cluster at {address}: {error}") from None


@contextmanager
def _connected(address):
    """The module ray, connected until the end of the context."""
    ray = _connect(address)
    try:
        yield ray
    except ray.exceptions.RayError as error:
        raise OdpieceError(f"Ray failed: {_last_line(error)}") from None
    finally:
        ray.shutdown()


def _connect(address):
    """The module ray, connected, quiet, and without its reports of use."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtraError("several machines need more packages: pip install 'odpiece[ray]'") from None
    _require_answer(address)
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise OptionError(f"no Ray cluster at {address}: {_last_line(error)}") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1  # an error of the files in it, not of all
    return ray


def _results(ray, jobs, work, force, workers):
    """(number, Record) of those of `jobs` (Jobs by number) that were done, each once, as they are done."""
    items = [{"item": pickle.dumps((number, _everywhere(job)))} for number, job in jobs.items()]
    actors = min(workers or int(ray.cluster_resources()["CPU"]), len(items))
    blocks = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS))
    with warnings.catch_warnings():  # one that this way of naming RETRIES ends with Ray 2.64; there is no other yet
        warnings.simplefilter("ignore", DeprecationWarning)
        rows = blocks.map(
            Actor,
            fn_constructor_args=(work, force, _version()),
            compute=ray.data.ActorPoolStrategy(size=actors),
            num_cpus=1,
            max_task_retries=RETRIES,
        )
    return (pickle.loads(row["item"]) for row in rows.iter_rows())


def _everywhere(job):
    """The Job with absolute paths, since actors have working directories of their own."""
    return Job(*(p if is_remote(p) else os.path.abspath(local_path(p)) for p in (job.input, job.output)))


def _named_as(job, record):
    """The Record of the Job's own names instead of the absolute ones."""
    error = record.error and record.error.replace(record.output, job.output).replace(record.input, job.input)
    return replace(record, input=job.input, output=job.output, error=error)


def _version():
    return metadata.version("odpiece")


def _last_line(error):
    return str(error).strip().splitlines()[-1]
