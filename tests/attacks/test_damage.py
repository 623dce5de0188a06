"""Golden files cut at every byte and with every bit flipped: an error or the same picture, never another one.

The same: the last bits of a payload may mean nothing, as any number of an interval ends it. The checksum of a small
picture has 16 bits, so one change in 65,536 goes unseen. The files are fixed, so a test that passes goes on passing;
should a new golden file fail by one change, that is what a checksum of 16 bits is.
"""

import json
from pathlib import Path

import pytest

from odpiece.codec.files import read, read_partial

NAMES = list(json.loads((Path(__file__).parents[1] / "golden" / "tokens.json").read_text()))
CHEAP = ["pixel.odp"]  # every cut and every bit of these in each run
SOME_CUTS, SOME_BITS = 16, 32  # of the others in each run, all of them where slow tests are run
AMOUNTS = [
    pytest.param(name, amount, id=f"{name}-{amount}", marks=[pytest.mark.slow] if slow else [])
    for name in NAMES
    for amount, slow in ([("every", False)] if name in CHEAP else [("some", False), ("every", True)])
]


def spread(count, amount, some):
    """The numbers below `count`, or about `some` of them."""
    return range(0, count, 1 if amount == "every" else max(1, count // some))


@pytest.fixture(scope="module")
def harmless(or_error):
    """A function: whether a changed file gives an error, or what `true`, the Contents of the file, holds."""

    def check(changed, true):
        found = or_error(read, changed)
        return found is None or (found.header == true.header and found.tokens.to_bytes() == true.tokens.to_bytes())

    return check


@pytest.mark.parametrize("name, amount", AMOUNTS)
def test_cuts(name, amount, golden, or_error):
    """What is left of a cut file gives an error, or on request tokens that are right or zero."""
    data = golden[name]
    true = read(data)
    for end in spread(len(data), amount, SOME_CUTS):
        part = or_error(read_partial, data[:end])  # all that read gives, if it gives anything
        if part is not None:
            assert not part.complete and part.header == true.header, end
            for cut, whole in zip(part.tokens.bands, true.tokens.bands):
                assert ((cut == whole) | (cut == 0)).all(), end


@pytest.mark.parametrize("name, amount", AMOUNTS)
def test_flipped_bits(name, amount, golden, harmless):
    data, true = golden[name], read(golden[name])
    number, bits = int.from_bytes(data, "big"), 8 * len(data)
    for bit in spread(bits, amount, SOME_BITS):
        flipped = (number ^ 1 << bits - 1 - bit).to_bytes(len(data), "big")
        assert harmless(flipped, true), bit


@pytest.mark.parametrize("name", NAMES)
def test_flipped_bits_of_the_header(name, golden, harmless):
    """All bits of the first 16 bytes: magic, version, coder, quality, model, sizes."""
    data, true = golden[name], read(golden[name])
    for at in range(min(16, len(data))):
        for bit in range(8):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            assert harmless(flipped, true), (at, bit)
