"""What a family of models gives the door, files.py: a picture that can be encoded, and the contents of a file.

Each family's picture.py builds on both classes. Neither family knows the other, or the door.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from odpiece.codec.arguments import check_look
from odpiece.codec.channels import alpha_chunks, split_channels
from odpiece.formats import container
from odpiece.formats.chunks import Chunk, ChunkType, metadata_chunks, metadata_of
from odpiece.formats.container import Header
from odpiece.formats.errors import DamagedError
from odpiece.formats.resampling import largest, reduced
from odpiece.models.interface import LOOKS
from odpiece.models.library import Model

EFFORT = 1


@dataclass(frozen=True)
class GroupBits:
    """One group of tokens over the whole picture: its name, the tokens coded, their ideal code length in bits."""

    name: str
    tokens: int
    bits: float


@dataclass(frozen=True)
class Contents(ABC):
    """What a file holds: its header, its tokens, the model they belong to, chunks, and where its bits went.

    `tokens` are of the family's own class, with `count`, `sha256`, `buffers()`, `first(count)` and `to_array(count)`.
    `complete` is false for what could be saved of a cut or damaged file, of which only `whole_segments` are
    whole: tokens that are not certain are zero.
    """

    token_bits: ClassVar[int]  # of a token where all its values are equally likely

    header: Header
    tokens: object
    model: Model
    groups: list[GroupBits]
    chunks: tuple[Chunk, ...] = ()
    whole_segments: int = 1
    complete: bool = True

    @classmethod
    @abstractmethod
    def of_parts(cls, header, chunks, stored, model, partial=False):
        """The Contents of the parts of a file, as `container.unpack` gives them; the checksum is not checked.

        `partial` takes what is certain of a cut or damaged file. Raises DamagedError.
        """

    @classmethod
    @abstractmethod
    def prepare(cls, model, header, look):
        """Begin to load what `colours` of a file with this Header will need, if that takes long."""

    @abstractmethod
    def progress(self):
        """The tokens known after each of `groups`, coarse to fine: an iterator."""

    @abstractmethod
    def truncated(self, limit):
        """The bytes of a file of the first `limit` tokens, from 1 to the header's limit, of every piece or tile."""

    @abstractmethod
    def colours(self, tokens=None, look=LOOKS[0]):
        """uint8 (H, W, 3), or grey (H, W): the picture of `tokens` (default: all) without alpha."""

    @property
    def certain(self):
        """Tokens that were decoded with certainty, in all pieces together."""
        return sum(group.tokens for group in self.groups)

    @property
    def raw_bits(self):
        """Bits of the kept tokens where all values of a token are equally likely."""
        return self.tokens.count * self.token_bits

    @property
    def metadata(self):
        """The dict of "exif", "icc" and "xmp", as bytes, that the file keeps. Raises DamagedError."""
        return metadata_of(self.chunks)

    def first(self, count):
        """The tokens without those that 64x64 pixels of the true picture have beyond the first `count`."""
        return self.tokens.first(count * self.header.scale**2)

    def check(self):
        """Raise DamagedError unless the tokens are those that the header's checksum was made of."""
        if container.checksum(self.header, *self.tokens.buffers()) != self.header.checksum:
            raise DamagedError("the file is cut or damaged: its checksum does not match")

    def picture(self, tokens, look=LOOKS[0]):
        """uint8 of the shape that was encoded: the picture of `tokens`, these or fewer. Raises DamagedError."""
        look = check_look(look)
        alpha = [chunk.data for chunk in self.chunks if chunk.type == ChunkType.ALPHA]
        if not alpha:
            return self.colours(tokens, look)
        from odpiece.formats.alpha import unpack_alpha  # loads Pillow

        plane = unpack_alpha(alpha[0], self.header.height, self.header.width)
        return np.dstack([self.colours(tokens, look), plane])


class Analyzed(ABC):
    """A picture that is analysed once, to be encoded at any number of qualities; arguments as of `encode`.

    `pixels` are its colours, uint8 (H, W, 3) or grey (H, W), without alpha, filled in where that is 0; at a `scale`,
    one of SCALES, above 1 a smaller picture is coded. `highest` is the largest q that `encode` should be asked for.
    """

    contents: ClassVar[type[Contents]]
    highest: int

    def __init__(self, pixels, model, metadata, scale=1):
        self._colours, self._alpha = split_channels(pixels)
        self.model, self.grey = model, self._colours.shape[2] == 1
        self.pixels = self._colours[..., 0] if self.grey else self._colours
        self._chunks = alpha_chunks(self._alpha) + metadata_chunks(metadata)
        self.scale, self._coded = scale, reduced(self.pixels, scale)
        self._seen = None if self._alpha is None else largest(self._alpha, scale)

    @abstractmethod
    def encode(self, q, *, effort=EFFORT, slope=1.0, last=False):
        """The bytes of an .odp file at quality `q`, which is that of the pieces as they are coded, and `effort`, 0..9.

        `slope` is the price of a bit as a multiple of the usual one: between the sizes of two qualities lie
        those of the higher one at slopes above 1. `last` says that no other encoding follows, which saves memory.
        Raises OptionError.
        """

    def decoded(self, data, look=LOOKS[0]):
        """What the .odp file `data` of this picture makes of `pixels`, of the same shape."""
        return self.contents.of_parts(*container.unpack(data), self.model).colours(look=look)

    def _header(self, q, coder, fingerprint, layout=None):
        """The Header of a file of this picture, without its checksum."""
        height, width = self.pixels.shape[:2]
        kinds = {"grey": self.grey, "has_chunks": bool(self._chunks), "layout": layout, "scale": self.scale}
        return Header(width, height, q, coder, fingerprint, **kinds)


def pack(header, tokens, segments, chunks):
    """The bytes of a file from its StoredSegments; sets the checksum of `header`, that of `tokens`."""
    header = replace(header, checksum=container.checksum(header, *tokens.buffers()))
    return container.pack(header, segments, chunks)
