"""Previews: of a bands model what files of at most 64 tokens a piece need, small enough for a web page to download.

It holds the integer prior of the first two bands, and in place of the networks a linear synthesis to 1/8 of the size
along each side: for each latent a patch of pixels for its block and each of the 8 around it. That is first what the
faithful look makes of the latent alone, and for the first band then fitted to what it makes of many together, in a
drawn picture: else blocks would show at their borders. docs/web.md has more.
"""

import json
import zlib

import numpy as np
from safetensors.numpy import save

from odpiece.formats.errors import OptionError
from odpiece.models.interface import BANDS, BANDS_FAMILY, LATENTS_PER_TOKEN, LOOKS, PIECE, USUAL_BANDS, latent_steps
from odpiece.models.prior import ROWS

BANDS_KEPT = 2
MOST_TOKENS = BANDS[BANDS_KEPT].first_token  # of a piece that they hold
SHRUNK = 8  # pixels of the picture for one of the preview, along each side
QUALITY, IMPULSE = 16, 30.0  # at which the looks are asked, and the latent that is not zero then
APART = 3  # pieces between two impulses
GREY = 128  # what the networks make of no latents
FITTED = 32  # pieces along the sides of the drawn picture
RIDGE = 0.03  # how much the fit holds on to the latents alone, as a part of the mean square of a latent's values
LARGEST = 127  # of the numbers that patches are stored as
PREFIXES = ("prior.squash", "prior.lengths", "prior.tables")


def make_preview(model):
    """The bytes of the preview of a Model of the bands: a safetensors file as a zlib stream. Raises OptionError.

    Its tensors are those of the prior, and for each band i `preview.i`, int8 (latents, 9, patch, patch, 3), which times
    the metadata's "scales"[i] and a latent are added to 128 in the patches of its block and of its neighbours.
    """
    if model.family != BANDS_FAMILY:
        raise OptionError(f"model {model.name} has no preview: only models of the family {BANDS_FAMILY} have")
    patches = [_patches(model.transform, band) for band in range(BANDS_KEPT)]
    patches[0] = _fitted(model.transform, patches[0])
    scales = [float(np.abs(p).max()) / LARGEST for p in patches]
    rounded = {f"preview.{i}": np.rint(p / s).astype(np.int8) for i, (p, s) in enumerate(zip(patches, scales))}
    metadata = {"model": model.sha256, "scales": json.dumps(scales)}
    return zlib.compress(save(_prior(model) | rounded, metadata=metadata), 9)


def _prior(model):
    """{name: array} of the prior's tensors for the bands that are kept, and its tables for usual qualities."""
    bands = tuple(f"prior.usual.bands.{band}." for band in range(BANDS_KEPT))
    refined = tuple(f"prior.usual.refine.{band}." for band in range(BANDS_KEPT - 1))
    tensors = model.tensors(*PREFIXES, *bands, *refined)
    return tensors | {"prior.tables": np.ascontiguousarray(tensors["prior.tables"][:ROWS])}


def _patches(transform, band):
    """float64 (latents, 9, patch, patch, 3): what one of each latent adds to its block and to those around it."""
    latents, block = BANDS[band].latents, BANDS[band].block // SHRUNK
    side = int(np.ceil(np.sqrt(latents)))  # of a square of impulses, each in the middle of APART x APART pieces
    apart, middle = APART * BANDS[band].side, APART // 2 * BANDS[band].side
    places = [(apart * (c // side) + middle, apart * (c % side) + middle) for c in range(latents)]
    pixels = _response(transform, band, places, APART * side)
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    found = [[pixels[(y + dy) * block :, (x + dx) * block :][:block, :block] for dy, dx in around] for y, x in places]
    return np.array(found) / IMPULSE


def _response(transform, band, places, pieces):
    """float64 (h, w, 3): the shrunk picture, less GREY, with an impulse of latent i of a band in places[i]."""
    grids = [np.zeros((b.latents, pieces * b.side, pieces * b.side), np.float32) for b in BANDS[:USUAL_BANDS]]
    for latent, place in enumerate(places):
        grids[band][latent, *place] = IMPULSE
    return _shrunk(transform.synthesize(tuple(grids), QUALITY, LOOKS[0]))


def _shrunk(pixels):
    """float64 (h / SHRUNK, w / SHRUNK, 3) less GREY of uint8 (h, w, 3)."""
    h, w, _ = pixels.shape
    return pixels.reshape(h // SHRUNK, SHRUNK, w // SHRUNK, SHRUNK, 3).mean(axis=(1, 3)) - GREY


def _fitted(transform, patches):
    """Patches of the first band, near to `patches`, that make the drawn picture as the faithful look does."""
    coarse, *finer = transform.analyze(_drawn(FITTED * PIECE))
    step = latent_steps(QUALITY)[0][:, None, None]
    kept = BANDS[0].ranks >> np.arange(FITTED) % 5  # of each row of pieces, 16 to 1
    rank = np.arange(len(coarse)) // LATENTS_PER_TOKEN
    coarse = (np.rint(coarse / step) * step * (rank[:, None] < kept)[..., None]).astype(np.float32)
    made = transform.synthesize((coarse, *(np.zeros_like(z) for z in finer)), QUALITY, LOOKS[0])
    inner = FITTED - 2  # pieces that are no edges
    shifts = [coarse[:, y : y + inner, x : x + inner] for y in (2, 1, 0) for x in (2, 1, 0)]  # patch by patch
    inputs = np.stack(shifts, axis=1).reshape(-1, inner * inner).T.astype(np.float64)
    block = PIECE // SHRUNK
    wanted = _shrunk(made)[block:-block, block:-block].reshape(inner, block, inner, block, 3).transpose(0, 2, 1, 3, 4)
    start = patches.reshape(inputs.shape[1], -1)
    missing = wanted.reshape(inner * inner, -1) - inputs @ start
    square = inputs.T @ inputs
    ridge = RIDGE * np.trace(square) / len(square) * np.eye(len(square))
    return (start + np.linalg.solve(square + ridge, inputs.T @ missing)).reshape(patches.shape)


def _drawn(side):
    """uint8 (side, side, 3) with the spectrum of photographs: noise that falls with frequency, mostly grey."""
    rng = np.random.default_rng(1)
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    spectrum = np.fft.rfft2(rng.normal(size=(3, side, side))) / np.maximum(np.hypot(rows, columns), 1 / side)
    spectrum[:, 0, 0] = 0
    grey, *colours = (plane / plane.std() for plane in np.fft.irfft2(spectrum, s=(side, side)))
    planes = [60 * grey + share for share in (15 * colours[0], 0, 15 * colours[1])]
    return np.clip(np.stack([plane + GREY for plane in planes], axis=-1), 0, 255).astype(np.uint8)
