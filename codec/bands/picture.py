"""Whole files: pixels to the bytes of an .odp file and back."""

from dataclasses import dataclass, replace

import numpy as np

from odpiece.codec.bands.coders import coder_of
from odpiece.codec.bands.quantization import source
from odpiece.codec.bands.refinement import ROUNDS, refine, tiled_error
from odpiece.codec.bands.segments import decode_segments, encode_segments, join_groups, join_tokens
from odpiece.codec.bands.tokens import Tokens, first_groups
from odpiece.codec.bands.walk import GroupBits
from odpiece.codec.bands.windows import analyze, synthesize
from odpiece.codec.channels import alpha_chunks, split_channels
from odpiece.formats import container
from odpiece.formats.alpha import unpack_alpha
from odpiece.formats.chunks import Chunk, ChunkType, metadata_chunks, metadata_of
from odpiece.formats.container import MAX_PIXELS, CoderId, Header
from odpiece.formats.errors import DamagedError, OptionError
from odpiece.models.interface import BANDS, LATENTS_PER_TOKEN, LOOKS, ONE_D_PIECE, TOKENS
from odpiece.models.library import Model, find_model, load_model

EFFORT = 1
FEW = 1 << 26  # numbers in a picture up to which the latents of all bands are kept, whatever its first quality is
RAW_BITS = 6  # a latent, under an alphabet of 64


def encode(pixels, q=64, *, effort=EFFORT, **options):
    """The bytes of an .odp file.

    `pixels` is a Pillow image, or uint8 sRGB of any height H and width W from 1: (H, W, 3), with alpha (H, W, 4),
    grey (H, W), or grey with alpha (H, W, 2); `q` the most tokens that each 64x64 piece keeps, 1..1024; `effort`
    0..9 how long to search for better tokens (codec/bands/refinement.py). Further options, also of `analyzed`:
    `model` a Model (default: the installed one); `coder` a CoderId (default: the best that the model has); `fixed`
    keeps all q tokens even where fewer pay; `metadata` a dict of bytes to keep, with any of the keys "exif", "icc" (of
    which then the colours are) and "xmp"; `overlap` 0..128, for One-D-Piece models, cuts the picture into tiles that
    overlap by so many pixels, instead of resizing it to one tile. Raises OptionError.

    >>> import numpy as np
    >>> data = encode(np.full((40, 50, 3), 128, np.uint8), q=4)
    >>> decode(data).shape
    (40, 50, 3)
    """
    q = check_count(q, "q")
    return analyzed(pixels, **options).encode(q, effort=effort, last=True)


def analyzed(pixels, *, model=None, overlap=None, **options):
    """The picture as Analyzed, or as TiledPicture (codec/one_d_piece) by a One-D-Piece model; arguments of `encode`."""
    model = model or load_model()
    if model.family == ONE_D_PIECE:
        from odpiece.codec.one_d_piece.picture import TiledPicture

        return TiledPicture(pixels, model=model, overlap=overlap, **options)
    if overlap is not None:
        raise OptionError(f"model {model.name} has no tiles that could overlap: that is for One-D-Piece models")
    return Analyzed(pixels, model=model, **options)


