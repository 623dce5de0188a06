"""Tokens as plain arrays, for those who train models on them: (rows, columns, tokens, 3) of a picture's pieces.

Each 64x64 piece has up to 4096 tokens, coarse to fine; a token is three integers, mostly within +-31 and 0 where
the picture needs nothing, see models/interface.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from odpiece.codec.arguments import check_count, check_look, check_model, check_size, to_array
from odpiece.codec.bands.tokens import MAX_LATENT, Tokens
from odpiece.codec.bands.windows import synthesize
from odpiece.codec.files import encode, read
from odpiece.formats.errors import OptionError
from odpiece.formats.resampling import enlarged
from odpiece.formats.scales import AUTO, scales_of, small_side
from odpiece.models.interface import BANDS_FAMILY, LATENTS_PER_TOKEN, LOOKS, PIECE
from odpiece.models.library import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from odpiece.formats.pixels import AnyPicture, FileBytes, Pixels


def encode_tokens(pixels: AnyPicture, q: int = 64, *, scale: int | str = 1, **options: Any) -> NDArray[np.int16]:
    """int16 (rows, columns, q, 3): the tokens that `encode` codes of a picture of rows x columns pieces.

    At `scale` "1/2" or "1/4" the pieces are those of the small picture, each of 4 or 16 times q tokens. Arguments as
    of `encode`; alpha is left out. Raises OptionError.

    >>> tokens = encode_tokens(np.full((100, 130, 3), 128, np.uint8), q=16)
    >>> tokens.shape
    (2, 3, 16, 3)
    >>> decode_tokens(tokens, q=16, size=(100, 130)).shape
    (100, 130, 3)
    """
    _fixed_scale(scale)
    return read_tokens(encode(pixels, q, scale=scale, **options), model=options.get("model"))


def read_tokens(data: FileBytes, **options: Any) -> NDArray[np.int16]:
    """int16 (rows, columns, limit, 3): the tokens in an .odp file's bytes. Arguments and errors as of `decode`."""
    contents = read(data, **options)
    return contents.tokens.to_array(contents.header.limit)


def decode_tokens(
    tokens: NDArray[Any],
    q: float,
    *,
    size: tuple[int, int] | None = None,
    scale: int | str = 1,
    look: str = LOOKS[0],
    model: Model | None = None,
) -> Pixels:
    """uint8 (H, W, 3): the picture of integer `tokens` (rows, columns, n, 3), n in 1..4096, also fewer than q.

    `q` and `scale` are those they were encoded at: they set the quantization step; `size` (H, W) is the picture's true
    one, by default that of whole pieces; `look` and `model` as of `decode`. Raises OptionError.
    """
    tokens, look, model, scale = _checked_tokens(tokens), check_look(look), check_model(model), _fixed_scale(scale)
    if model.family != BANDS_FAMILY:
        raise OptionError(f"model {model.name} has tokens of another kind: decode a file of theirs, see encode")
    piece = PIECE * scale
    whole = tokens.shape[0] * piece, tokens.shape[1] * piece
    height, width = whole if size is None else check_size(size)
    if not all(most - piece < n <= most for n, most in zip((height, width), whole)):
        raise OptionError(
            f"{height}x{width} pixels do not fit {tokens.shape[0]}x{tokens.shape[1]} pieces of {piece}x{piece}"
        )
    small = small_side(height, scale), small_side(width, scale)
    pixels = synthesize(model.transform, Tokens.from_array(tokens), _coded_quality(q, scale), look, small)
    return enlarged(pixels, scale, height, width)


def _fixed_scale(scale):
    """The one of SCALES that `scale` is. Raises OptionError for "auto", which tokens do not tell."""
    if scale == AUTO:
        raise OptionError(f"tokens do not say their scale: give 1, 1/2 or 1/4 instead of {AUTO}")
    return scales_of(scale)[0]


def _coded_quality(q, scale):
    """The q of the small picture, a whole number, of `q` by the true size, which may be a fraction of one."""
    fraction = scale > 1 and isinstance(q, float) and (q * scale**2).is_integer()
    return check_count(int(q * scale**2) if fraction or isinstance(q, (int, np.integer)) else q, "q")


def _checked_tokens(tokens):
    tokens = to_array(tokens, "tokens")
    if tokens.ndim != 4 or tokens.shape[3] != LATENTS_PER_TOKEN or not np.issubdtype(tokens.dtype, np.integer):
        raise OptionError(f"tokens are {tokens.dtype} {tokens.shape}, give integers (rows, columns, tokens, 3)")
    if 0 in tokens.shape or tokens.min() < -MAX_LATENT or tokens.max() > MAX_LATENT:
        raise OptionError(f"give at least one piece, and tokens from {-MAX_LATENT} to {MAX_LATENT}")
    check_count(tokens.shape[2], "the number of tokens")
    return tokens
