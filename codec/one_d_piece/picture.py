"""Whole files of One-D-Piece tokens; codec/bands/picture.py dispatches to here."""

from dataclasses import dataclass, replace

import numpy as np

from odpiece.codec.bands.picture import Contents, read
from odpiece.codec.channels import alpha_chunks, split_channels, to_colours
from odpiece.codec.one_d_piece.tiles import NO_TOKENS, cut, join
from odpiece.codec.one_d_piece.tokens import GROUP_ENDS, TileTokens, raw_table, walk
from odpiece.codec.range_coder import CutReader, Reader, Writer
from odpiece.formats import container
from odpiece.formats.chunks import metadata_chunks
from odpiece.formats.container import CoderId, Header, StoredSegment
from odpiece.formats.errors import DamagedError, OptionError, UnknownModelError
from odpiece.formats.tiles import MOST_TOKENS, TILE, VOCABULARY, Layout
from odpiece.models.interface import LOOKS, ONE_D_PIECE

RAW_BITS = (VOCABULARY - 1).bit_length()


class TiledPicture:
    """A picture whose tokens are known, to be encoded at any number of qualities; arguments as of `encode`.

    `pixels` as in Analyzed (codec/bands/picture.py); `highest` is the most tokens that the model was trained to use.
    """

    def __init__(self, pixels, *, model, coder=None, fixed=True, metadata=None, overlap=None):
        colours, alpha = split_channels(pixels)
        self.model, self._layout = model, Layout(overlap)
        self._id, self._table, self._fingerprint = _coder_to_write(model, coder)
        self.highest = trained_tokens(model)
        self.grey = colours.shape[2] == 1
        self.pixels = colours[..., 0] if self.grey else colours
        self._chunks = alpha_chunks(alpha) + metadata_chunks(metadata or {})
        tiles = cut(colours.repeat(3, axis=2) if self.grey else colours, self._layout)
        self._ids = np.concatenate([model.tile_tokenizer.encode(batch) for batch in tiles])

    def encode(self, q, *, effort=None, slope=None, last=True):
        """The bytes of an .odp file of the first `q` tokens, 1..256, of each tile.

        The tokens are all there is, so `effort`, `slope` and `last` change nothing. Raises OptionError.
        """
        if not 1 <= q <= MOST_TOKENS:
            raise OptionError(f"q is {q}, a tile of model {self.model.name} has {MOST_TOKENS} tokens: give 1 to that")
        height, width = self.pixels.shape[:2]
        kinds = {"grey": self.grey, "has_chunks": bool(self._chunks), "layout": self._layout}
        header = Header(width, height, q, self._id, self._fingerprint, **kinds)
        return _pack(TileTokens.of(self._ids[:, :q]), header, self._table, self._chunks)

    def decoded(self, data, look=LOOKS[0]):
        """What the .odp file `data` of this picture makes of `pixels`, of the same shape."""
        return read(data, model=self.model).colours(look=look)


def trained_tokens(model):
    """How many tokens of a tile a One-D-Piece model was trained to use."""
    return model.facts.get("trained_tokens", MOST_TOKENS)


@dataclass(frozen=True)
class TileContents(Contents):
    """What a file of tiles holds; `tokens` are TileTokens."""

    @property
    def raw_bits(self):
        return self.tokens.count * RAW_BITS

    def progress(self):
        for end in GROUP_ENDS[: len(self.groups)]:
            yield self.tokens.first(end)

    def truncated(self, limit):
        header = replace(self.header, q=limit, limit=limit)
        return _pack(self.tokens.first(limit), header, _table_to_read(header, self.model), self.chunks)

    def colours(self, tokens=None, look=LOOKS[0]):
        if look != LOOKS[0]:
            raise OptionError(f"model {self.model.name} has one look: give --look {LOOKS[0]}")
        header, tokens = self.header, self.tokens if tokens is None else tokens

        def tiles_of(numbers):
            return _tiles(self.model.tile_tokenizer, tokens.ids[numbers], tokens.lengths[numbers])

        return to_colours(join(tiles_of, header.layout, header.height, header.width), header.grey)


def read_tiles(header, chunks, stored, model, partial):
    """The TileContents of a file's parts, whose checksum is not checked; `model` is the one that made them."""
    if model.family != ONE_D_PIECE:
        raise DamagedError(f"the header is damaged: model {model.name} has no tiles")
    (part,), table = stored, _table_to_read(header, model)
    reader = CutReader(part.payload) if partial else Reader(part.payload)
    tokens, groups = walk(reader, table, header.tiles, header.q)
    whole = tokens.count == header.tiles * header.q
    return TileContents(header, tokens, model, groups, chunks, whole_segments=int(whole), complete=not partial)


def _pack(tokens, header, table, chunks):
    writer = Writer()
    walk(writer, table, *tokens.ids.shape, tokens.ids)
    header = replace(header, checksum=container.checksum(header, tokens.to_bytes()))
    return container.pack(header, [StoredSegment(writer.to_bytes())], chunks)


def _coder_to_write(model, coder):
    """(CoderId, table, fingerprint) of a CoderId, or of None for the best that the model has."""
    tables = model.tile_tables
    if coder == CoderId.RAW or (coder is None and not tables):
        return CoderId.RAW, raw_table(), model.fingerprint
    if coder not in (None, CoderId.STATIC):
        raise OptionError(f"model {model.name} has no such coder: give --coder static or raw")
    if not tables:
        raise OptionError(f"model {model.name} has no tables yet: odpiece train prior --model {model.name} makes them")
    return CoderId.STATIC, tables[0].rows, tables[0].fingerprint


def _table_to_read(header, model):
    if header.coder == CoderId.RAW:
        return raw_table()
    for tables in model.tile_tables:
        if tables.fingerprint == header.model:
            return tables.rows
    raise UnknownModelError(f"made with tables {header.model.hex()}, which model {model.name} does not have")


def _tiles(tokenizer, ids, lengths):
    """Tiles, uint8 (n, 256, 256, 3), of the first `lengths` (n,) of tokens int32 (n, k)."""
    tiles = np.full((len(ids), TILE, TILE, 3), NO_TOKENS, dtype=np.uint8)
    for length in set(lengths.tolist()) - {0}:
        same = lengths == length
        tiles[same] = tokenizer.decode(ids[same, :length])
    return tiles
