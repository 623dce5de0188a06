"""Whole files of tiles, with the small network of tests/reference."""

from pathlib import Path

import numpy as np
import pytest

from odpiece.codec import decode, encode, truncate
from odpiece.codec.arrays import read_tokens
from odpiece.codec.files import read, read_partial
from odpiece.codec.one_d_piece import histograms
from odpiece.codec.one_d_piece.histograms import count_tokens, fit, make_tables
from odpiece.codec.targets import encode_to_psnr, encode_to_size, psnr
from odpiece.formats.chunks import ChunkType
from odpiece.formats.container import CoderId
from odpiece.formats.errors import DamagedError, OdpieceError, OptionError, UnknownModelError
from odpiece.models.library import load_model
from odpiece.models.tile_tables import write_tables

REFERENCE = Path(__file__).parents[2] / "reference" / "onedpiece_tiny.npz"
GOLDEN = Path(__file__).parent / "golden.odp"


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE, allow_pickle=False) as file:
        return {name: file[name] for name in ("in.images_u8", "ref.token_ids")}


@pytest.fixture(scope="module")
def square(reference):
    """uint8 (256, 256, 3), the first picture of the reference."""
    return np.ascontiguousarray(reference["in.images_u8"][0].transpose(1, 2, 0))


@pytest.fixture(scope="module")
def ids(reference):
    """Its tokens, by the published code."""
    return reference["ref.token_ids"][:1]


