"""How much smaller than it is a picture is coded: 1, 1/2 or 1/4 of its width and height.

A scale is written as the number of true pixels that lie along a pixel of the small picture: 1, 2 or 4.
"""

from odpiece.formats.errors import OptionError

SCALES = (1, 2, 4)
AUTO = "auto"


def small_side(side, scale):
    """The pixels of the small picture along a side of so many true ones."""
    return -(-side // scale)


def scales_of(wanted):
    """The SCALES that "auto", 1, 1/2 or 1/4, as a number or as text, leaves to choose from. Raises OptionError.

    >>> scales_of("1/4"), scales_of(0.5), scales_of("auto")
    ((4,), (2,), (1, 2, 4))
    """
    if wanted == AUTO:
        return SCALES
    from fractions import Fraction

    try:
        scale = 1 / Fraction(wanted)
    except (TypeError, ValueError, ArithmeticError):
        scale = None
    if scale not in SCALES:
        raise OptionError(f"the scale is {wanted}, give 1, 1/2, 1/4 or {AUTO}")
    return (int(scale),)


def shown_scale(scale):
    """A scale for messages: 1, 1/2 or 1/4."""
    return f"1/{scale}" if scale > 1 else "1"


def by_true_size(tokens, scale):
    """How many of 64x64 true pixels a number of tokens of 64x64 coded pixels is: whole where it can be, else a float.

    >>> by_true_size(256, 2), by_true_size(21, 2)
    (64, 5.25)
    """
    return tokens / scale**2 if tokens % scale**2 else tokens // scale**2
