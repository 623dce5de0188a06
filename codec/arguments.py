"""What callers give: checked where it comes in, so that whatever is wrong with it is an OptionError of one line."""

import numpy as np

from odpiece.formats.container import CoderId
from odpiece.formats.errors import OptionError
from odpiece.models.interface import LOOKS, TOKENS
from odpiece.models.library import Model, load_model

PSNR, SSIM = TUNES = "psnr", "ssim"  # what the encoder's choices are for
LONGEST_SHOWN = 40  # characters of a wrong value


def check_whole(value, name, lowest, highest):
    """`value` as an int. Raises OptionError, with its `name`, unless it is a whole number in that range."""
    if not (isinstance(value, (int, np.integer)) and lowest <= value <= highest):
        raise OptionError(f"{name} is {_shown(value)}, give a whole number from {lowest} to {highest}")
    return int(value)


def check_count(count, name):
    """`count` as an int. Raises OptionError, with its `name`, unless it is a whole number from 1 to 4096."""
    return check_whole(count, name, 1, TOKENS)


def check_flag(flag, name):
    """`flag` as a bool. Raises OptionError, with its `name`, for what is neither true nor false."""
    if not isinstance(flag, (bool, np.bool_, int)):
        raise OptionError(f"{name} is {_shown(flag)}, give True or False")
    return bool(flag)


def check_look(look):
    """`look`, one of LOOKS. Raises OptionError."""
    if not (isinstance(look, str) and look in LOOKS):
        raise OptionError(f"look is {_shown(look)}, give one of {', '.join(LOOKS)}")
    return look


def check_tune(tune):
    """`tune`, one of TUNES. Raises OptionError."""
    if not (isinstance(tune, str) and tune in TUNES):
        raise OptionError(f"tune is {_shown(tune)}, give one of {', '.join(TUNES)}")
    return tune


def check_coder(coder):
    """`coder` as a CoderId, or None as it is. Raises OptionError."""
    if coder is None:
        return None
    if not (isinstance(coder, (int, np.integer)) and coder in list(CoderId)):
        raise OptionError(f"coder is {_shown(coder)}, give one of {', '.join(map(str, CoderId))}")
    return CoderId(coder)


def check_model(model):
    """`model`, a Model, or the default one for None. Raises OptionError."""
    if not (model is None or isinstance(model, Model)):
        raise OptionError(f"model is {_shown(model)}, give what load_model(name or path) returns")
    return model or load_model()


def check_max_pixels(count):
    """`count`, a number from 1, also infinity. Raises OptionError."""
    if not (isinstance(count, (int, float, np.integer, np.floating)) and count >= 1):
        raise OptionError(f"max_pixels is {_shown(count)}, give a number from 1")
    return count


def check_bytes(data):
    """The bytes in `data`: bytes, or anything else that has a buffer. Raises OptionError."""
    if isinstance(data, bytes):
        return data
    try:
        return bytes(memoryview(data))
    except (TypeError, ValueError, BufferError):  # ValueError: it was closed or released
        raise OptionError(f"data is {_shown(data)}, give the bytes of an .odp file") from None


def check_size(size):
    """`size` as two ints, (height, width). Raises OptionError."""
    try:
        height, width = size
    except (TypeError, ValueError):
        raise OptionError(f"size is {_shown(size)}, give (height, width)") from None
    if not all(isinstance(n, (int, np.integer)) for n in (height, width)):
        raise OptionError(f"size is {_shown(size)}, give (height, width) in whole pixels")
    return int(height), int(width)


def to_array(values, name):
    """`values` as a numpy array. Raises OptionError, with their `name`, for what cannot be one."""
    try:
        return np.asarray(values)
    except MemoryError:
        raise
    except Exception as error:  # of any kind: objects of other libraries make their arrays themselves
        raise OptionError(f"{name} cannot be made an array: {error}".splitlines()[0]) from None


def _shown(value):
    """A wrong value for a message: itself where that is short, else its type."""
    text = str(value) if isinstance(value, (str, int, float, tuple, type(None), np.generic)) else ""
    return text if text.isprintable() and 0 < len(text) <= LONGEST_SHOWN else f"of type {type(value).__name__}"
