"""The orthonormal matrices of high qualities, from the linear layers of the analysis.

Of each layer the nearest orthonormal rows, the first of them mean colours as they are; then principal components of
what these rows leave of the pictures. So the picture comes back exactly, and its first latents are much like the usual
ones.
"""

import torch
import torch.nn.functional as F

from odpiece.models.nets.bands.transform import FINE, MIDDLE, PASSED_ON, PATCH
from odpiece.models.training.bands.pca import components, mean_of_four, mean_of_patch

RESTORED = 0.05, 0.5  # between which the scales of the restoration's channels lie: errors vary less than patches


@torch.no_grad()
def fit_exact(tokenizer, pixels):
    """Set the Exact of `tokenizer` from its analysis and from `pixels`, float (B, 3, H, W) in [-1, 1].

    Its restoration gets the scales of its channels. Gives the root mean square of the latents of all bands, a tuple of
    (latents,).
    """
    exact, a = tokenizer.exact, tokenizer.analysis
    x = F.pixel_unshuffle(pixels, PATCH)
    x, fine = _fit(exact.patch, a.patch, mean_of_patch(), x)
    x, middle = _fit(exact.merge16, a.merge16, mean_of_four(FINE), F.pixel_unshuffle(x[:, :FINE], 2))
    x, coarse32 = _fit(exact.merge32, a.merge32, mean_of_four(PASSED_ON), F.pixel_unshuffle(x[:, :PASSED_ON], 2))
    _, coarse64 = _fit(exact.merge64, a.merge64, mean_of_four(PASSED_ON), F.pixel_unshuffle(x[:, :PASSED_ON], 2))
    for block in tokenizer.restoration:
        block.scale.copy_(fine.clamp(*RESTORED))
    return coarse64, coarse32[PASSED_ON:], middle[PASSED_ON:MIDDLE], middle[MIDDLE:], fine[FINE:]


def _fit(matrix, layer, first, x):
    """Set `matrix` (n, n) from the weight of `layer`, first rows `first` and pictures x (B, n, h, w).

    Gives what it makes of x, and the root mean square (n,) of that.
    """
    rest = layer.weight.flatten(1)[len(first) :].double()
    first = first.to(rest)
    left, _, right = torch.linalg.svd(rest - rest @ first.T @ first, full_matrices=False)
    rows = torch.cat([first, left @ right])
    matrix.copy_(components(x, len(matrix), rows)[0])
    x = F.conv2d(x, matrix[:, :, None, None])
    return x, x.square().mean((0, 2, 3)).sqrt()
