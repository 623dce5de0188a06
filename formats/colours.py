"""Colours of picture files to sRGB: by their ICC profile, or by the gamma and the primaries that a PNG gives."""

import io

import numpy as np
from PIL import Image, ImageCms

GREY_MODES = ("1", "L", "LA", "La")
SPACES = {"CMYK": b"CMYK", "LAB": b"Lab "}  # of ICC profiles, by mode; grey and colours beside these
STRIP = 256  # rows at once, so that a large picture takes little memory beside itself
SRGB_GAMMA, NEAR_GAMMA = 1 / 2.2, 0.05  # exponents this near, by ratio, stand for sRGB's own curve, as browsers hold it
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x and y of white, red, green and blue
NEAR = 0.002  # how far each of them may be off
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def fits(profile, mode):
    """Whether an ICC profile (bytes) can be read and is one of pixels of Pillow's `mode`."""
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False
    return profile[16:20] == SPACES.get(mode, b"GRAY" if mode in GREY_MODES else b"RGB ")


def to_srgb(im, profile, info):
    """The image `im`, without alpha, in mode RGB and in sRGB.

    `profile` is its ICC profile (bytes) or None; `info`, as Pillow gives it, may have the gamma and the primaries.
    """
    if im.mode == "LAB" and not profile:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    if profile:
        im = im.convert("RGB") if im.mode not in ("RGB", "L", "CMYK", "LAB") else im
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(im, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    grey = im.mode in GREY_MODES
    im = im if im.mode == "RGB" else im.convert("RGB")
    said = "srgb" not in info and ("gamma" in info or "chromaticity" in info)
    return _by_gamma(im, info, grey) if said else im


def _by_gamma(im, info, grey):
    """`im`, RGB, by the info's "gamma" and, unless it is `grey`, "chromaticity": the chunks gAMA and cHRM of PNG."""
    gamma, primaries = info.get("gamma", SRGB_GAMMA), info.get("chromaticity", SRGB)
    own_curve = not gamma > 0 or abs(gamma / SRGB_GAMMA - 1) <= NEAR_GAMMA
    matrix = None if grey or np.allclose(primaries, SRGB, rtol=0, atol=NEAR) else _to_srgb_primaries(primaries)
    if own_curve and matrix is None:
        return im
    levels = np.arange(256) / 255
    linear = (_from_srgb_curve(levels) if own_curve else levels ** (1 / gamma)).astype(np.float32)
    if matrix is None:
        return im.point([round(255 * float(v)) for v in _to_srgb_curve(linear)] * 3)
    curve = np.rint(255 * _to_srgb_curve(np.arange(1 << 16) / 65535)).astype(np.uint8)
    out = Image.new("RGB", im.size)
    for top in range(0, im.height, STRIP):
        strip = linear[np.asarray(im.crop((0, top, im.width, min(top + STRIP, im.height))))]  # (rows, W, 3)
        mixed = np.clip(strip @ matrix.T.astype(np.float32), 0, 1)
        out.paste(Image.fromarray(curve[np.rint(65535 * mixed).astype(np.uint16)]), (0, top))
    return out


def _to_srgb_primaries(chromaticity):
    """float (3, 3): linear colours of these primaries and this white to those of sRGB; None where there is none."""
    try:
        to_xyz, white = _to_xyz(chromaticity)
        target, target_white = _to_xyz(SRGB)
        adapt = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ target_white / (BRADFORD @ white)) @ BRADFORD
        matrix = np.linalg.inv(target) @ adapt @ to_xyz
    except (np.linalg.LinAlgError, ZeroDivisionError):
        return None
    return matrix if np.isfinite(matrix).all() else None


def _to_xyz(chromaticity):
    """(float (3, 3) linear RGB to XYZ, float (3,) XYZ of white) of x and y of white, red, green and blue."""
    white, *primaries = [np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in zip(chromaticity[::2], chromaticity[1::2])]
    columns = np.stack(primaries, axis=1)
    return columns * np.linalg.solve(columns, white), white


def _from_srgb_curve(values):
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _to_srgb_curve(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
