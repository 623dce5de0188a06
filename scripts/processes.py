"""Work in several processes with a progress bar, for the other scripts."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from tqdm import tqdm

from odpiece.models.threads import available_cores, limit_threads


def map_with_bar(function, items, processes):
    """The list of `function` of each item, in order, by that many processes, which share the cores."""
    if processes == 1:
        return list(map(function, tqdm(items, disable=None)))
    threads = max(1, available_cores() // processes)
    with ProcessPoolExecutor(processes, get_context("spawn"), limit_threads, (threads,)) as pool:
        return list(tqdm(pool.map(function, items), total=len(items), disable=None))
