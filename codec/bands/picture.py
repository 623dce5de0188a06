"""Pictures and files of the bands family: latents, tokens, segments."""

from dataclasses import dataclass, replace
from functools import partial

from odpiece.codec.arguments import PSNR, SSIM, check_flag, check_tune, check_whole
from odpiece.codec.bands.coders import coder_of
from odpiece.codec.bands.masking import by_band, masking
from odpiece.codec.bands.quantization import source, toll
from odpiece.codec.bands.refinement import ROUNDS, Search, refine
from odpiece.codec.bands.segments import decode_segments, encode_segments, encode_strips, join_groups, split, strips
from odpiece.codec.bands.tokens import first_groups
from odpiece.codec.bands.windows import MARGIN, WHOLE, analyze, synthesize
from odpiece.codec.family import EFFORT, Analyzed, Contents, pack
from odpiece.formats.container import CoderId
from odpiece.formats.errors import DamagedError, OptionError
from odpiece.formats.resampling import enlarged
from odpiece.models.interface import (
    BANDS,
    BANDS_FAMILY,
    LATENTS_PER_TOKEN,
    LOOKS,
    PIECE,
    TOKENS,
    USUAL_BANDS,
    USUAL_QUALITY,
    is_fine,
)

COARSE, *ENDS = (*(band.first_token for band in BANDS[USUAL_BANDS - 1 :]), TOKENS)  # qualities that bands end at
STRIP = 32  # rows of pieces whose latents are in memory at once, of a large picture that is coded once
FEW = 1 << 26  # numbers in a picture up to which the latents of all bands are kept, whatever its first quality is
RAW_BITS = 6  # a latent, under an alphabet of 64


@dataclass(frozen=True)
class BandsContents(Contents):
    """What a file of the bands family holds; `tokens` are Tokens."""

    token_bits = LATENTS_PER_TOKEN * RAW_BITS

    @classmethod
    def of_parts(cls, header, chunks, stored, model, partial=False):
        if model.family != BANDS_FAMILY:
            raise DamagedError(f"the header is damaged: model {model.name} makes tiles, and it announces none")
        tokens, parts = decode_segments(stored, coder_of(header.coder, model), header, partial)
        groups = join_groups([part.groups for part in parts])
        if not groups and len(parts) > 1 and all(part.whole for part in stored):
            raise DamagedError("the file is cut or damaged: nothing of it can be decoded")
        whole = sum(part.whole for part in parts)
        return cls(header, tokens, model, groups, chunks, whole, complete=not partial)

    @classmethod
    def prepare(cls, model, header, look):
        model.transform.prepare_for(look, header.q, header.rows * header.columns)

    def progress(self):
        for count in range(len(self.groups)):
            yield first_groups(self.tokens, count)

    def truncated(self, limit):
        kept, header = self.tokens.first(limit), replace(self.header, limit=limit)
        coder = coder_of(header.coder, self.model)
        segments, tokens = encode_segments(lambda segment: segment.crop_tokens(kept), coder, header)
        return pack(header, tokens, segments, self.chunks)

    def colours(self, tokens=None, look=LOOKS[0]):
        tokens, header = self.tokens if tokens is None else tokens, self.header
        small = synthesize(self.model.transform, tokens, header.q, look, header.coded_size, header.grey)
        return enlarged(small, header.scale, header.height, header.width)


class BandsPicture(Analyzed):
    """A picture whose latents are known; `encode` takes q from 1 to 4096."""

    contents = BandsContents
    highest = TOKENS

    def __init__(self, pixels, *, model, coder=None, fixed=False, metadata=None, overlap=None, scale=1, tune=PSNR):
        if overlap is not None:
            raise OptionError(f"model {model.name} has no tiles that could overlap: that is for One-D-Piece models")
        super().__init__(pixels, model, metadata, scale)
        self._id, self._fixed = CoderId.LEARNED if coder is None else coder, check_flag(fixed, "fixed")
        self._coder = coder_of(self._id, model)
        self._latents, self._most = (), 0
        self._counts = masking(self._coded) if check_tune(tune) == SSIM else None
        self._band_counts = None if self._counts is None else by_band(self._counts)

    def _latents_at(self, q):
        """Latents that hold all that quality `q` codes, found once for all qualities that have the same."""
        reach = self._reach(q)
        if reach > self._most or is_fine(reach) != is_fine(self._most):
            self._most = reach
            self._latents = analyze(self.model.transform, self._coded, reach)
        return self._latents

    def _reach(self, q):
        """The largest quality of those for which the latents are found together with those for `q`."""
        if is_fine(q):
            return next(end for end in ENDS if q <= end)
        return COARSE if q <= COARSE and self._coded.size > FEW else USUAL_QUALITY

    def encode(self, q, *, effort=EFFORT, slope=1.0, last=False):
        rounds = _rounds(check_whole(effort, "effort", 0, len(ROUNDS) - 1), q)
        header = self._header(q, self._id, self.model.fingerprint)
        pieces = header.rows * header.columns
        if last and not rounds and pieces > WHOLE:
            segments, tokens = encode_strips(self._strips(header, slope), self._coder, header)
            return pack(header, tokens, segments, self._chunks)

        def code(latents):
            segments, tokens = encode_segments(self._source_of(latents, q, slope), self._coder, header)
            return pack(header, tokens, segments, self._chunks), tokens

        if rounds:
            self.model.transform.prepare_for("gradient", q, pieces)
        latents = self._latents_at(q)
        if last:
            self._latents, self._most = (), 0
        elif rounds:
            latents = tuple(z.copy() if z.flags.writeable else z for z in latents)
            self.model.transform.prepare_for(LOOKS[0], q, pieces)  # for the look at what the moves led to
        foreseen = partial(toll, q=q, model=self.model, slope=slope) if self._id == CoderId.LEARNED else None
        search = Search(self.model.transform, latents, q, self._coded, self._seen, self.scale, foreseen, self._counts)
        return refine(search, q, slope, code, rounds)

    def _strips(self, header, slope):
        """The parts of a large picture for `encode_strips`, whose latents are found some rows at a time."""
        for strip in strips(split(header), STRIP):
            first, end = max(0, strip[0].top - MARGIN), strip[-1].bottom + MARGIN
            latents = analyze(self.model.transform, self._coded[first * PIECE : end * PIECE], header.q)
            yield strip, self._source_of(latents, header.q, slope, first)
            del latents  # before the next are found

    def _source_of(self, latents, q, slope, first=0):
        """What gives the source of a Segment from latents of the picture, or of its rows of pieces from `first` on."""
        table = self.model.static_tables["latents"]

        def source_of(segment):
            here = self._band_counts and segment.crop(self._band_counts)
            return source(segment.crop(latents, first), q, self._coder, table, slope, self._fixed, here)

        return source_of


def _rounds(effort, q):
    """Rounds of the search: none where one would take most of the time for half a percent of the bytes."""
    return 0 if is_fine(q) and ROUNDS[effort] == 1 else ROUNDS[effort]
