"""Grey of more than 8 bits to 8 bits, as bright as viewers show it, and the grey value that a PNG calls transparent."""

import numpy as np
from PIL import Image

DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
# Where a file does not say what white is: the values that are usual, and up to which highest value each is taken. What
# is a little above them comes from filters and bright lights, and is white, too.
USUAL_WHITES = ((1.0, 16.0), (255.0, 510.0), (65535.0, 131070.0))
HIGHEST = 99.9  # percentile that is taken for the highest value: single pixels may be anything
SAMPLES = 1 << 20  # pixels that are looked at for it
STRIP = 256  # rows at once, so that a large picture takes little memory beside itself
TIFF_SAMPLE_FORMAT, UNSIGNED = 339, 1


def to_eight_bits(im, bits):
    """The Pillow image `im`, of `bits` a sample, in a mode of 8 bits; a transparent grey value becomes alpha."""
    key = im.info.get("transparency")
    alpha = None
    if im.mode in DEEP_MODES:
        values = _values(im, bits)
        if isinstance(key, int):
            alpha = np.where(values == key, 0, 255).astype(np.uint8)
        grey = Image.fromarray(_scaled(values, _white(im, values, bits)))
        grey.info = im.info
        im = grey
    elif im.mode == "L" and isinstance(key, int) and bits < 8:
        alpha = np.where(np.asarray(im) == key * 255 // (2**bits - 1), 0, 255).astype(np.uint8)
    if isinstance(key, int) and (alpha is not None or (im.mode == "L" and key > 255)):
        im = im.copy()
        del im.info["transparency"]
    if alpha is not None:
        im.putalpha(Image.fromarray(alpha))
    return im


def _values(im, bits):
    """The samples of a grey image, of 32 unsigned bits as such, which Pillow takes for signed ones."""
    values = np.asarray(im)
    tags = getattr(im, "tag_v2", {})
    if im.mode == "I" and bits == 32 and tags and tags.get(TIFF_SAMPLE_FORMAT, (UNSIGNED,))[0] == UNSIGNED:
        return values.view(np.uint32)
    return values


def _white(im, values, bits):
    """The value that is shown as white."""
    if im.mode.startswith("I;16"):
        return 2.0 ** (bits if 8 < bits < 16 else 16) - 1
    if im.mode == "I" and im.format in ("PNG", "PPM"):
        return 65535.0
    some = values.ravel()[:: max(1, values.size // SAMPLES)]
    finite = some[np.isfinite(some)]
    highest = float(np.percentile(finite, HIGHEST)) if finite.size else 0.0
    usual = USUAL_WHITES[:2] + ((32767.0, 32767.0),) if bits == 16 else USUAL_WHITES  # 16 bits with a sign
    for white, most in usual[im.mode == "I" :]:
        if highest <= most:
            return white
    whole = 2.0**32 - 1 if values.dtype == np.uint32 else 2.0**31 - 1
    return whole if im.mode == "I" and highest > whole / 16 else highest


def _scaled(values, white):
    """uint8 of samples from 0 to `white`; what lies beyond is clipped."""
    out = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), STRIP):
        strip = np.nan_to_num(values[top : top + STRIP].astype(np.float64), posinf=white)
        out[top : top + STRIP] = np.clip(np.rint(strip * (255.0 / white)), 0, 255)
    return out
