"""Kernel distance: how far two sets of patches are from one another (KID; Binkowski and others, arXiv 1801.01401).

Features are those that EfficientNet-Lite0 pools of each patch; the kernel is the cubic polynomial.
"""

import numpy as np
import torch

from odpiece.codec.comparison.classes import load_network, network_input

PATCH = 64  # pixels along each side


@torch.inference_mode()
def patch_features(pixels):
    """float32 (patches, 1280) of the whole patches, side by side, of uint8 (H, W, 3)."""
    rows, columns = (side // PATCH for side in pixels.shape[:2])
    patches = pixels[: rows * PATCH, : columns * PATCH].reshape(rows, PATCH, columns, PATCH, 3)
    patches = patches.transpose(0, 2, 1, 3, 4).reshape(-1, PATCH, PATCH, 3)
    return load_network().extract_features(network_input(patches)).mean((2, 3)).numpy()


def kernel_distance(originals, decoded):
    """The unbiased squared distance of means, a float, of two arrays of features (n, d), n at least 2; it may be < 0.

    Lines of the same number are the same place: no patch is compared with itself (Gretton and others, "A kernel
    two-sample test", 2012, equation 4), so that it is 0 where all features are the same.
    """
    between = _kernel(originals, decoded)
    kernels = _kernel(originals, originals) + _kernel(decoded, decoded) - between - between.T
    count = len(kernels)
    return float((kernels.sum() - kernels.trace()) / (count * (count - 1)))


def _kernel(a, b):
    return (a.astype(np.float64) @ b.T.astype(np.float64) / a.shape[1] + 1) ** 3
