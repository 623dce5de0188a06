"""The oracle of all attacks: a picture or an error of the closed list, in bounded time and memory."""

import signal
import tracemalloc
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from odpiece.codec import decode, encode
from odpiece.codec.files import read_partial
from odpiece.formats.container import CoderId, StoredSegment, pack
from odpiece.formats.errors import OdpieceError
from odpiece.models.interface import TOKENS

GOLDEN = Path(__file__).parents[1] / "golden"
SECONDS = 30  # of this process's CPU time, for what takes milliseconds
LARGEST_PICTURE = 1 << 14  # pixels, of those that are made and looked at


@pytest.fixture(scope="session")
def golden():
    """{name: bytes} of the golden files."""
    return {path.name: path.read_bytes() for path in sorted(GOLDEN.glob("*.odp"))}


@pytest.fixture(scope="session")
def file_of():
    """A function: the bytes of a file of a Header and one payload."""
    return lambda header, payload: pack(header, [StoredSegment(payload)])


@pytest.fixture(scope="session")
def or_error():
    """A function: what a function gives, or None for an error of the closed list; any other exception goes on."""

    def call(function, *arguments):
        try:
            return function(*arguments)
        except OdpieceError as error:
            assert str(error) and "\n" not in str(error)
            return None

    return call


@pytest.fixture(scope="session")
def attempt(or_error):
    """A function: what read_partial gives of bytes, which is what read gives where that is whole, or None for an error.

    A picture is made of it, if it is small enough to be looked at often.
    """

    def attempt(data):
        contents = or_error(read_partial, data)
        if contents is not None and contents.header.width * contents.header.height <= LARGEST_PICTURE:
            pixels = or_error(contents.picture, contents.tokens)
            if pixels is not None:
                assert pixels.dtype == np.uint8
                assert pixels.shape[:2] == (contents.header.height, contents.header.width)
        return contents

    return attempt


@pytest.fixture(scope="session")
def limited():
    """A context manager that fails if what is inside allocates more than `memory` bytes or takes too long."""
    for coder, q in product(CoderId, (2, TOKENS)):  # the first use loads the model, and is not what is limited
        decode(encode(np.zeros((8, 8, 3), np.uint8), q, coder=coder))

    def stop(*_):
        raise TimeoutError(f"more than {SECONDS} s of CPU time")

    @contextmanager
    def limits(memory):
        before = signal.signal(signal.SIGPROF, stop)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        tracemalloc.start()
        try:
            yield
            assert tracemalloc.get_traced_memory()[1] <= memory
        finally:
            tracemalloc.stop()
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)

    return limits