class Analyzed:
    """A picture whose latents are known, to be encoded at any number of qualities; arguments as of `encode`.

    `pixels` are its colours, uint8 (H, W, 3) or grey (H, W), without alpha, filled in where that is 0;
    `highest` is the largest q.
    """

    highest = TOKENS

    def __init__(self, pixels, *, model=None, coder=None, fixed=False, metadata=None):
        colours, alpha = split_channels(pixels)
        coder = CoderId.LEARNED if coder is None else coder
        if coder not in list(CoderId):
            raise OptionError(f"coder is {coder}, give one of {', '.join(map(str, CoderId))}")
        self.model, self._id, self._fixed = model or load_model(), CoderId(coder), fixed
        self._coder = coder_of(self._id, self.model)
        self.grey = colours.shape[2] == 1
        self.pixels = colours[..., 0] if self.grey else colours
        self._chunks = alpha_chunks(alpha) + metadata_chunks(metadata or {})
        self._alpha, self._latents, self._most = alpha, (), 0

    def _latents_at(self, q):
        """Latents that hold all that quality `q` codes, found once for all qualities up to those of its bands."""
        if q > self._most:
            most = BANDS[-1].first_token
            self._most = most if most >= q and self.pixels.size > FEW else TOKENS
            self._latents = analyze(self.model.transform, self.pixels, self._most)
        return self._latents

    def encode(self, q, *, effort=EFFORT, slope=1.0, last=False):
        """The bytes of an .odp file at quality `q`, 1..1024, and `effort`, 0..9.

        `slope` is the price of a bit as a multiple of the usual one: between the sizes of two qualities lie
        those of the higher one at slopes above 1. `last` says that no other encoding follows, which saves memory.
        """
        if effort not in range(len(ROUNDS)):
            raise OptionError(f"effort is {effort}, give a whole number from 0 to {len(ROUNDS) - 1}")
        height, width = self.pixels.shape[:2]
        kinds = {"grey": self.grey, "has_chunks": bool(self._chunks)}
        header = Header(width, height, q, self._id, self.model.fingerprint, **kinds)
        table = self.model.static_tables["latents"]

        def code(latents):
            def source_of(segment):
                return source(segment.crop(latents), q, self._coder, table, slope, self._fixed)

            segments, tokens = encode_segments(source_of, self._coder, header)
            return _pack(segments, tokens, header, self._chunks), tokens

        def measure(tokens, latents):
            return tiled_error(self.model.transform, tokens, q, self.pixels, self._alpha, latents)

        latents = self._latents_at(q)
        if last:
            self._latents, self._most = (), 0
        elif ROUNDS[effort]:
            latents = tuple(z.copy() if z.flags.writeable else z for z in latents)
        return refine(latents, q, slope, code, measure, ROUNDS[effort])

    def decoded(self, data, look=LOOKS[0]):
        """What the .odp file `data` of this picture makes of `pixels`, of the same shape."""
        return read(data, model=self.model).colours(look=look)


def decode(data, *, tokens=None, look=LOOKS[0], model=None, max_pixels=MAX_PIXELS):
    """The picture of an .odp file's bytes, uint8, of the shape that was given to `encode`.

    `tokens` (1..1024) decodes only the first so many of each piece: a coarser picture; `look` is "faithful",
    nearest to the original, or "natural", with the texture of photographs; `model` is for files whose
    model is not installed. Raises NotOdpError, VersionError, UnknownModelError, DamagedError, OptionError, and
    ImageError for a picture of more than `max_pixels`, before anything of its size is made.
    """
    contents = read(data, model=model, max_pixels=max_pixels)
    kept = contents.tokens if tokens is None else contents.tokens.first(check_count(tokens, "tokens"))
    return contents.picture(kept, look)


def truncate(data, tokens, *, model=None, max_pixels=MAX_PIXELS):
    """The bytes of an .odp file that holds exactly the first `tokens` (1..1024) tokens of every piece of `data`.

    The picture is not needed and no pixel is computed; chunks are kept. Raises as `decode` does.
    """
    contents = read(data, model=model, max_pixels=max_pixels)
    return contents.truncated(min(check_count(tokens, "tokens"), contents.header.limit))


