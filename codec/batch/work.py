"""One file of many: read, coded, written, and what there is to say about it."""

import os
import time
from dataclasses import asdict, dataclass

from odpiece.codec.arguments import PSNR
from odpiece.codec.channels import split_channels
from odpiece.codec.files import encode, read, read_partial, truncate
from odpiece.formats.container import MAX_PIXELS, CoderId, unpack_header
from odpiece.formats.errors import DamagedError, OdpieceError, OutputExistsError
from odpiece.formats.files import (
    ODP_SUFFIXES,
    add_suffix,
    check_output,
    encoded_name,
    is_remote,
    local_path,
    make_folder,
    read_bytes,
    times_of,
    with_suffix,
    write_bytes,
)
from odpiece.formats.png import pack_png
from odpiece.formats.scales import AUTO, shown_scale
from odpiece.models.interface import LOOKS
from odpiece.models.library import load_model

PNG = ".png"
METRICS = {"ssim": "ms-ssim", "lpips": "st-lpips"}  # of targets that need odpiece[compare]


@dataclass(frozen=True)
class Job:
    """The file `input`, whose result becomes the file `output`, None where nothing is written; both may be URLs."""

    input: str
    output: str | None


@dataclass
class Record:
    """What became of a job; sizes in bytes, `seconds` of reading, coding and writing together.

    `error` and `exit_code` say what went wrong, `warnings` what was not kept; `q` is the quality of the .odp
    file by the true size, `scale` 1, 1/2 or 1/4.
    """

    input: str
    output: str | None = None
    skipped: bool = False
    input_bytes: int | None = None
    bytes: int | None = None
    width: int | None = None
    height: int | None = None
    pixels: int | None = None
    q: float | None = None
    scale: str | None = None
    seconds: float | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    exit_code: int = 0

    def facts(self):
        """A dict of what is known, for JSON."""
        return {name: value for name, value in asdict(self).items() if value or name == "exit_code"}


@dataclass(frozen=True)
class Encoding:
    """Work: pictures to .odp files. `target` is "quality", "size", "bpp", "psnr", "ssim" or "lpips" and `value` its
    number; `keep_names` adds .odp to the whole names of pictures, `preserve` gives files the times of their pictures;
    the others as of `encode` in codec/files.py and of `read_image`.
    """

    target: str
    value: float
    coder: CoderId | None = None
    fixed: bool = False
    keep: tuple[str, ...] = ()
    effort: int = 1
    max_pixels: int = MAX_PIXELS
    backend: str = "onnx"
    device: str = "cpu"
    model_name: str | None = None
    overlap: int | None = None
    allow_truncated: bool = False
    keep_names: bool = False
    preserve: bool = False
    scale: str = AUTO
    tune: str = PSNR
    candidates_are = "pictures"

    @property
    def candidates(self):
        """The suffixes of the files that are taken of folders."""
        from odpiece.formats.images import SUFFIXES  # loads Pillow

        return SUFFIXES

    @property
    def model(self):
        """The Model, which a process keeps. Raises MissingExtraError, DeviceError."""
        return load_model(self.model_name, self.backend, self.device)

    def require(self):
        """Raise MissingExtraError or DeviceError for what all files need, before the first is read."""
        if self.target in METRICS:
            from odpiece.codec.comparison.metrics import find_metric

            find_metric(METRICS[self.target]).require()
        return self.model

    def output_name(self, path):
        """The name of the file that is made of the file `path`."""
        return encoded_name(path, self.keep_names)

    def read(self, data, name):
        """The Picture in the bytes of the picture file `name`. Raises ImageError."""
        from odpiece.formats.images import read_image

        options = {"keep": self.keep, "max_pixels": self.max_pixels, "allow_truncated": self.allow_truncated}
        return read_image(data, name, **options)

    def encode(self, picture):
        """(bytes of the .odp file of a Picture, its Header). Raises OptionError, MissingExtraError."""
        options = {"coder": self.coder, "fixed": self.fixed, "effort": self.effort, "metadata": picture.metadata}
        options |= {"model": self.model, "overlap": self.overlap, "scale": self.scale, "tune": self.tune}
        packed = _encode(picture.pixels, self.target, self.value, options)
        return packed, unpack_header(packed, max_pixels=self.max_pixels)[0]

    def psnr(self, picture, packed):
        """PSNR in dB of the colours of a Picture, by its .odp file `packed` and the faithful look."""
        from odpiece.codec.targets import psnr

        colours, _ = split_channels(picture.pixels)
        decoded = read(packed, model=self.model, max_pixels=self.max_pixels).colours()
        return psnr(colours.reshape(decoded.shape), decoded)

    def notes(self, picture, q):
        """What of a Picture is not kept, and what is unwise about its file of quality `q`, a line each."""
        trained = self.model.facts.get("trained_tokens", q)
        if q <= trained:
            return picture.notes
        return (*picture.notes, f"{self.model.name} was trained to use {trained} tokens: -q {trained} may look better")

    def __call__(self, data, job, record):
        picture = self.read(data, job.input)
        packed, header = self.encode(picture)
        record.q, record.scale = header.quality, shown_scale(header.scale)
        record.height, record.width = picture.pixels.shape[:2]
        record.warnings = self.notes(picture, record.q)
        return packed


