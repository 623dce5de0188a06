"""Pictures and files of One-D-Piece tokens."""

from dataclasses import dataclass, replace

import numpy as np

from odpiece.codec.arguments import PSNR, check_tune
from odpiece.codec.channels import to_colours
from odpiece.codec.family import EFFORT, Analyzed, Contents, pack
from odpiece.codec.one_d_piece.tiles import NO_TOKENS, cut, join
from odpiece.codec.one_d_piece.tokens import GROUP_ENDS, TileTokens, raw_table, walk
from odpiece.codec.range_coder import CutReader, WholeReader, Writer
from odpiece.formats.container import CoderId, StoredSegment
from odpiece.formats.errors import DamagedError, OptionError, UnknownModelError
from odpiece.formats.tiles import MOST_TOKENS, TILE, VOCABULARY, Layout
from odpiece.models.interface import LOOKS, ONE_D_PIECE


@dataclass(frozen=True)
class TileContents(Contents):
    """What a file of tiles holds; `tokens` are TileTokens."""

    token_bits = (VOCABULARY - 1).bit_length()

    @classmethod
    def of_parts(cls, header, chunks, stored, model, partial=False):
        if model.family != ONE_D_PIECE:
            raise DamagedError(f"the header is damaged: model {model.name} has no tiles")
        (part,), table = stored, _table_to_read(header, model)
        reader = CutReader(part.payload) if partial else WholeReader(part.payload)
        tokens, groups = walk(reader, table, header.tiles, header.q)
        if not partial:
            reader.check_end()
        whole = tokens.count == header.tiles * header.q
        return cls(header, tokens, model, groups, chunks, whole_segments=int(whole), complete=not partial)

    @classmethod
    def prepare(cls, model, header, look):
        if model.backend == "onnx":
            model.tile_tokenizer.prepare("decoder")

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


class TiledPicture(Analyzed):
    """A picture whose tokens are known; `encode` takes q from 1 to 256.

    The tokens are all there is, so effort, slope and last change nothing.
    `highest` is the most tokens that the model was trained to use.
    """

    contents = TileContents

    def __init__(self, pixels, *, model, coder=None, fixed=True, metadata=None, overlap=None, scale=1, tune=PSNR):
        if check_tune(tune) != PSNR:
            raise OptionError(f"model {model.name} has no choices to tune: leave out --tune")
        if scale != 1:
            raise OptionError(f"model {model.name} codes pictures at their own size or as one tile: give --scale 1")
        super().__init__(pixels, model, metadata)
        self._layout, self.highest = Layout(overlap), trained_tokens(model)
        self._id, self._table, self._fingerprint = _coder_to_write(model, coder)
        colours = self._colours.repeat(3, axis=2) if self.grey else self._colours
        self._ids = np.concatenate([model.tile_tokenizer.encode(batch) for batch in cut(colours, self._layout)])

    def encode(self, q, *, effort=EFFORT, slope=1.0, last=False):
        if not 1 <= q <= MOST_TOKENS:
            raise OptionError(f"q is {q}, a tile of model {self.model.name} has {MOST_TOKENS} tokens: give 1 to that")
        header = self._header(q, self._id, self._fingerprint, self._layout)
        return _pack(TileTokens.of(self._ids[:, :q]), header, self._table, self._chunks)


def trained_tokens(model):
    """How many tokens of a tile a One-D-Piece model was trained to use."""
    return model.facts.get("trained_tokens", MOST_TOKENS)


def _pack(tokens, header, table, chunks):
    writer = Writer()
    walk(writer, table, *tokens.ids.shape, tokens.ids)
    return pack(header, tokens, [StoredSegment(writer.to_bytes())], chunks)


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
