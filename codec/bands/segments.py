"""Segments: rectangles of pieces that are coded independently, in threads, so that memory stays bounded."""

from dataclasses import dataclass, replace

from odpiece.codec.bands.tokens import Tokens, zero_tokens
from odpiece.codec.bands.walk import walk
from odpiece.codec.family import GroupBits
from odpiece.codec.range_coder import CutReader, Reader, WholeReader, Writer
from odpiece.codec.threads import map_in_threads
from odpiece.formats.container import StoredSegment, checksum, segment_checksum
from odpiece.formats.errors import DamagedError
from odpiece.models.interface import BANDS


@dataclass(frozen=True)
class Segment:
    """Number `number` in raster order: pieces of the rows top..bottom - 1 and the columns left..right - 1."""

    number: int
    top: int
    bottom: int
    left: int
    right: int

    def crop(self, grids, first=0):
        """Views of one array (n, rows * side, columns * side) a band, cut to this segment.

        The arrays begin with the row of pieces `first` of the picture.
        """
        top, bottom = self.top - first, self.bottom - first
        return tuple(
            z[:, top * b.side : bottom * b.side, self.left * b.side : self.right * b.side] for z, b in zip(grids, BANDS)
        )

    def crop_tokens(self, tokens):
        """Tokens of this segment alone."""
        return Tokens(tokens.lengths[self.top : self.bottom, self.left : self.right], self.crop(tokens.bands))


@dataclass(frozen=True)
class Decoded:
    """A segment's Tokens and GroupBits; `whole` is false where it was cut or damaged and the rest is zero."""

    tokens: Tokens
    groups: list[GroupBits]
    whole: bool = True


def split(header):
    """The Segments of a picture: as few as there can be, of sides as equal as can be."""
    heights, widths = (_borders(count, header.segment_side) for count in (header.rows, header.columns))
    boxes = [(*rows, *columns) for rows in zip(heights, heights[1:]) for columns in zip(widths, widths[1:])]
    return [Segment(i, *box) for i, box in enumerate(boxes)]


def _borders(count, side):
    """The borders floor(i * count / n), i = 0..n, of n parts of at most `side`."""
    parts = -(-count // side)
    return [i * count // parts for i in range(parts + 1)]


def strips(segments, rows):
    """Lists of Segments of a picture from above: whole rows of them, one or of at most `rows` of pieces together."""
    found = []
    for segment in segments:
        if not found or (segment.top > found[-1][-1].top and segment.bottom > found[-1][0].top + rows):
            found.append([])
        found[-1].append(segment)
    return found


def encode_segments(source_of, coder, header):
    """(StoredSegments, Tokens) of a picture; `source_of` gives the source of tokens of a Segment, see walk."""
    return encode_strips([(split(header), source_of)], coder, header)


def encode_strips(parts, coder, header):
    """As `encode_segments`, of pairs of some Segments and what gives their sources, in order.

    Each pair is let go before the next is asked for.
    """
    stored, whole = [], zero_tokens(header.rows, header.columns)
    for segments, source_of in parts:
        stored += _encode_strip(segments, source_of, coder, header, whole)
        del source_of
    return tuple(stored), whole


def _encode_strip(segments, source_of, coder, header, whole):
    """The StoredSegments of some Segments, whose Tokens are put into `whole`."""

    def encode_one(segment):
        writer = Writer()
        tokens, _ = _walk(writer, coder, header, segment, source_of(segment))
        _put(tokens, segment, whole)
        return StoredSegment(writer.to_bytes(), segment_checksum(header, *tokens.buffers()))

    return map_in_threads(encode_one, segments)


def decode_segments(stored, coder, header, partial=False):
    """(Tokens, Decoded segments) of the StoredSegments of a picture.

    Raises DamagedError at the first segment that is cut or damaged. With `partial`, decodes what is certain of
    those that were cut, as the only one may be, and nothing of those of several that are damaged.
    """

    def decode_one(segment):
        part = stored[segment.number]
        try:
            if part.whole:
                return _decode_whole(part, coder, header, segment)
        except DamagedError as error:
            if not partial:
                raise DamagedError(_message(segment, len(stored), error)) from None
            if len(stored) > 1:
                return _missing(segment)
        return Decoded(*_walk(CutReader(part.payload), coder, header, segment), whole=False)

    segments = split(header)
    if len(segments) == 1:
        (only,) = map_in_threads(decode_one, segments)
        return only.tokens, [only]
    whole = zero_tokens(header.rows, header.columns)

    def put_one(segment):
        decoded = decode_one(segment)
        _put(decoded.tokens, segment, whole)
        return replace(decoded, tokens=segment.crop_tokens(whole))

    return whole, map_in_threads(put_one, segments)


def _walk(channel, coder, header, segment, source=None):
    shape = segment.bottom - segment.top, segment.right - segment.left
    return walk(channel, coder, header.q, *shape, source, limit=header.limit)


def _decode_whole(part, coder, header, segment):
    if part.checksum is None:
        return _decode_only(part, coder, header, segment)
    tokens, groups = _walk(Reader(part.payload), coder, header, segment)
    if segment_checksum(header, *tokens.buffers()) != part.checksum:
        raise DamagedError("the checksum does not match")
    return Decoded(tokens, groups)


def _decode_only(part, coder, header, segment):
    """Decode the one segment of a file, whose length stands nowhere."""
    reader = WholeReader(part.payload)
    tokens, groups = _walk(reader, coder, header, segment)
    if checksum(header, *tokens.buffers()) != header.checksum:
        raise DamagedError("the file is cut or damaged")
    reader.check_end()
    return Decoded(tokens, groups)


def _missing(segment):
    rows, columns = segment.bottom - segment.top, segment.right - segment.left
    return Decoded(zero_tokens(rows, columns), [], whole=False)


def _message(segment, count, error):
    if count == 1:
        return str(error)
    return f"segment {segment.number} of {count} is damaged: --allow-partial decodes the others"


def _put(tokens, segment, whole):
    """Copy the Tokens of a segment to their place in `whole`, which is zero there."""
    place = segment.crop_tokens(whole)
    place.lengths[:] = tokens.lengths
    for band, to, z in zip(BANDS, place.bands, tokens.bands):
        if tokens.lengths.max() > band.first_token:  # else it stays zero, and takes no memory
            to[:] = z


def join_groups(lists):
    """The GroupBits of a picture from those of its segments, of which each has the first so many groups of all."""
    names = [group.name for group in max(lists, key=len)]
    found = [[groups[i] for groups in lists if i < len(groups)] for i in range(len(names))]
    return [GroupBits(name, sum(g.tokens for g in same), sum(g.bits for g in same)) for name, same in zip(names, found)]
