"""Whether meaning survives: the count, and the classifier on a photograph of a known class."""

from dataclasses import replace
from pathlib import Path

import pytest

from odpiece.codec.comparison.measure import Original, measure
from odpiece.codec.comparison.peers import ODPIECE, find_peer
from odpiece.codec.comparison.recognition import Agreement, agreement_cells, agreements, load_classifier
from odpiece.codec.comparison.report import Measured
from odpiece.formats.errors import MissingExtraError
from odpiece.formats.images import read_image

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photo.png"
CHURCH = 497  # of ImageNet


def test_agreements_are_counted_at_the_bytes_of_odpiece(photo):
    """By a classifier that only tells WebP's smallest file apart."""
    codecs = replace(ODPIECE, qualities=(4, 256)), replace(find_peer("webp"), qualities=(0, 40), scales=(4,))
    codecs = {codec.name: codec for codec in codecs}
    trials = {name: measure(Original(photo), codec, ("psnr",)) for name, codec in codecs.items()}
    webp = find_peer("webp")
    worst = webp.decode(webp.encode(photo, 0, 4), photo.shape).tobytes()
    pictures = [Measured("a", photo.size // 3, trials)]
    found = agreements(pictures, codecs, lambda name: photo, lambda pixels: pixels.tobytes() == worst)
    assert found == [Agreement("odpiece", 4, 1, 1), Agreement("odpiece", 256, 1, 1), Agreement("webp", 256, 1, 0)]


def test_the_table_has_a_line_for_each_quality():
    found = [Agreement("odpiece", 4, 2, 1), Agreement("webp", 256, 3, 2), Agreement("odpiece", 256, 3, 3)]
    assert agreement_cells(found) == [
        ["same class", "odpiece", "WebP"],
        ["-q 4", "50 % (2)", "-"],
        ["-q 256", "100 % (3)", "67 % (3)"],
    ]


def test_the_classifier_sees_the_church():
    try:
        classify = load_classifier()
    except MissingExtraError as error:
        pytest.skip(str(error))
    pixels = read_image(PHOTO.read_bytes()).pixels
    assert classify(pixels) == CHURCH
    assert classify(pixels[::-1] // 4) != CHURCH
