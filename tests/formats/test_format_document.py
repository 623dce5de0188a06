"""docs/format.md is enough: a reader written from it alone, with nothing of the project, agrees on all golden files."""

import ast
import json
import math
import textwrap
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from odpiece.codec.bands.coders import RawCoder
from odpiece.codec.bands.walk import walk
from odpiece.codec.files import encode, read
from odpiece.codec.range_coder import Writer
from odpiece.formats.container import unpack
from odpiece.formats.resampling import enlarged

ROOT = Path(__file__).parents[2]
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.odp"))
BANDS = (  # block, latents, first token, groups
    (64, 48, 0, (1, 1, 2, 4, 8)),
    (32, 36, 16, (1, 1, 2, 4, 4)),
    (16, 180, 64, (1, 1, 2, 4, 8, 12, 16, 16)),
    (16, 192, 1024, (8, 8, 16, 16, 16)),
    (8, 96, 2048, (4, 4, 8, 8, 8)),
)
ROWS = (48, 36, 60, 64, 32)  # of a static table
LENGTHS = (0, 1, 2, 4, 8, 16, 20, 24, 32, 48, 64, 80, 96, 128, 192, 320, 512, 768, 1024)
LENGTHS += (1152, 1280, 1536, 1792, 2048, 2304, 2560, 3072, 3584, 4096)
ALL = (1 << 64) - 1


