"""The standard streams and the signals of the process that runs a command."""

import io
import os
import signal
import sys
from contextlib import contextmanager
from threading import current_thread, main_thread

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(BaseException):
    """Raised where a signal asks the process to end; `exit_code` is what shells tell of the signal."""

    def __init__(self, number):
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class _Messages(io.FileIO):
    """Standard error, where what cannot be written is lost: a message must not end the work that it tells of."""

    def write(self, data):
        try:
            return super().write(data)
        except OSError:  # a closed pipe, a full disk
            return len(data)


def prepare_streams():
    """Make standard error writable for all that comes, whatever the caller has made of it."""
    _occupy_descriptors()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    elif sys.stderr is sys.__stderr__ and os.name == "posix":
        raw = _Messages(sys.stderr.fileno(), "w", closefd=False)
        settings = {"encoding": sys.stderr.encoding, "errors": sys.stderr.errors}
        sys.stderr = io.TextIOWrapper(io.BufferedWriter(raw), **settings, line_buffering=True)


def _occupy_descriptors():
    """Open the null device as each of 0, 1 and 2 that is closed: the next file would get its number, and with it
    what libraries print there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def drop_output():
    """Drop what standard output still holds, which could not be written: the end of the process would try again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


@contextmanager
def signals_raised():
    """Inside, SIGTERM and SIGHUP raise Terminated, so that processes are ended and unfinished files removed.

    Those that are ignored (nohup) or handled already stay as they are.
    """

    def end(number, frame):
        signal.signal(number, signal.SIG_IGN)  # once is enough, and cleaning up is not to be disturbed
        raise Terminated(number)

    in_main = current_thread() is main_thread()  # the only one that may set handlers
    numbers = [number for number in ENDING if in_main and signal.getsignal(number) == signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, end)
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
