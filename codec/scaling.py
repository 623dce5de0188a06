"""At which scale a picture is coded: large pictures at low quality look better for their bytes when coded smaller.

A piece of the picture at scale 1/s gets s^2 times the tokens, so that q is that of 64x64 true pixels at every scale.
Which scale suits a q is tried out on a sample, windows of the picture side by side: it is coded at each scale, and the
best PSNR wins, corrected for the bytes. benchmarks/scales.py shows how good that is and where GAIN comes from.
"""

from math import ceil, log

import numpy as np

from odpiece.formats.container import unpack
from odpiece.models.interface import is_fine

GAIN = 2.4  # dB of PSNR that e times the bytes are worth: typical of photographs at low rates
LARGEST = 256  # q
MOST_PIXELS = 1 << 18  # of a picture that is coded at its own size without a trial
WINDOW = 256  # pixels along the side of a window of the sample: whole pieces at every scale
MOST_WINDOWS = 3  # along each side of a picture, of which they cover at most half
HEADER_BYTES = 14


class Scaled:
    """A picture that may be coded at several SCALES, each an Analyzed, made when it is asked for.

    `make(pixels, scale=.., **options)` makes them of `pixels`, which are as of `encode`. `scales` are those to choose
    from, the true size first.
    """

    def __init__(self, make, pixels, scales):
        self._make, self._given, self._made, self._sampled = make, pixels, {}, {}
        first = self._made[scales[0]] = make(pixels, scale=scales[0])
        self.pixels = first.pixels
        height, width = self.pixels.shape[:2]
        small = height * width <= MOST_PIXELS or min(height, width) < WINDOW
        self.scales = scales[:1] if small else scales

    def at(self, scale):
        """The Analyzed of one of `scales`."""
        if scale not in self._made:
            self._made[scale] = self._make(self._given, scale=scale)
        return self._made[scale]

    def best(self, q):
        """The one of `scales` that suits `q`, a number above 0, best: 1 from q = LARGEST on.

        A scale where the pieces would need a high quality is left out: the sample says too much good of it.
        """
        fitting = [scale for scale in self.scales if scale == 1 or (q < LARGEST and not is_fine(q * scale**2))]
        if len(fitting) < 2:
            return (fitting or self.scales)[0]
        return max(fitting, key=lambda scale: self._worth(scale, q))

    def _worth(self, scale, q):
        """PSNR in dB of the sample at one of `scales`, corrected for the bytes that it would take of the picture."""
        sample = self._sample(scale)
        data = sample.encode(max(1, ceil(q * scale**2)), effort=0)
        error = np.mean((sample.decoded(data).astype(np.float32) - sample.pixels) ** 2, dtype=np.float64)
        payload = sum(len(segment.payload) for segment in unpack(data)[2])
        size = HEADER_BYTES + payload * self.pixels.size / sample.pixels.size
        return -10 * log(max(error, 1e-9), 10) - GAIN * log(size)

    def _sample(self, scale):
        if scale not in self._sampled:
            self._sampled[scale] = self._make(_windows(self.pixels), scale=scale, metadata=None)
        return self._sampled[scale]


def _windows(pixels):
    """Windows of `pixels` (H, W, ..), evenly spread, side by side in one picture."""
    tops, lefts = (_starts(side) for side in pixels.shape[:2])
    rows = [np.concatenate([pixels[y : y + WINDOW, x : x + WINDOW] for x in lefts], axis=1) for y in tops]
    return np.concatenate(rows)


def _starts(side):
    count = min(MOST_WINDOWS, max(1, side // (2 * WINDOW)))
    return [(2 * i + 1) * side // (2 * count) - WINDOW // 2 for i in range(count)]
