"""The orthonormal matrices of high qualities before they are trained: a lapped transform and a hierarchical PCA.

First comes a rotation across the borders of patches, which leaves flat areas alone; those across the borders of larger
squares begin as none. Then, at each level, principal components, the first of them mean colours as they are. Training
turns all of them further, see exact_loop.py.
"""

import torch
import torch.nn.functional as F

from odpiece.models.nets.bands.transform import FINE, MIDDLE, PASSED_ON, PATCH, lapped
from odpiece.models.training.bands.pca import components, mean_of_four, mean_of_patch

# How the differences of pixels at the same distance from a border are turned, 1 to 4 pixels away: fitted, for the least
# logarithm of the determinant of the patches' covariance, see docs/decisions/transform.md
TURNED = torch.tensor(
    [
        [0.802, 0.590, 0.077, 0.051],
        [-0.556, 0.700, 0.448, -0.013],
        [0.197, -0.399, 0.873, 0.200],
        [-0.090, 0.060, -0.177, 0.978],
    ]
)
RESTORED = 0.05, 0.5  # between which the scales of the restoration's channels lie: errors vary less than patches


@torch.no_grad()
def fit_exact(tokenizer, pixels):
    """Set the Exact of `tokenizer` from `pixels`, float (B, 3, H, W) in [-1, 1].

    Its restoration gets the scales of its channels. Gives the root mean square of the latents of all bands, a tuple of
    (latents,).
    """
    exact = tokenizer.exact
    exact.lap8.copy_(lap())
    x = F.pixel_unshuffle(lapped(pixels, exact.lap8, PATCH), PATCH)
    x, fine = _fit(exact.merge8, mean_of_patch(), x)
    x, middle = _fit(exact.merge16, mean_of_four(FINE), F.pixel_unshuffle(x[:, :FINE], 2))
    x, coarse32 = _fit(exact.merge32, mean_of_four(PASSED_ON), F.pixel_unshuffle(x[:, :PASSED_ON], 2))
    _, coarse64 = _fit(exact.merge64, mean_of_four(PASSED_ON), F.pixel_unshuffle(x[:, :PASSED_ON], 2))
    for block in tokenizer.restoration:
        block.scale.copy_(fine.clamp(*RESTORED))
    return coarse64, coarse32[PASSED_ON:], middle[PASSED_ON:MIDDLE], middle[MIDDLE:], fine[FINE:]


def lap():
    """float32 (n, n): of the square amid four patches, along its rows and columns in every colour.

    Sums of what lies alike on both sides of a border stay as they are, so flat areas do; differences are TURNED.
    """
    eye = torch.eye(PATCH // 2, dtype=torch.float64)
    mirror = eye.flip(0)
    parts = torch.cat([torch.cat([eye, mirror], 1), torch.cat([mirror, -eye], 1)]) / 2**0.5
    left, _, right = torch.linalg.svd(TURNED.double())  # the nearest orthonormal matrix to its rounded numbers
    line = parts.T @ torch.block_diag(eye, left @ right) @ parts
    return torch.block_diag(*[torch.kron(line, line)] * 3).float()


def _fit(matrix, first, x):
    """Set `matrix` (n, n) from the rows `first` and x (B, n, h, w); gives what it makes of x, and the spread (n,)."""
    rows, spread = components(x, len(matrix), first)
    matrix.copy_(rows)
    return F.conv2d(x, rows[:, :, None, None]), spread