@dataclass(frozen=True)
class Contents:
    """What a file holds: its header, its tokens, the model they belong to, chunks, and where its bits went.

    `complete` is false for what could be saved of a cut or damaged file, of which only `whole_segments` are
    whole: tokens that are not certain are zero.
    """

    header: Header
    tokens: Tokens
    model: Model
    groups: list[GroupBits]
    chunks: tuple[Chunk, ...] = ()
    whole_segments: int = 1
    complete: bool = True

    @property
    def certain(self):
        """Tokens that were decoded with certainty, in all pieces together."""
        return sum(group.tokens for group in self.groups)

    @property
    def raw_bits(self):
        """Bits of the kept tokens under a fixed alphabet of 64 values a latent."""
        return self.tokens.count * LATENTS_PER_TOKEN * RAW_BITS

    @property
    def metadata(self):
        """The dict of "exif", "icc" and "xmp", as bytes, that the file keeps. Raises DamagedError."""
        return metadata_of(self.chunks)

    def progress(self):
        """The tokens known after each of `groups`, coarse to fine: an iterator of Tokens."""
        for count in range(len(self.groups)):
            yield first_groups(self.tokens, count)

    def truncated(self, limit):
        """The bytes of a file of the first `limit` tokens, from 1 to the header's limit, of every piece."""
        kept, header = self.tokens.first(limit), replace(self.header, limit=limit)
        coder = coder_of(header.coder, self.model)
        return _pack(*encode_segments(lambda segment: segment.crop_tokens(kept), coder, header), header, self.chunks)

    def picture(self, tokens, look=LOOKS[0]):
        """uint8 of the shape that was encoded: the picture of `tokens`, these or fewer. Raises DamagedError."""
        if look not in LOOKS:
            raise OptionError(f"look is {look}, give one of {', '.join(LOOKS)}")
        alpha = [chunk.data for chunk in self.chunks if chunk.type == ChunkType.ALPHA]
        if not alpha:
            return self.colours(tokens, look)
        plane = unpack_alpha(alpha[0], self.header.height, self.header.width)
        return np.dstack([self.colours(tokens, look), plane])

    def colours(self, tokens=None, look=LOOKS[0]):
        """uint8 (H, W, 3), or grey (H, W): the picture of `tokens` (default: all) without alpha."""
        tokens, header = self.tokens if tokens is None else tokens, self.header
        return synthesize(self.model.transform, tokens, header.q, look, (header.height, header.width), header.grey)


def read(data, *, model=None, max_pixels=MAX_PIXELS):
    """Contents of an .odp file's bytes, without its pixels. Raises as `decode` does."""
    contents = _read(data, model, max_pixels)
    if container.checksum(contents.header, *contents.tokens.buffers()) != contents.header.checksum:
        raise DamagedError("the file is cut or damaged: its checksum does not match")
    return contents


def read_partial(data, *, model=None, max_pixels=MAX_PIXELS):
    """Contents of a file whose end may be missing or whose segments may be damaged: all of a whole file, else
    what is certain.

    Nothing can be checked in a segment that was cut, so damage before the cut goes unseen. Raises
    NotOdpError, VersionError, UnknownModelError, ImageError, and DamagedError for a damaged header.
    """
    try:
        return read(data, model=model, max_pixels=max_pixels)
    except DamagedError:
        return _read(data, model, max_pixels, partial=True)


def _read(data, model, max_pixels, partial=False):
    """Contents, of which `read` checks the checksum."""
    header, chunks, stored = container.unpack(data, max_pixels=max_pixels, partial=partial)
    if model is None or not model.owns(header.model):
        model = find_model(header.model, *((model.backend, model.device) if model else ()))
    if header.layout:
        from odpiece.codec.one_d_piece.picture import read_tiles

        return read_tiles(header, chunks, stored, model, partial)
    if model.family == ONE_D_PIECE:
        raise DamagedError(f"the header is damaged: model {model.name} makes tiles, and it announces none")
    parts = decode_segments(stored, coder_of(header.coder, model), header, partial)
    tokens = join_tokens([part.tokens for part in parts], header)
    groups = join_groups([part.groups for part in parts])
    if not groups and len(parts) > 1:
        raise DamagedError("the file is cut or damaged: nothing of it can be decoded")
    return Contents(header, tokens, model, groups, chunks, sum(part.whole for part in parts), complete=not partial)


def _pack(segments, tokens, header, chunks):
    """The bytes of a file from its StoredSegments and Tokens; sets the checksum of `header`."""
    header = replace(header, checksum=container.checksum(header, *tokens.buffers()))
    return container.pack(header, segments, chunks)


def check_count(count, name):
    """`count` as an int. Raises OptionError, with its `name`, unless it is a whole number from 1 to 1024."""
    if not (isinstance(count, (int, np.integer)) and 1 <= count <= TOKENS):
        raise OptionError(f"{name} is {count}, give a whole number from 1 to {TOKENS}")
    return int(count)
