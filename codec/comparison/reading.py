"""A reader of text: PP-OCR as the package rapidocr has it (Apache-2.0), its weights inside."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from rapidocr import RapidOCR

from odpiece.models.threads import thread_limit

SURE = 0.9  # how sure the reader has to be of a line for it to count
LEAST = 2  # letters of a line that counts
TALL = 1.5  # how much higher than wide a line may be: others are read from top to bottom, or are no lines
EDGE, EXTENT = 3, 1.1  # pixels that a box around a line adds, and its height by the size of its letters, seen on cards
DEFAULT_THREADS = -1  # onnxruntime's own choice


@dataclass(frozen=True)
class Line:
    """A line of text: its corners, float (4, 2), x and y from the upper left one clockwise, and what it says."""

    corners: np.ndarray
    text: str

    @property
    def size(self):
        """Of its letters, in pixels, as fonts give it: within a third or so."""
        return max(1.0, _lengths(self.corners)[1] - EDGE) / EXTENT


class Reader:
    """Finds lines in a picture, uint8 (H, W, 3), and reads them, there or at the same place of another picture."""

    def __init__(self):
        threads = thread_limit() or DEFAULT_THREADS
        name = "EngineConfig.onnxruntime"
        counts = {f"{name}.intra_op_num_threads": threads, f"{name}.inter_op_num_threads": threads}
        self._ocr = RapidOCR(params={"Global.log_level": "critical"} | counts)

    def lines(self, pixels):
        """The Lines that are read with certainty."""
        boxes = self._ocr(_bgr(pixels), use_det=True, use_cls=False, use_rec=False).boxes
        found = []
        for corners in np.zeros((0, 4, 2)) if boxes is None else np.asarray(boxes, dtype=float):
            text, sure = self._read(pixels, corners)
            if sure >= SURE and len(letters(text)) >= LEAST:
                found.append(Line(corners, text))
        return found

    def read(self, pixels, line):
        """What `pixels` say where the Line is."""
        return self._read(pixels, line.corners)[0]

    def _read(self, pixels, corners):
        width, height = (max(1, round(length)) for length in _lengths(corners))
        if height > TALL * width:
            return "", 0.0
        quad = corners[[0, 3, 2, 1]].flatten()  # Pillow goes the other way round
        crop = Image.fromarray(pixels).transform((width, height), Image.Transform.QUAD, quad, Image.Resampling.BICUBIC)
        found = self._ocr(_bgr(np.asarray(crop)), use_det=False, use_cls=False, use_rec=True)
        return (found.txts[0], found.scores[0]) if found.txts else ("", 0.0)


def _bgr(pixels):
    return np.ascontiguousarray(pixels[..., ::-1])


def _lengths(corners):
    """(width, height) in pixels."""
    a, b, c, d = corners
    return max(np.hypot(*(b - a)), np.hypot(*(c - d))), max(np.hypot(*(d - a)), np.hypot(*(c - b)))


def letters(text):
    """`text` without spaces."""
    return "".join(text.split())


def kept_letters(text, read):
    """How many letters of `text` are in `read`, too: those beyond the edits that lead from one to the other."""
    a, b = letters(text), letters(read)
    return max(0, len(a) - _edits(a, b))


def _edits(a, b):
    """The Levenshtein distance of two texts."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other)))
    return row[-1]
