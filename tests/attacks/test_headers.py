"""Headers that lie: any fields before any payload, changed files, random bytes, and claims of huge pictures."""

import io

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image

from odpiece.codec.files import decode, read, read_partial, truncate
from odpiece.formats import container
from odpiece.formats.container import CoderId, Header
from odpiece.formats.errors import OdpieceError
from odpiece.models.library import load_model

MEBIBYTE = 1 << 20
MEMORY = 64 * MEBIBYTE  # for pictures of up to LARGEST pixels
LARGEST = 1 << 18  # pixels that random headers may claim: more take their time, see the bombs
SMALL_SIDES = st.integers(1, 130)  # pixels
MODEL = load_model().fingerprint
pytestmark = pytest.mark.usefixtures("odp_in_pillow")


@st.composite
def headers(draw):
    """Headers of the installed model (mostly) and of any other field."""
    q = draw(st.integers(1, 4096))
    return Header(
        draw(SMALL_SIDES),
        draw(SMALL_SIDES),
        q,
        draw(st.sampled_from(CoderId)),
        draw(st.sampled_from([MODEL] * 7 + [bytes(4)])),
        limit=draw(st.integers(0, q)),
        checksum=draw(st.integers(0, 0xFFFF)),
    )


@st.composite
def edits(draw):
    """A function that inserts, deletes and replaces bytes, most of them near the start."""
    places = st.integers(0, 20) | st.integers(0, 1000)
    changes = draw(st.lists(st.tuples(places, st.integers(0, 2), st.binary(max_size=3)), min_size=1, max_size=4))

    def edit(data):
        for place, length, new in changes:
            at = place % (len(data) + 1)
            data = data[:at] + new + data[at + length :]
        return data

    return edit


@given(headers(), st.binary(max_size=60) | st.binary(max_size=4).map(lambda b: b * 50))
@example(Header(130, 130, 1024, CoderId.RAW, MODEL), b"\xff" * 400)
@example(Header(130, 130, 1024, CoderId.STATIC, MODEL), b"\xff" * 400)
@example(Header(130, 130, 1024, CoderId.LEARNED, MODEL), b"\xff" * 400)
@example(Header(130, 130, 4096, CoderId.RAW, MODEL), b"\xff" * 400)
@example(Header(130, 130, 4096, CoderId.STATIC, MODEL), b"\xff" * 400)
@example(Header(130, 130, 4096, CoderId.LEARNED, MODEL), b"\xff" * 400)
@example(Header(130, 130, 4096, CoderId.LEARNED, MODEL, limit=1025), b"")
def test_any_header_before_any_payload(file_of, attempt, limited, header, payload):
    with limited(MEMORY):
        found = attempt(file_of(header, payload))
    assert found is None or header.model == MODEL
    if found is not None and found.complete:  # the checksum is right by chance
        assert container.checksum(header, found.tokens.to_bytes()) == header.checksum


@given(st.integers(0, 9), edits())
def test_changed_files(golden, attempt, limited, claims_at_most, number, edit):
    """Of a changed file comes an error or the same picture: changes can undo each other."""
    data = list(golden.values())[number % len(golden)]
    changed = edit(data)
    assume(claims_at_most(changed, LARGEST))
    with limited(MEMORY):
        found = attempt(changed)
    if found is not None and found.complete:
        true = read(data)
        assert found.header == true.header and found.tokens.to_bytes() == true.tokens.to_bytes()


@given(st.integers(2, 14), st.binary(max_size=80))
def test_random_bytes_behind_a_true_start(golden, attempt, limited, claims_at_most, start, rest):
    """The magic, the version and q, the model, ... of a golden file, and then anything."""
    data = golden["photo-learned.odp"][:start] + rest
    assume(claims_at_most(data, LARGEST))
    with limited(MEMORY):
        found = attempt(data)
    assert found is None or not found.complete


@given(st.sampled_from(["pixel.odp", "photo-static.odp"]), edits())
def test_changed_files_in_pillow(golden, limited, claims_at_most, name, edit):
    """Pillow's users get what Pillow raises for its own formats."""
    changed = edit(golden[name])
    assume(claims_at_most(changed, LARGEST))
    with limited(MEMORY):
        try:
            Image.open(io.BytesIO(changed)).load()
        except OSError as error:
            assert str(error)


@pytest.mark.parametrize(
    "width, height",
    [(65535, 65535), (1 << 20, 1 << 20), (1 << 20, 171), (16384, 10923), (1 << 27, 1), (1 << 30, 1 << 30)],
)
@pytest.mark.parametrize("q", [1024, 4096])
@pytest.mark.parametrize("payload", [b"", bytes(46), b"\xff" * 46], ids=["empty", "zeros", "ones"])
def test_claims_above_the_limit_cost_nothing(width, height, q, payload, file_of, limited, monkeypatch):
    """Files of 13 to 60 bytes. Only a changed odpiece can write them."""
    with monkeypatch.context() as changed:
        changed.setattr(container, "MAX_PIXELS", 1 << 62)
        changed.setattr(container, "MAX_SIDE", 1 << 31)
        data = file_of(Header(width, height, q, CoderId.LEARNED, MODEL), payload)
    with limited(MEBIBYTE):
        for function in (decode, read, read_partial, lambda d: truncate(d, 5)):
            with pytest.raises(OdpieceError):
                function(data)
        with pytest.raises((OSError, Image.DecompressionBombError)):
            Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    "coder, side, q, most",
    [
        (CoderId.RAW, 8192, 1, 64),
        (CoderId.STATIC, 8192, 1, 64),
        (CoderId.LEARNED, 1024, 1024, 64),
        (CoderId.RAW, 512, 4096, 64),
        (CoderId.STATIC, 512, 4096, 64),
        (CoderId.LEARNED, 512, 4096, 128),  # the prior's of one segment
    ],
)
def test_claims_within_the_limit_cost_what_such_a_picture_costs(coder, side, q, most, file_of, or_error, limited):
    """16 bytes that claim a large picture: found to be damaged before pixels are made, at `most` bytes a pixel."""
    data = file_of(Header(side, side, q, coder, MODEL, checksum=1), b"")
    with limited(most * side * side):
        assert or_error(read, data) is None
