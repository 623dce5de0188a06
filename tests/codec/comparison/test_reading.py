"""Text: what the reader makes of lines of known content, and how letters are counted."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from odpiece.codec.comparison.subjects import Finding, find_subject
from odpiece.formats.errors import MissingExtraError

LINES = {30: "Harbour Office", 110: "27 Oak Street"}  # by their upper sides


@pytest.fixture(autouse=True)
def reader():
    try:
        find_subject("text").require()
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def sign():
    """uint8 (180, 320, 3), with letters of 32 pixels."""
    im = Image.new("RGB", (320, 180), (225, 215, 190))
    draw = ImageDraw.Draw(im)
    for y, text in LINES.items():
        draw.text((30, y), text, (30, 20, 60), ImageFont.load_default(32))
    return np.asarray(im)


def test_lines_are_found_and_read(sign):
    from odpiece.codec.comparison.reading import Reader

    found = Reader().lines(sign)
    assert [line.text for line in found] == list(LINES.values())
    assert all(24 <= line.size <= 40 for line in found)
    for line, y in zip(found, LINES):
        assert y - 10 < line.corners[0, 1] < y + 10 and 20 < line.corners[0, 0] < 40


def test_letters_are_lost_where_they_are_covered(sign):
    observer = find_subject("text").observer(sign)
    first, second = observer(sign)
    assert first == Finding(first.size, 2, 13, 13) and second == Finding(second.size, 3, 11, 11)
    covered = sign.copy()
    covered[100:160] = covered[0, 0]
    assert observer(covered) == [first, second._replace(kept=0)]
    moved = np.roll(sign, 60, axis=0)
    assert sum(finding.kept for finding in observer(moved)) < 8


def test_a_picture_without_text_is_not_looked_at_again():
    assert find_subject("text").observer(np.full((64, 96, 3), 128, np.uint8)) is None


@pytest.mark.parametrize(
    "text, read, kept",
    [
        ("Oak Street", "Oak Street", 9),
        ("Oak Street", "OakStreet", 9),
        ("Oak Street", "0ak Strcet", 7),
        ("Oak Street", "", 0),
        ("Oak", "Oak Street", 0),
        ("Oak", "aOk", 1),
    ],
)
def test_letters_that_are_kept(text, read, kept):
    from odpiece.codec.comparison.reading import kept_letters

    assert kept_letters(text, read) == kept
