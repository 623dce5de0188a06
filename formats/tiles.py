"""Layout of tiles: how a picture is cut for a model that knows tiles of one size only."""

from dataclasses import dataclass
from numbers import Integral

from odpiece.formats.errors import OptionError

TILE = 256  # pixels along the side of a tile
MOST_TOKENS = 256  # of a tile
VOCABULARY = 4096  # values of such a token
MAX_OVERLAP = 128  # pixels


@dataclass(frozen=True)
class Layout:
    """The whole picture, resized to one tile, or tiles at its own scale that overlap by at least `overlap` pixels.

    >>> Layout(32).starts(600)
    [0, 172, 344]
    """

    overlap: int | None = None

    def __post_init__(self):
        if self.overlap is not None and not (isinstance(self.overlap, Integral) and 0 <= self.overlap <= MAX_OVERLAP):
            raise OptionError(f"the overlap is {self.overlap}, give 0 to {MAX_OVERLAP} pixels")

    def count(self, size):
        """How many tiles lie along a side of `size` pixels."""
        if self.overlap is None or size <= TILE:
            return 1
        return -(-(size - self.overlap) // (TILE - self.overlap))

    def starts(self, size):
        """The first pixel of each tile along a side of `size` pixels: as far apart as each other, from edge to edge."""
        last = self.count(size) - 1
        return [i * (size - TILE) // last for i in range(last + 1)] if last else [0]

    @property
    def code(self):
        """The byte that says so in a file."""
        return 0 if self.overlap is None else self.overlap + 1

    @classmethod
    def of_code(cls, code):
        """The Layout of a byte. Raises OptionError for one that is none."""
        return cls(code - 1 if code else None)