@pytest.fixture(scope="module")
def tables():
    """Tables under which all tokens are possible."""
    return fit(np.random.default_rng(0).integers(0, 4096, (4, 256)) // 7)[0]


@pytest.mark.parametrize("overlap", [None, 16])
def test_a_file_holds_the_tokens_of_the_published_code(tiny, square, ids, overlap):
    data = encode(square, 256, model=tiny, overlap=overlap)
    contents = read(data)
    assert (contents.tokens.ids == ids).all() and contents.header.coder == CoderId.RAW
    assert len(data) == 16 + 256 * 12 // 8
    assert (read_tokens(data) == ids).all()
    assert (decode(data, tokens=9) == tiny.tile_tokenizer.decode(ids[:, :9])[0]).all()


def test_the_golden_file(tiny, square, ids):
    """Made once: its bytes never change, neither written nor read."""
    assert encode(square, 24, model=tiny) == GOLDEN.read_bytes()
    assert (read(GOLDEN.read_bytes()).tokens.ids == ids[:, :24]).all()


def test_fewer_tokens_are_a_prefix(tiny, square):
    long = encode(square, 64, model=tiny, metadata={"exif": b"about it"})
    short = truncate(long, 10)
    assert short == encode(square, 10, model=tiny, metadata={"exif": b"about it"}) == truncate(short, 200)
    assert read(short).metadata == {"exif": b"about it"}


@pytest.mark.parametrize("size", [(1, 1), (40, 300), (257, 256)])
@pytest.mark.parametrize("overlap", [None, 32])
def test_any_size(tiny, size, overlap):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    data = encode(pixels, 2, model=tiny, overlap=overlap)
    assert read(data).header.tiles == (1 if overlap is None or max(size) <= 256 else 2)
    assert decode(data).shape == pixels.shape


def test_grey_and_alpha(tiny, square):
    grey = np.dstack([square[..., 0], np.where(square[..., 1] > 100, 255, 0).astype(np.uint8)])
    data = encode(grey, 3, model=tiny)
    picture = decode(data)
    assert picture.shape == grey.shape and (picture[..., 1] == grey[..., 1]).all()
    assert [chunk.type for chunk in read(data).chunks] == [ChunkType.ALPHA]


def test_static_tables(tiny_copy, square, ids, tables):
    raw = encode(square, 32, model=tiny_copy)
    first = write_tables(tiny_copy.path, tables)
    static = encode(square, 32, model=tiny_copy)
    assert static[4:8] == first.fingerprint != tiny_copy.fingerprint
    assert (read(static).tokens.ids == ids[:, :32]).all()
    assert read(truncate(static, 3)).header.coder == CoderId.STATIC
    assert encode(square, 32, model=tiny_copy, coder=CoderId.RAW) == raw
    second = write_tables(tiny_copy.path, tables[::-1].copy())
    assert [t.fingerprint for t in tiny_copy.tile_tables] == [second.fingerprint, first.fingerprint]
    assert (read(static).tokens.ids == ids[:, :32]).all() and (read(raw).tokens.ids == ids[:, :32]).all()


def test_tables_that_are_not_there(tiny_copy, square, tables):
    made = write_tables(tiny_copy.path, tables)
    data = encode(square, 4, model=tiny_copy)
    made.path.unlink()
    with pytest.raises(UnknownModelError):
        read(data)
    with pytest.raises(OptionError, match="odpiece train prior --model tiny"):
        encode(square, 4, model=tiny_copy, coder=CoderId.STATIC)


def test_tables_are_counted_on_pictures(tiny, square, tmp_path, photo):
    from PIL import Image

    (tmp_path / "notes.txt").write_text("no picture")
    for name, pixels in {"a.png": square, "b.png": photo[..., 0], "c.png": np.tile(photo, (2, 2, 1))}.items():
        Image.fromarray(pixels).save(tmp_path / name)
    found, skipped = count_tokens(tiny, sorted(tmp_path.iterdir()))
    assert found.shape == (4, 256) and [path.name for path in skipped] == ["notes.txt"]
    assert (found[3] == tiny.tile_tokenizer.encode(np.tile(photo, (2, 2, 1))[None, 64:320, 128:384])).all()
    with pytest.raises(OptionError, match="two pictures"):
        count_tokens(tiny, [tmp_path / "a.png"])
    with pytest.raises(OptionError, match="no One-D-Piece model"):
        count_tokens(load_model(), [])


def test_pictures_held_out_of_training_are_not_counted(tiny_copy, square, tmp_path, monkeypatch):
    from PIL import Image

    for name in ("a.png", "b.png", "held.png"):
        Image.fromarray(square).save(tmp_path / name)
    monkeypatch.setattr(histograms, "held_out", lambda: {"b.png": "faces", "held.png": "text"})
    with pytest.raises(OptionError, match="two pictures"):
        make_tables(tiny_copy, [tmp_path])
    monkeypatch.setattr(histograms, "held_out", dict)
    tables, _, _ = make_tables(tiny_copy, [tmp_path])
    assert tables.path.is_file()


def test_a_cut_file(tiny, square):
    data = encode(np.hstack([square, square[:, ::-1]]), 20, model=tiny, overlap=0)
    with pytest.raises(DamagedError):
        read(data[:40])
    contents = read_partial(data[:40])
    assert not contents.complete and 8 <= contents.certain <= 16
    whole = read(data)
    kept = contents.tokens.lengths.tolist()
    for got, want, length in zip(contents.tokens.ids, whole.tokens.ids, kept):
        assert (got[:length] == want[:length]).all()
    picture = contents.picture(contents.tokens)
    assert (picture[:, :256] == decode(data, tokens=kept[0])[:, :256]).all()
    assert [tokens.count for tokens in contents.progress()][:3] == [2, 4, 8]
    nothing = read_partial(data[:16])
    assert nothing.certain == 0 and (nothing.picture(nothing.tokens) == 128).all()


def test_damage_is_found(tiny, square):
    data = encode(square, 16, model=tiny)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        with pytest.raises(OdpieceError):
            read(bytes(damaged))


@pytest.mark.parametrize("more", [b"\0", b"\xff", b"and more than a word"])
def test_appended_bytes_are_damage(tiny, square, more):
    data = encode(square, 16, model=tiny)
    with pytest.raises(DamagedError):
        read(data + more)
    part = read_partial(data + more)
    assert not part.complete and (part.tokens.ids == read(data).tokens.ids)[:, :14].all()


def test_models_and_headers_that_do_not_fit(tiny, square):
    tiles, bands = encode(square, 4, model=tiny), encode(square, 4)
    with pytest.raises(DamagedError, match="has no tiles"):
        read(tiles[:4] + load_model().fingerprint + tiles[8:])
    with pytest.raises(DamagedError, match="announces none"):
        read(bands[:4] + tiny.fingerprint + bands[8:])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"q": 257}, "256 tokens"),
        ({"coder": CoderId.LEARNED}, "static or raw"),
        ({"overlap": 129}, "0 to 128"),
        ({"coder": 7}, "coder is 7"),
    ],
)
def test_options_that_do_not_fit(tiny, square, options, message):
    with pytest.raises(OptionError, match=message):
        encode(square, **({"model": tiny} | options))


def test_overlap_is_for_tiles_and_looks_for_bands(tiny, square):
    with pytest.raises(OptionError, match="One-D-Piece"):
        encode(square, overlap=8)
    with pytest.raises(OptionError, match="one look"):
        decode(encode(square, 2, model=tiny), look="natural")


def test_sizes_and_qualities_are_met(tiny, square):
    assert len(encode_to_size(square, 100, model=tiny)) == 100
    assert read(encode_to_size(square, 10**6, model=tiny)).header.q == 255  # what the model was trained to use
    data = encode_to_psnr(square, 6.0, model=tiny)
    assert psnr(decode(data), square) >= 6.0
