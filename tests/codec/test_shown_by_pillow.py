"""Pictures of every format and mode that Pillow writes come out as Pillow shows them: colours, alpha, orientation."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from odpiece.codec import decode, encode
from odpiece.formats.images import read_image, write_image

Y, X = np.mgrid[0:48, 0:64]
COLOURS = Image.fromarray(np.stack([40 + X * 2, 220 - Y * 4, 60 + X + Y], axis=2).astype(np.uint8))
ALPHA = Image.fromarray((X * 4).astype(np.uint8))
GREY = COLOURS.convert("L")
MODES = "1 L P PA LA RGB RGBA RGBa RGBX CMYK YCbCr HSV LAB I;16 I F".split()
ORIENTATIONS = (1, 6)
UNREAD = ("EPS", "PALM", "PDF", "ODP")  # by Pillow alone
NEAR = 13  # levels of the means after the codec, which is coarse in so small a picture
HALFTONE = 30  # the same for dots of black and white, finer than the transform holds


def image(mode):
    """COLOURS in a mode of Pillow, with ALPHA where it has any."""
    if mode in ("I;16", "I"):
        return Image.fromarray(np.asarray(GREY).astype(np.uint16 if mode == "I;16" else np.int32) * 257)
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(COLOURS, *profiles, outputMode="LAB")
    if mode == "LA":
        return Image.merge("LA", [GREY, ALPHA])
    if mode == "PA":
        im = COLOURS.convert("P").convert("PA")
        im.putalpha(ALPHA)
        return im
    if mode in ("RGBA", "RGBa"):
        return Image.merge("RGBA", [*COLOURS.split(), ALPHA]).convert(mode)
    return COLOURS.convert(mode)


def file(form, mode, orientation):
    """The bytes of a file, None where Pillow does not write the mode, or does not read what it wrote."""
    tags, out = Image.Exif(), io.BytesIO()
    tags[0x112] = orientation
    try:
        with warnings.catch_warnings(action="ignore"):
            image(mode).save(out, form, exif=tags)
            if form not in UNREAD:
                Image.open(out).load()
    except (OSError, ValueError, KeyError, NotImplementedError):
        return None
    return out.getvalue()


def shown(data):
    """float (H, W, 4): what Pillow shows of a file, grey of more than 8 bits by its whole range."""
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as im:
        im = ImageOps.exif_transpose(im)
    if im.mode in ("I", "F") or im.mode.startswith("I;16"):
        values = np.asarray(im, dtype=float)
        im = Image.fromarray(np.uint8(values * (255 / 65535 if values.max() > 255 else 1)))
    if im.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        im = ImageCms.profileToProfile(im, *profiles, outputMode="RGB")
    if im.mode == "P" and im.palette is None:  # as of some icons
        im = im.convert("RGB")
    return np.asarray(im.convert("RGBA"), dtype=float)


def parts(pixels):
    """Means of the channels of both halves along both axes, colours weighted by alpha: they tell turned pictures."""
    weighted = np.dstack([pixels[..., :3] * pixels[..., 3:] / 255, pixels[..., 3]])
    halves = [half for axis in (0, 1) for half in np.array_split(weighted, 2, axis=axis)]
    return np.array([half.mean(axis=(0, 1)) for half in halves])


Image.init()
CASES = [
    pytest.param(data, id=f"{form}-{mode}-{orientation}")
    for form in sorted(set(Image.SAVE) & set(Image.OPEN) - set(UNREAD) | {"MPO"})
    for mode in MODES
    for orientation in ORIENTATIONS
    if (data := file(form, mode, orientation))
]


def test_many_formats_and_modes_are_tried():
    tried = {tuple(case.id.split("-")[:2]) for case in CASES}
    assert len(tried) > 130
    assert {("TIFF", "F"), ("PNG", "I;16"), ("JPEG", "CMYK"), ("WEBP", "RGBA"), ("GIF", "P"), ("AVIF", "LA")} < tried


@pytest.mark.parametrize("data", CASES)
def test_a_picture_is_read_as_pillow_shows_it(data):
    expected, pixels = shown(data), read_image(data).pixels
    assert pixels.shape[:2] == expected.shape[:2]
    assert np.abs(parts(shown(write_image(pixels))) - parts(expected)).max() < 1


@pytest.mark.parametrize("mode", MODES)
def test_a_round_trip_is_as_pillow_shows_the_source(mode):
    """The codec sees the pixels alone, so that one format of each mode will do."""
    data = next(data for form in ("PNG", "TIFF", "WEBP") if (data := file(form, mode, 6)))
    decoded, expected = shown(write_image(decode(encode(read_image(data).pixels, q=256, effort=0)))), shown(data)
    near = HALFTONE if mode == "1" else NEAR
    assert decoded.shape == expected.shape and np.abs(parts(decoded) - parts(expected)).max() < near
