"""Whole files: pixels to the bytes of an .odp file and back."""

from dataclasses import dataclass, replace

import numpy as np

from odpiece.codec.coders import coder_of
from odpiece.codec.quantization import dequantize, source, whole_pieces
from odpiece.codec.range_coder import CutReader, Reader, Writer
from odpiece.codec.tokens import Tokens, first_groups
from odpiece.codec.walk import GroupBits, walk
from odpiece.formats import container
from odpiece.formats.container import CoderId, Header
from odpiece.formats.errors import DamagedError, OptionError
from odpiece.models.interface import LATENTS_PER_TOKEN, TOKENS
from odpiece.models.library import Model, find_model, load_model

RAW_BITS = 6  # a latent, under an alphabet of 64


def encode(pixels, q=64, *, model=None, coder=CoderId.LEARNED):
    """The bytes of an .odp file.

    `pixels` is uint8 (H, W, 3) sRGB, any H and W from 1; `q` the most tokens that each 64x64 piece
    keeps, 1..1024; `model` a Model (default: the installed one); `coder` a CoderId. Raises OptionError.

    >>> import numpy as np
    >>> data = encode(np.full((40, 50, 3), 128, np.uint8), q=4)
    >>> decode(data).shape
    (40, 50, 3)
    """
    q = _checked_count(q, "q")
    return Analyzed(pixels, model=model, coder=coder).encode(q)


class Analyzed:
    """A picture whose latents are known, to be encoded at any number of qualities; arguments as of `encode`."""

    def __init__(self, pixels, *, model=None, coder=CoderId.LEARNED):
        self.pixels = _checked_pixels(pixels)
        if coder not in list(CoderId):
            raise OptionError(f"coder is {coder}, give one of {', '.join(map(str, CoderId))}")
        self.model, self._id = model or load_model(), CoderId(coder)
        self._coder = coder_of(self._id, self.model)
        self._latents = self.model.transform.analyze(whole_pieces(self.pixels))

    def encode(self, q):
        """The bytes of an .odp file at quality `q`, 1..1024."""
        height, width, _ = self.pixels.shape
        header = Header(width, height, q, self._id, self.model.fingerprint)
        return _pack(source(self._latents, q, self._coder, self.model.static_tables["latents"]), header, self.model)


def decode(data, *, tokens=None, model=None):
    """The picture, uint8 (H, W, 3) sRGB, of an .odp file's bytes.

    `tokens` (1..1024) decodes only the first so many of each piece: a coarser picture; `model` is for files
    whose model is not installed. Raises NotOdpError, VersionError, UnknownModelError, DamagedError, OptionError.
    """
    contents = read(data, model=model)
    kept = contents.tokens if tokens is None else contents.tokens.first(_checked_count(tokens, "tokens"))
    return contents.picture(kept)


def truncate(data, tokens, *, model=None):
    """The bytes of an .odp file that holds exactly the first `tokens` (1..1024) tokens of every piece of `data`.

    The picture is not needed and no pixel is computed. Raises as `decode` does.
    """
    contents = read(data, model=model)
    limit = min(_checked_count(tokens, "tokens"), contents.header.limit)
    return _pack(contents.tokens.first(limit), replace(contents.header, limit=limit), contents.model)


@dataclass(frozen=True)
class Contents:
    """What a file holds: its header, its tokens, the model they belong to, and where its bits went.

    `complete` is false for what could be saved of a cut file: tokens that are not certain are zero.
    """

    header: Header
    tokens: Tokens
    model: Model
    groups: list[GroupBits]
    complete: bool = True

    @property
    def certain(self):
        """Tokens that were decoded with certainty, in all pieces together."""
        return sum(group.tokens for group in self.groups)

    @property
    def raw_bits(self):
        """Bits of the kept tokens under a fixed alphabet of 64 values a latent."""
        return self.tokens.count * LATENTS_PER_TOKEN * RAW_BITS

    def progress(self):
        """The tokens known after each of `groups`, coarse to fine: an iterator of Tokens."""
        for count in range(len(self.groups)):
            yield first_groups(self.tokens, count)

    def picture(self, tokens):
        """uint8 (H, W, 3): the picture of `tokens`, these or fewer."""
        pixels = self.model.transform.synthesize(dequantize(tokens, self.header.q), self.header.q)
        return np.ascontiguousarray(pixels[: self.header.height, : self.header.width])


def read(data, *, model=None):
    """Contents of an .odp file's bytes, without its pixels. Raises as `decode` does."""
    header, payload, model, coder = _open(data, model)
    tokens, groups = _walk(Reader(payload), coder, header)
    if container.checksum(header, tokens.to_bytes()) != header.checksum:
        raise DamagedError("the file is cut or damaged: its checksum does not match")
    return Contents(header, tokens, model, groups)


def read_partial(data, *, model=None):
    """Contents of a file whose end may be missing: all of a whole file, else what is certain.

    Nothing can be checked in a cut file, so damage before the cut goes unseen. Raises NotOdpError,
    VersionError, UnknownModelError, and DamagedError for a damaged header or what no writer writes.
    """
    try:
        return read(data, model=model)
    except DamagedError:
        header, payload, model, coder = _open(data, model)
        tokens, groups = _walk(CutReader(payload), coder, header)
        return Contents(header, tokens, model, groups, complete=False)


def _pack(source, header, model):
    """The bytes of a file from a source of tokens, see walk; the checksum of `header` is set here."""
    writer = Writer()
    tokens, _ = _walk(writer, coder_of(header.coder, model), header, source)
    header = replace(header, checksum=container.checksum(header, tokens.to_bytes()))
    return container.pack(header, writer.to_bytes())


def _open(data, model):
    header, payload = container.unpack(data)
    if model is None or model.fingerprint != header.model:
        model = find_model(header.model)
    return header, payload, model, coder_of(header.coder, model)


def _walk(channel, coder, header, source=None):
    return walk(channel, coder, header.q, header.rows, header.columns, source, limit=header.limit)


def _checked_pixels(pixels):
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise OptionError(f"pixels are {pixels.dtype} {pixels.shape}, give uint8 (height, width, 3)")
    return pixels


def _checked_count(count, name):
    if not (isinstance(count, (int, np.integer)) and 1 <= count <= TOKENS):
        raise OptionError(f"{name} is {count}, give a whole number from 1 to {TOKENS}")
    return int(count)
