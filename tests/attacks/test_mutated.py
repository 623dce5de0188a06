"""A few of the files that fuzz/mutate.py changes; it tries them by the hundred thousand."""

import importlib.util
import random
from collections import Counter
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "fuzz" / "mutate.py"


def test_changed_files_give_an_error_or_are_packed_to_the_same_bytes(capfd):
    spec = importlib.util.spec_from_file_location("mutate", SCRIPT)
    mutate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mutate)
    rng, counts = random.Random(15), Counter()
    for _ in range(2000):
        counts[mutate.read(mutate.changed(rng))] += 1
    capfd.readouterr()  # libtiff's words on masks
    assert counts.total() == 2000
    assert min(counts[kind] for kind in ("whole", "partial", "DamagedError", "NotOdpError", "VersionError")) > 50
