"""From a training checkpoint to a model that can be installed: networks, integer prior, and the coders' tables.

The tables are counted on the latents of pictures, so this is the one place that needs both the codec and the training.
"""

import numpy as np

from odpiece.codec.bands.coders import SYMBOLS
from odpiece.codec.bands.histograms import analyze, fit_learned, fit_static
from odpiece.models.library import open_model
from odpiece.models.prior import IntegerPrior
from odpiece.models.training.bands.calibration import calibrated
from odpiece.models.training.bands.export import (
    channel_scales,
    folded_tensors,
    load_shipped,
    write_graphs,
    write_model,
)
from odpiece.models.training.bands.loop import load_averaged
from odpiece.models.training.bands.quantized_prior import logistic_table, quantize_prior
from odpiece.models.training.crops import Mixture
from odpiece.models.training.data import CROP, PictureCache
from odpiece.models.training.runs import check_free

CALIBRATING = 24  # crops, on which the scales of the convolutions of integers are chosen
LARGE = 2 * CROP  # pixels along the side of every tenth crop


def export_model(checkpoint, data, name, out, *, cache=None, crops=500):
    """Write the averaged weights of the file `checkpoint` as the model `name` into the folder `out`.

    Symbols are counted on so many random `crops` of the pictures in the folders `data`, as in training; `cache` is the
    folder of decoded pictures. Return the SHA-256 of the weights file in hex. Raises OutputExistsError.
    """
    check_free(out / f"{name}.safetensors")
    network, prior = load_averaged(checkpoint)
    pictures = _crops(Mixture([PictureCache(folder, cache) for folder in data]), crops)
    integers = calibrated(network, pictures[:CALIBRATING])
    tensors = channel_scales(network) | folded_tensors(network)
    write_model(out, name, network.arch, tensors)  # without tables: enough to analyse pictures
    latents = analyze(open_model(out / f"{name}.safetensors").transform, pictures)
    return write_model(out, name, network.arch, tensors | _tables(prior, latents), integers)


def renew_graphs(folder, name, data, *, cache=None):
    """Write the graphs of the model `name` in `folder` anew, from its weights file, which stays; arguments as above."""
    weights = folder / f"{name}.safetensors"
    network, _ = load_shipped(weights)
    pictures = _crops(Mixture([PictureCache(folder, cache) for folder in data]), CALIBRATING)
    tensors = open_model(weights).tensors("")
    write_graphs(folder, name, network.arch.looks, tensors, calibrated(network, pictures))


def _crops(mixture, count):
    """A list of `count` crops, uint8 (side, side, 3) each: mostly small ones, of photographs and drawn pictures."""
    rng = np.random.default_rng(1)
    return [mixture.crop(rng, LARGE if i % 10 == 0 else CROP)[0] for i in range(count)]


def _tables(prior, latents):
    """{name: array} of the static coder's tables, the integer prior made of a float one, and its tables."""
    static, integers = fit_static(latents), quantize_prior(prior)
    learned = fit_learned(IntegerPrior(dict(integers)), latents, static, logistic_table(SYMBOLS))
    tables = {f"static.{key}": table for key, table in static.items()}
    return tables | {f"prior.{key}": table for key, table in (integers | learned).items()}
