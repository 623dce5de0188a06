"""Pictures in a real browser: the same as Python's, by onnxruntime-web."""

import json

import numpy as np
import pytest
from PIL import Image

from odpiece.codec import decode
from odpiece.codec.files import read_partial
from tests.web.conftest import GOLDEN, pixels_of, to_text

NAMES = sorted(json.loads((GOLDEN / "tokens.json").read_text()))
DECODE = "async ([data, options]) => packed(await odpiece.decode(bytesOf(data), options))"
NEAR = 1  # grey level


def decoded(page, data, **options):
    return pixels_of(page.evaluate(DECODE, [to_text(data), options]))


def as_rgba(pixels):
    """uint8 (H, W, 4) of pixels as `decode` gives them."""
    return np.asarray(Image.fromarray(pixels).convert("RGBA"))


@pytest.mark.parametrize("name", NAMES)
def test_golden_pictures(page, name):
    data = (GOLDEN / name).read_bytes()
    with Image.open((GOLDEN / name).with_suffix(".png")) as golden:
        found = Image.fromarray(decoded(page, data))
        if golden.mode in ("L", "LA"):  # mean of what is equal
            found = Image.merge(golden.mode, [found.getchannel(c) for c in ("R", "A")[: len(golden.mode)]])
        small = np.asarray(found.convert(golden.mode).reduce(-(-found.width // golden.width)))
        assert np.abs(small.astype(int) - np.asarray(golden)).max() <= NEAR
