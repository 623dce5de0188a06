"""How many threads one process may use: one for each core, unless several processes share the machine."""

import os

_limit = None


def available_cores():
    """Cores that this process may run on; on Linux fewer than the machine has where it is confined."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(count):
    """Use at most `count` threads from here on; sessions that exist already keep theirs."""
    global _limit
    _limit = count


def thread_limit():
    """What was given to `limit_threads`, None where it was never called."""
    return _limit
