"""Segments: independent, the same whatever the threads, local damage, and pictures that survive cuts."""

from dataclasses import replace

import numpy as np
import pytest

from odpiece.codec import threads
from odpiece.codec.bands.coders import RawCoder, coder_of
from odpiece.codec.bands.segments import decode_segments, encode_segments, split
from odpiece.codec.bands.tokens import zero_tokens
from odpiece.codec.bands.walk import walk
from odpiece.codec.files import decode, encode, read, read_partial, truncate
from odpiece.codec.range_coder import Reader
from odpiece.formats.container import CoderId, Header, StoredSegment, checksum, pack, unpack, unpack_header
from odpiece.formats.errors import DamagedError
from odpiece.models.interface import BANDS
from odpiece.models.library import load_model

Q = 65  # the least with segments of 16 pieces a side
MODEL = bytes(4)


@pytest.fixture(scope="module")
def large(photo):
    """uint8 (80, 2200, 3): 2 x 35 pieces, three segments in a row."""
    return np.tile(photo[100:180], (1, 9, 1))[:, :2200]


@pytest.fixture(scope="module")
def data(large):
    return encode(large, Q)


@pytest.fixture(scope="module")
def tokens_of_one_thread(data):
    """The SHA-256 of the tokens of `data`, its segments decoded one after the other."""
    header, _, segments = unpack(data)
    coder, whole = coder_of(header.coder, load_model()), zero_tokens(header.rows, header.columns)
    for segment, stored in zip(split(header), segments):
        shape, place = (segment.bottom - segment.top, segment.right - segment.left), segment.crop_tokens(whole)
        tokens, _ = walk(Reader(stored.payload), coder, header.q, *shape)
        for to, values in zip((place.lengths, *place.bands), (tokens.lengths, *tokens.bands)):
            to[:] = values
    return whole.sha256


@pytest.fixture(scope="module")
def damaged(data):
    """`data` with a byte of the middle segment changed, in a round that holds what its first tokens depend on."""
    header, chunks, segments = unpack(data)
    payload = bytearray(segments[1].payload)
    payload[5] ^= 0xFF
    return pack(header, [segments[0], segments[1]._replace(payload=bytes(payload)), segments[2]], chunks)


