"""Faces: the boxes' arithmetic, and a portrait that the test packages bring along."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odpiece.codec.comparison.subjects import Finding, find_subject
from odpiece.formats.errors import MissingExtraError

PORTRAIT = "mpl-data/sample_data/grace_hopper.jpg"  # in matplotlib: the U.S. Navy's, in the public domain
FACE = (190, 90, 360, 330)  # pixels: left, upper, right and lower side, roughly


@pytest.fixture(autouse=True)
def detector():
    try:
        find_subject("faces").require()
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def portrait():
    """uint8 (600, 512, 3)."""
    package = find_spec("matplotlib")
    if package is None:
        pytest.skip("matplotlib has the portrait")
    return np.asarray(Image.open(Path(package.submodule_search_locations[0]) / PORTRAIT).convert("RGB"))


def test_the_face_is_found_where_it_is(portrait):
    from odpiece.codec.comparison.mtcnn import Mtcnn, overlaps

    found = Mtcnn()(portrait)
    assert found[0, 4] > 0.99 and overlaps(found[:1], np.array([FACE]))[0, 0] > 0.5
    half = Mtcnn()(np.asarray(Image.fromarray(portrait).reduce(2)))
    assert overlaps(2 * half[:1], found[:1])[0, 0] > 0.7


@pytest.mark.parametrize("shape", [(1, 1, 3), (11, 300, 3), (64, 64, 3)])
def test_pictures_without_a_face(shape):
    from odpiece.codec.comparison.mtcnn import Mtcnn

    assert Mtcnn()(np.full(shape, 90, np.uint8)).shape == (0, 5)
    assert find_subject("faces").observer(np.full(shape, 90, np.uint8)) is None


def test_a_face_is_lost_where_it_is_covered_or_moved(portrait):
    observer = find_subject("faces").observer(portrait)
    (finding,) = observer(portrait)
    assert finding == Finding(finding.size, 1, 1, 1) and 120 < finding.size < 220
    covered = portrait.copy()
    covered[100:300, 150:400] = 128
    assert observer(covered) == [Finding(finding.size, 1, 1, 0)]
    assert observer(np.roll(portrait, 150, axis=0)) == [Finding(finding.size, 1, 1, 0)]


def test_overlaps_are_parts_of_areas():
    from odpiece.codec.comparison.mtcnn import overlaps

    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [2, 2, 4, 4]])
    np.testing.assert_allclose(overlaps(boxes[:1], boxes)[0], [1, 1 / 3, 0, 0.04])
    np.testing.assert_allclose(overlaps(boxes[:1], boxes, smaller=True)[0], [1, 1 / 2, 0, 1])


def test_of_boxes_that_overlap_the_likely_one_is_kept():
    from odpiece.codec.comparison.mtcnn import best

    boxes = np.array([[0, 0, 10, 10, 0.7], [1, 0, 11, 10, 0.9], [20, 20, 30, 30, 0.8]])
    assert best(boxes, 0.5).tolist() == boxes[[1, 2]].tolist()
    assert best(boxes[:0], 0.5).shape == (0, 5)
