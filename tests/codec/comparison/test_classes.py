"""The classifier on a photograph of a known class."""

from pathlib import Path

import pytest

from odpiece.codec.comparison.subjects import Finding, find_subject
from odpiece.formats.errors import MissingExtraError
from odpiece.formats.images import read_image

PHOTO = Path(__file__).resolve().parents[3] / "examples" / "photo.png"
CHURCH = 497  # of ImageNet


@pytest.fixture
def church():
    try:
        find_subject("classes").require()
    except MissingExtraError as error:
        pytest.skip(str(error))
    return read_image(PHOTO.read_bytes()).pixels


def test_the_classifier_sees_the_church(church):
    from odpiece.codec.comparison.classes import load_classifier

    classify = load_classifier()
    assert classify(church) == CHURCH
    assert classify(church[::-1] // 4) != CHURCH


def test_the_whole_picture_is_one_finding(church):
    observer = find_subject("classes").observer(church)
    assert observer(church) == [Finding(0, 1, 1, 1)]
    assert observer(church[::-1] // 4) == [Finding(0, 1, 1, 0)]