@pytest.mark.parametrize("q", [1, 16, 17, 64, 65, 1024, 2048, 2049])
@pytest.mark.parametrize("width, height", [(1, 1), (1024, 1024), (1025, 64), (5000, 3000), (64, 9000)])
def test_every_piece_is_in_one_segment_of_allowed_size(q, width, height):
    header = Header(width, height, q, CoderId.RAW, MODEL)
    side = 64 if q <= 16 else 32 if q <= 64 else 16 if q <= 2048 else 8
    count = np.zeros((header.rows, header.columns), dtype=int)
    segments = split(header)
    for segment in segments:
        box = count[segment.top : segment.bottom, segment.left : segment.right]
        assert 0 < box.shape[0] <= side and 0 < box.shape[1] <= side
        box += 1
    assert (count == 1).all() and [s.number for s in segments] == list(range(header.segments))
    assert header.segments == -(-header.rows // side) * -(-header.columns // side)
    assert max(s.bottom - s.top for s in segments) - min(s.bottom - s.top for s in segments) <= 1


def test_tokens_return(random_tokens):
    header = Header(1100, 1200, 300, CoderId.RAW, MODEL)
    tokens = random_tokens(header.rows, header.columns, 300)
    stored, joined = encode_segments(lambda segment: segment.crop_tokens(tokens), RawCoder(), header)
    assert len(stored) == 4 and joined.sha256 == tokens.sha256
    decoded, parts = decode_segments(stored, RawCoder(), header)
    assert decoded.sha256 == tokens.sha256 and all(part.whole for part in parts)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_bytes_and_tokens_do_not_depend_on_the_threads(count, large, data, tokens_of_one_thread, monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: count)
    assert encode(large, Q) == data
    assert read(data).tokens.sha256 == tokens_of_one_thread


def test_a_segment_is_coded_like_a_picture_of_its_own(data):
    contents = read(data)
    for segment, stored in zip(split(contents.header), unpack(data).segments):
        width = 64 * (segment.right - segment.left)
        header = replace(contents.header, width=width, height=128, checksum=0)
        tokens = segment.crop_tokens(contents.tokens)
        alone = pack(replace(header, checksum=checksum(header, tokens.to_bytes())), [stored])
        assert read(alone).tokens.sha256 == tokens.sha256


def test_a_damaged_segment_is_named(damaged):
    with pytest.raises(DamagedError, match="segment 1 of 3.*--allow-partial"):
        read(damaged)


def test_the_other_segments_of_a_damaged_file_decode(data, damaged):
    whole, part = read(data), read_partial(damaged)
    assert not part.complete and part.whole_segments == 2
    for segment in split(whole.header):
        tokens, expected = segment.crop_tokens(part.tokens), segment.crop_tokens(whole.tokens)
        if segment.number == 1:
            assert tokens.count == 0 and not any(z.any() for z in tokens.bands)
        else:
            assert tokens.sha256 == expected.sha256
    assert part.certain == part.tokens.count


@pytest.mark.parametrize("rest", [0, 1, 2, 3, 8])
def test_a_file_cut_inside_its_table_is_known_by_its_header(rest, data):
    """A table of three segments has 9 to 12 bytes. Without a payload no token is certain, also in a file of one."""
    _, start = unpack_header(data)
    cut = data[: start + rest]
    with pytest.raises(DamagedError, match="too short for 3 segments"):
        read(cut)
    part = read_partial(cut)
    assert (part.header, part.certain, part.whole_segments) == (read(data).header, 0, 0)
    assert not part.complete and part.tokens.count == 0
    assert part.picture(part.tokens).shape == (part.header.height, part.header.width, 3)


def test_where_all_segments_are_damaged_no_pixels_are_made(data):
    _, start = unpack_header(data)
    with pytest.raises(DamagedError, match="nothing of it"):
        read_partial(data[:start] + bytes.fromhex("00beef") * 3)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_a_cut_file_holds_certain_tokens_of_all_segments(share, data):
    payload = sum(len(segment.payload) for segment in unpack(data).segments)
    cut = data[: len(data) - payload + round(share * payload)]
    with pytest.raises(DamagedError):
        read(cut)
    part, whole = read_partial(cut), read(data)
    assert not part.complete and part.whole_segments < 3
    for a, b in zip(part.tokens.bands, whole.tokens.bands):
        assert ((a == b) | (a == 0)).all()
    shares = [
        np.count_nonzero(segment.crop_tokens(part.tokens).bands[0])
        / np.count_nonzero(segment.crop_tokens(whole.tokens).bands[0])
        for segment in split(whole.header)
    ]
    assert min(shares) > share - 0.15 and max(shares) - min(shares) < 0.3


def test_a_cut_in_the_middle_keeps_more_of_the_picture_than_its_top(large, data):
    """The reason for the rounds: half of the bytes are worth far more than half of the picture."""
    part = read_partial(data[: len(data) // 2])
    error = np.mean((part.picture(part.tokens).astype(float) - large) ** 2)
    left = decode(data).copy()
    left[:, left.shape[1] // 2 :] = 128
    assert error < 0.6 * np.mean((left.astype(float) - large) ** 2)


def test_truncate_and_progress_of_segments(data):
    contents, short = read(data), read(truncate(data, 7))
    assert short.tokens.sha256 == contents.tokens.first(7).sha256 and short.header.segments == 3
    *_, last = contents.progress()
    assert last.sha256 == contents.tokens.sha256
    assert contents.certain == contents.tokens.count
    assert sum(group.bits for group in contents.groups) / 8 == pytest.approx(
        sum(len(segment.payload) for segment in unpack(data).segments), abs=12
    )


def test_a_tiny_file_of_many_pixels_stops_at_its_first_segment(monkeypatch):
    """100 megapixels whose payloads are empty: a valid table, but a wrong checksum."""
    walked = []
    model = load_model()
    header = Header(10_000, 10_000, Q, CoderId.LEARNED, model.fingerprint)
    predictor = model.prior.predictor
    monkeypatch.setattr(type(model.prior), "predictor", lambda self, q: walked.append(q) or predictor(q))
    monkeypatch.setattr(threads, "available_cores", lambda: 1)
    with pytest.raises(DamagedError, match="segment 0 of 100"):
        read(pack(header, [StoredSegment(b"", 1)] * header.segments))
    assert len(walked) < 50  # the first, and those that began before its error was seen


def test_latents_are_cropped_where_their_pieces_are():
    header = Header(64 * 20, 64 * 3, 1024, CoderId.RAW, MODEL)
    grids = [np.arange(3 * b.side * 20 * b.side).reshape(1, 3 * b.side, 20 * b.side) for b in BANDS]
    left, right = (segment.crop(grids) for segment in split(header))
    for whole, *halves in zip(grids, left, right):
        assert (np.concatenate(halves, axis=2) == whole).all()
        assert halves[0].shape == halves[1].shape
