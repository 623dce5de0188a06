"""The door to the codec: pixels to the bytes of an .odp file and back, whatever family its model is of."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from odpiece.codec.arguments import check_bytes, check_coder, check_count, check_look, check_max_pixels, check_model
from odpiece.codec.family import EFFORT
from odpiece.codec.scaling import Scaled
from odpiece.formats import container
from odpiece.formats.container import MAX_PIXELS
from odpiece.formats.errors import DamagedError, OptionError
from odpiece.formats.scales import AUTO, scales_of, shown_scale
from odpiece.models.interface import BANDS_FAMILY, LOOKS, ONE_D_PIECE, TOKENS
from odpiece.models.library import Model, find_model

if TYPE_CHECKING:
    from odpiece.formats.pixels import AnyPicture, FileBytes, Pixels


def _bands():
    from odpiece.codec.bands.picture import BandsPicture

    return BandsPicture


def _one_d_piece():
    from odpiece.codec.one_d_piece.picture import TiledPicture

    return TiledPicture


FAMILIES = {BANDS_FAMILY: _bands, ONE_D_PIECE: _one_d_piece}  # each imported when it is first asked for its Analyzed


def encode(pixels: AnyPicture, q: int = 64, *, effort: int = EFFORT, **options: Any) -> bytes:
    """The bytes of an .odp file.

    `pixels` is a Pillow image, or uint8 sRGB of any height H and width W from 1: (H, W, 3), with alpha (H, W, 4),
    grey (H, W), or grey with alpha (H, W, 2); `q` the most tokens that each 64x64 pixels keep, 1..4096; `effort`
    0..9 how long to search for better tokens (codec/bands/refinement.py). Further options, also of `scaled`:
    `scale` 1, "1/2" or "1/4" codes a smaller picture, which is scaled up when it is decoded, "auto", the default, does
    so where that is better for the bytes (codec/scaling.py), but not with `fixed`; `tune` "psnr" (default) or "ssim",
    which lets texture hide errors, better for the eye (codec/bands/masking.py); `model` a Model (default: the
    installed one); `coder` a CoderId (default: the best that the model has); `fixed` keeps all q tokens even where
    fewer pay; `metadata` a dict of bytes to keep, with any of the keys "exif", "icc" (of which then the colours are)
    and "xmp"; `overlap` 0..128, for One-D-Piece models, cuts the picture into tiles that overlap by so many pixels,
    instead of resizing it to one tile. Raises OptionError.

    >>> import numpy as np
    >>> data = encode(np.full((40, 50, 3), 128, np.uint8), q=4)
    >>> decode(data).shape
    (40, 50, 3)
    """
    q, picture = check_count(q, "q"), scaled(pixels, **options)
    scale = picture.best(q)
    if q * scale**2 > TOKENS:
        raise OptionError(f"q is {q}, at scale {shown_scale(scale)} give at most {TOKENS // scale**2}")
    return picture.at(scale).encode(q * scale**2, effort=effort, last=True)


def scaled(pixels, *, model=None, coder=None, scale=AUTO, **options):
    """The picture at each scale that `scale` leaves to choose from, a Scaled; arguments and errors as of `encode`."""
    model, scales = check_model(model), scales_of(scale)
    if scale == AUTO and (model.family == ONE_D_PIECE or options.get("fixed", False) is not False):
        scales = (1,)
    family = partial(FAMILIES[model.family](), model=model, coder=check_coder(coder), **options)
    return Scaled(family, pixels, scales)


def analyzed(pixels, *, scale=1, **options):
    """The Analyzed (codec/family.py) of a picture at one scale, not "auto"; arguments and errors as of `encode`."""
    picture = scaled(pixels, scale=scale, **options)
    return picture.at(picture.scales[0])


def decode(
    data: FileBytes,
    *,
    tokens: int | None = None,
    look: str = LOOKS[0],
    model: Model | None = None,
    max_pixels: float = MAX_PIXELS,
) -> Pixels:
    """The picture of an .odp file's bytes, uint8, of the shape that was given to `encode`.

    `tokens` (1..4096) decodes only the first so many of each 64x64 pixels: a coarser picture; `look` is "faithful",
    nearest to the original, or "natural", that with grain; `model` is for files whose model is not installed.
    Raises NotOdpError, VersionError, UnknownModelError, DamagedError, OptionError, and ImageError for a picture of more
    than `max_pixels`, before anything of its size is made.
    """
    look, tokens = check_look(look), None if tokens is None else check_count(tokens, "tokens")
    contents = read(data, model=model, max_pixels=max_pixels)
    return contents.picture(contents.tokens if tokens is None else contents.first(tokens), look)


def truncate(data: FileBytes, tokens: int, *, model: Model | None = None, max_pixels: float = MAX_PIXELS) -> bytes:
    """The bytes of an .odp file of the first `tokens` (1..4096) tokens of all 64x64 pixels of the picture in `data`.

    The picture is not needed and no pixel is computed; chunks are kept. Raises as `decode` does.
    """
    tokens = check_count(tokens, "tokens")
    contents = read(data, model=model, max_pixels=max_pixels)
    return contents.truncated(min(tokens * contents.header.scale**2, contents.header.limit))


def read(data, *, model=None, max_pixels=MAX_PIXELS, look=None):
    """The Contents (codec/family.py) of an .odp file's bytes, without its pixels. Raises as `decode` does.

    With a `look` the network of its pixels is loaded meanwhile, in a thread.
    """
    contents = _read(data, model, max_pixels, look=look)
    contents.check()
    return contents


def read_partial(data, *, model=None, max_pixels=MAX_PIXELS, look=None):
    """The Contents of a file whose end may be missing or whose segments may be damaged: all of a whole file, else
    what is certain.

    Nothing can be checked in a segment that was cut, so damage before the cut goes unseen. Raises
    NotOdpError, VersionError, UnknownModelError, ImageError, and DamagedError for a damaged header.
    """
    try:
        return read(data, model=model, max_pixels=max_pixels, look=look)
    except DamagedError:
        return _read(data, model, max_pixels, partial=True)


def _read(data, model, max_pixels, partial=False, look=None):
    """Contents, of which `read` checks the checksum."""
    limit, model = check_max_pixels(max_pixels), None if model is None else check_model(model)
    header, chunks, stored = container.unpack(check_bytes(data), max_pixels=limit, partial=partial)
    if model is None or not model.owns(header.model):
        model = find_model(header.model, *((model.backend, model.device) if model else ()))
    family = FAMILIES[ONE_D_PIECE if header.layout else BANDS_FAMILY]()
    if look:
        family.contents.prepare(model, header, look)
    return family.contents.of_parts(header, chunks, stored, model, partial)
