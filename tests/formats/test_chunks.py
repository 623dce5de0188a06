"""Metadata in chunks: what is kept returns, and nothing inflates beyond its limit."""

import zlib

import pytest

from odpiece.formats import chunks
from odpiece.formats.chunks import MAX_CHUNK, Chunk, ChunkType, metadata_chunks, metadata_of, pack_chunks, read_chunks
from odpiece.formats.errors import DamagedError, OptionError


@pytest.mark.parametrize("kept", [{}, {"xmp": b"x"}, {"exif": b"e" * 9, "icc": bytes(70_000), "xmp": "ü".encode()}])
def test_metadata_returns(kept):
    made = metadata_chunks(kept)
    assert metadata_of(made) == kept
    assert not any(chunk.critical for chunk in made)


def test_empty_values_are_not_kept():
    assert metadata_chunks({"exif": b"", "icc": None}) == ()


def test_metadata_that_would_not_be_read_back_is_an_option_error():
    with pytest.raises(OptionError, match=f"the xmp has .* at most {MAX_CHUNK}"):
        metadata_chunks({"xmp": bytes(MAX_CHUNK + 1)})


def test_unknown_metadata_is_an_option_error():
    with pytest.raises(OptionError, match="gps"):
        metadata_chunks({"gps": b"1"})


@pytest.mark.parametrize("data", [b"", b"text", zlib.compress(b"x")[:-1], zlib.compress(b"x") + b"y"])
def test_damaged_metadata(data):
    with pytest.raises(DamagedError, match="icc"):
        metadata_of([Chunk(ChunkType.ICC, data)])


def test_a_bomb_is_damaged(monkeypatch):
    monkeypatch.setattr(chunks, "MAX_CHUNK", 1000)
    assert metadata_of([Chunk(ChunkType.XMP, zlib.compress(bytes(1000)))]) == {"xmp": bytes(1000)}
    with pytest.raises(DamagedError, match="1000"):
        metadata_of([Chunk(ChunkType.XMP, zlib.compress(bytes(1001)))])


def test_lengths_are_limited_before_anything_is_read():
    with pytest.raises(DamagedError):
        read_chunks(b"\x02" + b"\x81\x80\x80\x08" + bytes(20), 0)  # 2^24 + 1
    with pytest.raises(OptionError):
        Chunk(2, bytes(MAX_CHUNK + 1))


def test_every_cut_is_damaged():
    data = pack_chunks([Chunk(1, b"\0\1", critical=True), Chunk(50, bytes(100))])
    assert read_chunks(data, 0)[1] == len(data)
    for size in range(len(data)):
        for partial in (False, True):
            with pytest.raises(DamagedError):
                read_chunks(data[:size], 0, partial)