@dataclass(frozen=True)
class Decoding:
    """Work: .odp files to pictures of the kind `suffix`; `tokens` None is all, see `codec.decode`.

    With `max_side` a picture of more pixels a side is made smaller; with `strip` metadata is left out; with
    `preserve` pictures get the times of their files.
    """

    suffix: str = PNG
    tokens: int | None = None
    look: str = LOOKS[0]
    allow_partial: bool = False
    max_pixels: int = MAX_PIXELS
    backend: str = "onnx"
    device: str = "cpu"
    model_name: str | None = None
    max_side: int | None = None
    strip: bool = False
    preserve: bool = False
    candidates = frozenset(ODP_SUFFIXES)
    candidates_are = ".odp files"

    @property
    def model(self):
        """The Model, which a process keeps. Raises MissingExtraError, DeviceError."""
        return load_model(self.model_name, self.backend, self.device)

    def require(self):
        """Raise MissingExtraError or DeviceError for what all files need, before the first is read."""
        return self.model

    def output_name(self, path):
        """The name of the file that is made of the file `path`, never that of its original."""
        return add_suffix(path, self.suffix)

    def read(self, data):
        """The Contents of an .odp file's bytes. Raises as `read` and `read_partial` do."""
        options = {"model": self.model, "max_pixels": self.max_pixels, "look": self.look}
        if self.allow_partial:
            return read_partial(data, **options)
        try:
            return read(data, **options)
        except DamagedError as error:
            raise DamagedError(f"{error}; --allow-partial decodes what is certain of it") from None

    def picture(self, contents):
        """uint8 of the shape that was encoded, or smaller by `max_side`."""
        kept = contents.first(self.tokens) if self.tokens else contents.tokens
        return self.shrunk(contents.picture(kept, self.look))

    def shrunk(self, pixels):
        """`pixels`, uint8 (H, W) or (H, W, channels), or fewer of them, of the same proportions, by `max_side`."""
        height, width = pixels.shape[:2]
        factor = min(1.0, (self.max_side or MAX_PIXELS) / max(height, width))
        if factor == 1.0:
            return pixels
        from odpiece.formats.images import resized

        return resized(pixels, *(max(1, round(side * factor)) for side in (height, width)))

    def write(self, contents, pixels):
        """(bytes of the picture file of the Contents' `pixels`, what of the picture is missing, a line each).

        Raises OptionError.
        """
        wanted = {} if self.strip else contents.metadata
        if self.suffix == PNG and not wanted:
            return pack_png(pixels), self._missing(contents)
        from odpiece.formats.images import fitting_metadata, write_image  # loads Pillow

        grey = pixels.ndim == 2 or pixels.shape[2] == 2
        metadata, lines = fitting_metadata(wanted, self.suffix, grey) if wanted else ({}, [])
        warnings = *self._missing(contents), *self._not_held(pixels), *lines
        return write_image(pixels, self.suffix, metadata), warnings

    def _missing(self, contents):
        if contents.complete:
            return ()
        whole = f"{contents.whole_segments} of {contents.header.segments} segments are whole"
        return (f"cut or damaged: {contents.certain} tokens could be decoded, {whole}",)

    def _not_held(self, pixels):
        from odpiece.formats.images import few_colours, keeps_alpha

        lines = []
        if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and not keeps_alpha(self.suffix):
            lines.append(f"{self.suffix} files have no transparency, the picture is laid on white")
        if pixels.ndim == 3 and (line := few_colours(self.suffix)):
            lines.append(line)
        return lines

    def __call__(self, data, job, record):
        contents = self.read(data)
        pixels = self.picture(contents)
        record.height, record.width = pixels.shape[:2]
        packed, record.warnings = self.write(contents, pixels)
        record.q, record.scale = contents.header.quality, shown_scale(contents.header.scale)
        return packed


