"""Whole files: pixels to the bytes of an .odp file and back."""

from dataclasses import dataclass, replace

import numpy as np

from odpiece.codec.coders import coder_of
from odpiece.codec.quantization import dequantize, quantize, whole_pieces
from odpiece.codec.range_coder import Reader, Writer
from odpiece.codec.tokens import Tokens
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
    keeps, 1..1024; `model` a Model (default: the installed one); `coder` how the tokens are coded. Raises OptionError.

    >>> import numpy as np
    >>> data = encode(np.full((40, 50, 3), 128, np.uint8), q=4)
    >>> decode(data).shape
    (40, 50, 3)
    """
    pixels = _checked_pixels(pixels)
    if not (isinstance(q, (int, np.integer)) and 1 <= q <= TOKENS):
        raise OptionError(f"q is {q}, give a whole number from 1 to {TOKENS}")
    model = model or load_model()
    height, width, _ = pixels.shape
    header = Header(width, height, int(q), coder, model.fingerprint)
    tokens = quantize(model.transform.analyze(whole_pieces(pixels)), q, model.static_tables["latents"])
    return pack_tokens(tokens, header, model)


def decode(data, *, tokens=None, model=None):
    """The picture, uint8 (H, W, 3) sRGB, of an .odp file's bytes.

    `tokens` (1..1024) decodes only the first so many of each piece: a coarser picture; `model` is for files
    whose model is not installed. Raises NotOdpError, VersionError, UnknownModelError, DamagedError, OptionError.
    """
    contents = read(data, model=model)
    kept = contents.tokens if tokens is None else contents.tokens.first(_checked_count(tokens))
    header = contents.header
    pixels = contents.model.transform.synthesize(dequantize(kept, header.q), header.q)
    return np.ascontiguousarray(pixels[: header.height, : header.width])


@dataclass(frozen=True)
class Contents:
    """What a file holds: its header, its tokens, the model they belong to, and where its bits went."""

    header: Header
    tokens: Tokens
    model: Model
    groups: list[GroupBits]

    @property
    def raw_bits(self):
        """Bits of the kept tokens under a fixed alphabet of 64 values a latent."""
        return self.tokens.count * LATENTS_PER_TOKEN * RAW_BITS


def read(data, *, model=None):
    """Contents of an .odp file's bytes, without its pixels. Raises as `decode` does."""
    header, payload = container.unpack(data)
    if model is None or model.fingerprint != header.model:
        model = find_model(header.model)
    coder = coder_of(header.coder, model)
    tokens, groups = walk(Reader(payload), coder, header.q, header.rows, header.columns)
    if container.checksum(header, tokens.to_bytes()) != header.checksum:
        raise DamagedError("the file is cut or damaged: its checksum does not match")
    return Contents(header, tokens, model, groups)


def pack_tokens(tokens, header, model):
    """The bytes of a file from Tokens; `header` as in container.Header, its checksum is set here."""
    writer = Writer()
    walk(writer, coder_of(header.coder, model), header.q, header.rows, header.columns, tokens)
    header = replace(header, checksum=container.checksum(header, tokens.to_bytes()))
    return container.pack(header, writer.to_bytes())


def _checked_pixels(pixels):
    pixels = np.asarray(pixels)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise OptionError(f"pixels are {pixels.dtype} {pixels.shape}, give uint8 (height, width, 3)")
    return pixels


def _checked_count(tokens):
    if not (isinstance(tokens, (int, np.integer)) and 1 <= tokens <= TOKENS):
        raise OptionError(f"tokens is {tokens}, give a whole number from 1 to {TOKENS}")
    return int(tokens)
