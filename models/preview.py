"""Previews: of a bands model what files of at most 64 tokens a piece need, small enough for a web page to download.

It holds the integer prior of the first two bands, and in place of the networks a linear synthesis to 1/8 of the size
along each side: what the faithful look makes of each latent alone, a patch of PATCH pixels for its block and each of
the 8 around it. docs/web.md has more.
"""

import json
import zlib

import numpy as np
from safetensors.numpy import save

from odpiece.formats.errors import OptionError
from odpiece.models.interface import BANDS, BANDS_FAMILY, LOOKS, PIECE, USUAL_BANDS
from odpiece.models.prior import ROWS

BANDS_KEPT = 2
MOST_TOKENS = BANDS[BANDS_KEPT].first_token  # of a piece that they hold
SHRUNK = 8  # pixels of the picture for one of the preview, along each side
QUALITY, IMPULSE = 16, 30.0  # at which the looks are asked, and the latent that is not zero then
APART = 3  # pieces between two impulses
GREY = 128  # what the networks make of no latents
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
    scales = [float(np.abs(p).max()) / LARGEST for p in patches]
    rounded = {f"preview.{i}": np.rint(p / s).astype(np.int8) for i, (p, s) in enumerate(zip(patches, scales))}
    metadata = {"model": model.sha256, "scales": json.dumps(scales)}
    return zlib.compress(save(_prior(model) | rounded, metadata=metadata), 9)


def _prior(model):
    """{name: array} of the prior's tensors for the bands that are kept, and its tables for usual qualities."""
    bands = tuple(f"prior.bands.{band}." for band in range(BANDS_KEPT))
    refined = tuple(f"prior.refine.{band}." for band in range(BANDS_KEPT - 1))
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
    pixels = transform.synthesize(tuple(grids), QUALITY, LOOKS[0]).astype(np.float64) - GREY
    side = pieces * PIECE // SHRUNK
    return pixels.reshape(side, SHRUNK, side, SHRUNK, 3).mean(axis=(1, 3))