@dataclass(frozen=True)
class Truncating:
    """Work: .odp files to .odp files of the first `tokens` tokens of each piece, see `codec.truncate`; `preserve`
    gives them the times of the longer ones.
    """

    tokens: int
    max_pixels: int = MAX_PIXELS
    model_name: str | None = None
    preserve: bool = False
    candidates = Decoding.candidates
    candidates_are = Decoding.candidates_are

    def output_name(self, path):
        """The name of the file that is made of the file `path`."""
        return with_suffix(path, ".odp")

    def require(self):
        """The Model, or None for each file's own. Raises OptionError."""
        return self.model_name and load_model(self.model_name)

    def __call__(self, data, job, record):
        shorter = truncate(data, self.tokens, model=self.require(), max_pixels=self.max_pixels)
        header = unpack_header(shorter, max_pixels=self.max_pixels)[0]
        record.width, record.height = header.width, header.height
        record.q, record.scale = header.quality, shown_scale(header.scale)
        return shorter


def do(job, work, force=False, again=False):
    """The Record of a Job that an Encoding or a Decoding does, whatever happens.

    With `again` an output that exists with the very bytes is a success: an earlier try got that far. Else one that
    has come since the plan was made is an error before the work: another run may be at the same files.
    """
    record, began = Record(job.input, job.output), time.perf_counter()
    try:
        if not (again or is_remote(job.output)):
            check_output(job.output, force)
        times = times_of(job.input, job.output) if work.preserve else None
        data = read_bytes(job.input)
        result = work(data, job, record)
        _write(job.output, result, force, again, times)
        record.input_bytes, record.bytes, record.pixels = len(data), len(result), record.width * record.height
    except OdpieceError as error:
        record.error, record.exit_code = str(error), error.exit_code
    except MemoryError:
        record.error, record.exit_code = "out of memory, give fewer processes with -j", OdpieceError.exit_code
    except Exception as error:  # a defect must not end the work on all the other files
        record.error = f"unexpected {type(error).__name__}: {error}".splitlines()[0]
        record.exit_code = OdpieceError.exit_code
    record.seconds = round(time.perf_counter() - began, 4)
    return record


def _write(path, data, force, again, times):
    make_folder(os.path.dirname(local_path(path)) or ".")
    try:
        write_bytes(path, data, force, times)
    except OutputExistsError:
        if not again or read_bytes(path) != data:
            raise


def _encode(pixels, target, value, options):
    """The bytes of a file of `pixels` that meets the `value` of the `target`."""
    if target == "quality":
        return encode(pixels, value, **options)
    if target in ("size", "bpp", "psnr"):
        from odpiece.codec.targets import encode_to_bpp, encode_to_psnr, encode_to_size

        return {"size": encode_to_size, "bpp": encode_to_bpp, "psnr": encode_to_psnr}[target](pixels, value, **options)
    from odpiece.codec.comparison.goals import encode_to_ms_ssim, encode_to_st_lpips

    return {"ssim": encode_to_ms_ssim, "lpips": encode_to_st_lpips}[target](pixels, value, **options)