class Bytes:
    """A position in a file's bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count : self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def varint(self):
        number, shift, byte = 0, 0, 128
        while byte & 128:
            byte = self.number(1)
            number, shift = number | (byte & 127) << shift, shift + 7
        return number


def read_header(file):
    assert file.take(2) == b"\x9d\x50"
    fields = file.number(2)
    h = {"version": fields >> 13, "coder": fields >> 10 & 3, "q": (fields & 1023) + 1, "model": file.take(4)}
    h["width"], h["height"] = file.varint() + 1, file.varint() + 1
    flags = file.number(1) if fields >> 12 & 1 else 0
    h["grey"], h["chunks"] = bool(flags & 2), bool(flags & 4)
    h["q"] += (flags >> 6) * 1024
    h["scale"] = {0: 1, 1: 2, 2: 4}[flags >> 4 & 3]
    h["limit"] = file.varint() + 1 if flags & 1 else h["q"]
    h["fields"] = file.data[: file.at]
    h["rows"], h["columns"] = (math.ceil(math.ceil(h[side] / h["scale"]) / 64) for side in ("height", "width"))
    h["checksum_bytes"] = 2 if h["rows"] * h["columns"] <= 64 else 4
    h["checksum"] = file.number(h["checksum_bytes"])
    return h


def read_chunks(file):
    more = True
    while more:
        start, head = file.at, file.number(1)
        data = file.take(file.varint())
        body, size = file.data[start : file.at], 2 if len(data) <= 64 else 4
        assert file.number(size) == zlib.crc32(body) % 256**size
        yield head & 63, bool(head & 64), data
        more = bool(head & 128)


def borders(count, q):
    side = 64 if q <= 16 else 32 if q <= 64 else 16 if q <= 2048 else 8
    parts = -(-count // side)
    return [i * count // parts for i in range(parts + 1)]


def read_segments(file, h):
    """(payload, checksum or None) of each segment."""
    count = (len(borders(h["rows"], h["q"])) - 1) * (len(borders(h["columns"], h["q"])) - 1)
    if count == 1:
        return [(file.data[file.at :], None)]
    table = [(file.varint(), file.number(2)) for _ in range(count)]
    payloads = [b""] * count
    for r in range(16):
        for i, (length, _) in enumerate(table):
            payloads[i] += file.take((r + 1) * length // 16 - r * length // 16)
    assert file.at == len(file.data)
    return list(zip(payloads, (crc for _, crc in table)))


def parse(data):
    file = Bytes(data)
    header = read_header(file)
    chunks = list(read_chunks(file)) if header["chunks"] else []
    return header, chunks, read_segments(file, header)


class RangeDecoder:
    def __init__(self, payload):
        self.words = iter(np.frombuffer(payload + bytes(-len(payload) % 4), ">u4").tolist())
        self.lower, self.range, self.point = 0, ALL, next(self.words, 0) << 32 | next(self.words, 0)

    def find(self, symbol_of):
        """`symbol_of` gives (symbol, left, p) of a quantile."""
        scale = self.range >> 24
        quantile = ((self.point - self.lower) & ALL) // scale
        assert quantile < 1 << 24
        symbol, left, p = symbol_of(quantile)
        self.lower, self.range = self.lower + scale * left & ALL, scale * p
        if self.range < 1 << 32:
            self.lower, self.range = self.lower << 32 & ALL, self.range << 32
            self.point = self.point << 32 & ALL | next(self.words, 0)
        return int(symbol)

    def row(self, numbers):
        lefts = np.concatenate([[0], np.cumsum(numbers.astype(np.int64) + 1)])

        def symbol_of(quantile):
            symbol = int(np.searchsorted(lefts, quantile, side="right")) - 1
            return symbol, int(lefts[symbol]), int(lefts[symbol + 1] - lefts[symbol])

        return self.find(symbol_of)

    def uniform(self, n):
        p = (1 << 24) // n

        def symbol_of(quantile):
            symbol = min(quantile // p, n - 1)
            return symbol, symbol * p, p if symbol < n - 1 else (1 << 24) - symbol * p

        return self.find(symbol_of)


def tables(coder):
    """(lengths rows, latents rows by (octave, class, latent)) of the raw or the static coder."""
    if coder == 0:
        return np.array([[578_543] + [578_523] * 28] * 13), np.full((13, 4, 240, 64), (1 << 18) - 1)
    name = json.loads((ROOT / "models/weights/index.json").read_text())["default"]
    with safe_open(ROOT / "models" / "weights" / f"{name}.safetensors", framework="numpy") as tensors:
        return tensors.get_tensor("static.lengths"), tensors.get_tensor("static.latents")


def read_tokens(payload, h, rows, columns):
    """(lengths (rows, columns), a list of (latents, blocks, blocks) a band) of a segment."""
    length_rows, latent_rows = tables(h["coder"])
    decoder, octave = RangeDecoder(payload), (h["q"] ** 2).bit_length() // 2
    full = next(i for i, length in enumerate(LENGTHS) if length >= h["limit"])
    steps = np.array([decoder.row(length_rows[octave]) for _ in range(rows * columns)]).reshape(rows, columns)
    lengths = np.minimum(np.array(LENGTHS)[full - steps], h["limit"])
    classes = np.array([0, 1, 1, 2, 2] + [3] * 24)[steps]
    return lengths, [_band(decoder, h["coder"], b, lengths, classes, latent_rows[octave]) for b in range(5)]


def _band(decoder, coder, number, lengths, classes, rows):
    block, latents, first, groups = BANDS[number]
    side, offset = 64 // block, sum(ROWS[:number])
    out = np.zeros((latents, lengths.shape[0] * side, lengths.shape[1] * side), int)
    start = 0
    for ranks in groups:
        places = [[], [], []]
        for k, y, x in np.ndindex(3 * ranks, *out.shape[1:]):
            token = first + (start + k // 3) * side**2 + y % side * side + x % side
            piece = y // side, x // side
            if token < lengths[piece]:
                phase = 0 if number else {(0, 0): 0, (1, 1): 1}.get((y % 2, x % 2), 2)
                latent = 3 * start + k
                row = (classes[piece], offset + latent * ROWS[number] // latents) if coder else (0, 0)
                places[phase].append((row, (3 * start + k, y, x)))
        for phase in places:
            _phase(decoder, sorted(phase, key=lambda place: place[0]), rows, out)
        start += ranks
    return out


def _phase(decoder, places, rows, out):
    escaped = []
    for row, at in places:
        out[at] = decoder.row(rows[row]) - 31
        if out[at] == 32:
            escaped.append(at)
    escaped.sort()
    signs = [-1 if decoder.uniform(2) else 1 for _ in escaped]
    sizes = [decoder.uniform(17) for _ in escaped]
    for n in sorted(set(sizes)):
        for at, sign, size in zip(escaped, signs, sizes):
            if size == n:
                out[at] = sign * (31 + 2**n + (decoder.uniform(2**n) if n else 0))


def token_bytes(lengths, bands):
    return lengths.astype("<u2").tobytes() + b"".join(z.astype("<i2").tobytes() for z in bands)


def scaled_up(values, s):
    """int (.., s * n) of int values (.., n), s times as wide along the last axis."""
    cut = values.shape[-1] - 1
    columns = []
    for i in range(s * values.shape[-1]):
        x = Fraction(2 * i + 1, 2 * s) - Fraction(1, 2)
        n = math.floor(x)
        t = x - n
        weights = -t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2
        shares = [int(w * 1024) for w in weights]
        assert [Fraction(share, 1024) for share in shares] == list(weights)
        around = [values[..., min(max(n + k, 0), cut)] for k in (-1, 0, 1, 2)]
        columns.append(sum(share * p for share, p in zip(shares, around)) + 1024 >> 11)
    return np.clip(np.stack(columns, axis=-1), 0, 255)


def table_of_the_docstring():
    doc = ast.get_docstring(ast.parse((ROOT / "formats" / "container.py").read_text()))
    return doc[doc.index("All numbers") :].rstrip()


def test_document_and_docstring_have_the_same_table():
    assert f"```\n{table_of_the_docstring()}\n```" in (ROOT / "docs" / "format.md").read_text()
    assert textwrap.dedent(table_of_the_docstring()).count("\n") > 40


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_the_reader_agrees_about_header_chunks_and_segments(path):
    ours = unpack(path.read_bytes())
    header, chunks, segments = parse(path.read_bytes())
    assert header["version"] == 1
    for name in ("width", "height", "q", "coder", "model", "limit", "checksum", "grey", "scale", "rows", "columns"):
        assert header[name] == getattr(ours.header, name), name
    assert chunks == [(chunk.type, chunk.critical, chunk.data) for chunk in ours.chunks]
    assert segments == [(segment.payload, segment.checksum) for segment in ours.segments]


@pytest.mark.parametrize("name", ["photo-raw", "photo-static", "photo-static-q4096", "segments-raw"])
def test_the_reader_agrees_about_tokens(name):
    data = (ROOT / "tests" / "golden" / f"{name}.odp").read_bytes()
    header, _, segments = parse(data)
    edges = [borders(header[side], header["q"]) for side in ("rows", "columns")]
    boxes = [(t, b, l, r) for t, b in zip(edges[0], edges[0][1:]) for l, r in zip(edges[1], edges[1][1:])]  # noqa: E741
    ours = read(data).tokens
    for (payload, crc), (top, bottom, left, right) in zip(segments, boxes):
        lengths, bands = read_tokens(payload, header, bottom - top, right - left)
        assert (lengths == ours.lengths[top:bottom, left:right]).all()
        for band, z, (block, *_) in zip(bands, ours.bands, BANDS):
            n = 64 // block
            assert (band == z[:, top * n : bottom * n, left * n : right * n]).all()
        if crc is not None:
            assert zlib.crc32(header["fields"] + token_bytes(lengths, bands)) % 256**2 == crc
    whole = zlib.crc32(header["fields"] + ours.to_bytes())
    assert whole % 256 ** header["checksum_bytes"] == header["checksum"]


@pytest.mark.parametrize("q", [90, 3000])
def test_the_reader_agrees_about_escapes(q, random_tokens):
    """Values that no photograph has, lengths of all kinds."""
    writer, tokens = Writer(), random_tokens(2, 2, q, escapes=0.02)
    walk(writer, RawCoder(), q, 2, 2, tokens)
    lengths, bands = read_tokens(writer.to_bytes(), {"q": q, "limit": q, "coder": 0}, 2, 2)
    assert token_bytes(lengths, bands) == tokens.to_bytes()
    assert max(np.abs(z).max() for z in bands) > 31


@pytest.mark.parametrize("scale", [2, 4])
def test_the_reader_agrees_about_headers_of_small_pictures(scale):
    data = encode(np.full((97, 203), 80, np.uint8), 2, scale=f"1/{scale}", coder=0, effort=0)
    header, ours = parse(data)[0], unpack(data).header
    assert header["scale"] == ours.scale == scale and header["q"] == ours.q == 2 * scale**2
    assert (header["height"], header["width"]) == (97, 203) and header["fields"] == data[:12]
    assert (header["rows"], header["columns"]) == (ours.rows, ours.columns) == (1, {2: 2, 4: 1}[scale])
    assert header["checksum"] == ours.checksum


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (37, 23), (300, 5), (530, 3)])
def test_the_reader_scales_up_to_the_same_pixels(scale, size):
    """Lines of the large picture come from strips of the small one, and nothing shows it."""
    small = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), np.uint8)
    lines = scaled_up(small.transpose(0, 2, 1).astype(int), scale)  # (h, 3, W)
    expected = scaled_up(lines.transpose(2, 1, 0), scale).transpose(2, 0, 1)  # (H, W, 3)
    height, width = scale * size[0] - scale + 1, scale * size[1]
    assert (enlarged(small, scale, height, width) == expected[:height, :width]).all()
    grey = enlarged(small[..., 0], scale, height, width)
    assert (grey == expected[:height, :width, 0]).all()
