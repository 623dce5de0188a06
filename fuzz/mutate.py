"""Change .odp files at random, by the hundred thousand, and read header, chunks, alpha and segment table of each.

    python fuzz/mutate.py --seconds 600 [--seed N]

No token is decoded: that is for fuzz/decode.py, which is slower and finds its way by coverage. Each file must give an
error of formats/errors.py, or what is packed to the same bytes again. What does not goes to tests/attacks/findings/,
where a test looks at it ever after. Prints how many files were tried and which lines they reached.
"""

import argparse
import hashlib
import random
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

from odpiece.formats import alpha, chunks, container, rounds, scales, tiles, varints
from odpiece.formats.chunks import ChunkType, metadata_of
from odpiece.formats.errors import OdpieceError

ROOT = Path(__file__).resolve().parent.parent
FINDINGS = ROOT / "tests" / "attacks" / "findings"
SEEDS = [path.read_bytes() for path in sorted((ROOT / "tests").rglob("*.odp"))]
WITH_CHUNKS = [data for data in SEEDS if container.unpack(data).chunks]
READ = (container, chunks, alpha, varints, rounds, tiles, scales)  # modules whose lines are counted
TRACED = 5_000  # files at first, of which the lines are counted: it is slow
BYTES = (0, 1, 0x3F, 0x40, 0x7F, 0x80, 0x81, 0xC0, 0xFE, 0xFF)
LARGEST = 1 << 16  # pixels of alpha planes that are unpacked


def changed(rng):
    """A golden file changed in its bytes, or in the data of a chunk, whose checksum is then right."""
    if rng.random() < 0.8:
        return mutated(rng, rng.choice(SEEDS))
    return with_another_chunk(rng, container.unpack(rng.choice(WITH_CHUNKS)), partial(mutated, rng))


def with_another_chunk(rng, parts, change):
    """The bytes of `parts`, a container.File with chunks, after `change` of the data of one of them."""
    chosen = rng.choice(parts.chunks)
    others = [replace(c, data=change(c.data)) if c is chosen else c for c in parts.chunks]
    return container.pack(parts.header, parts.segments, others)


def mutated(rng, data):
    """`data` with one to four changes, most of them in its first bytes."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = min(int(rng.expovariate(1 / 20)) if rng.random() < 0.8 else rng.randrange(len(data) + 1), len(data))
        rng.choice(CHANGES)(rng, data, at)
    return bytes(data)


def _set(rng, data, at):
    data[at : at + 1] = bytes([rng.choice(BYTES)])


def _flip(rng, data, at):
    data[at : at + 1] = bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1])


def _insert(rng, data, at):
    data[at:at] = bytes(rng.choice(BYTES) for _ in range(rng.randrange(1, 6)))


def _delete(rng, data, at):
    del data[at : at + rng.randrange(1, 9)]


def _cut(rng, data, at):
    del data[at + rng.randrange(len(data) + 1) :]


def _splice(rng, data, at):
    other = rng.choice(SEEDS)
    data[at:] = other[min(at, len(other)) :]


CHANGES = (_set, _flip, _insert, _delete, _cut, _splice)


def read(data):
    """Read a file as whole, else in part; gives what it was: "whole", "partial" or the name of an error."""
    try:
        parts, kind = container.unpack(data), "whole"
        if container.pack(parts.header, parts.segments, parts.chunks) != data:
            raise AssertionError("it is packed to other bytes")
    except OdpieceError as error:
        try:
            parts, kind = container.unpack(data, partial=True), "partial"
        except OdpieceError:
            return type(error).__name__
    try:
        metadata_of(parts.chunks)
        header = parts.header
        for chunk in parts.chunks:
            if chunk.type == ChunkType.ALPHA and header.width * header.height <= LARGEST:
                alpha.unpack_alpha(chunk.data, header.height, header.width)
    except OdpieceError as error:
        return f"{kind}, then {type(error).__name__}"
    return kind


class Lines:
    """The lines of READ that run while it is entered."""

    def __init__(self):
        self._files, self.reached = {module.__file__: module for module in READ}, set()

    def __enter__(self):
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _enter(self, frame, event, arg):
        return self._line if frame.f_code.co_filename in self._files else None

    def _line(self, frame, event, arg):
        self.reached.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    def report(self):
        """A line for each module: the share of lines in functions that was reached."""
        for file, module in self._files.items():
            there = set(_lines(compile(Path(file).read_text(), file, "exec"), inside=False))
            share = len([line for name, line in self.reached if name == file and line in there]) / len(there)
            yield f"{module.__name__:<30}{share:>5.0%} of {len(there)} lines"


def _lines(code, inside=True):
    """The lines of all functions in a code object."""
    if inside:
        yield from {line for _, _, line in code.co_lines() if line and line != code.co_firstlineno}
    for constant in code.co_consts:
        if hasattr(constant, "co_lines"):
            yield from _lines(constant, constant.co_flags & 2)  # 2: a function, not the body of a class


def attack(rng, counts):
    data = changed(rng)
    try:
        counts[read(data)] += 1
    except Exception as error:
        counts["FINDING"] += 1
        name = hashlib.sha256(data).hexdigest()[:16]
        (FINDINGS / f"mutated-{name}").write_bytes(data)
        print(f"{name}: {type(error).__name__}: {error}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, counts, end = random.Random(options.seed), Counter(), time.monotonic() + options.seconds
    with Lines() as lines:
        while counts.total() < TRACED and time.monotonic() < end:
            attack(rng, counts)
    while time.monotonic() < end:
        attack(rng, counts)
    print(f"{counts.total()} files of {len(SEEDS)} seeds in {options.seconds:.0f} s, random seed {options.seed}")
    print(*(f"{number:>12} {kind}" for kind, number in counts.most_common()), *lines.report(), sep="\n")
    return 1 if counts["FINDING"] else 0


if __name__ == "__main__":
    sys.exit(main())
