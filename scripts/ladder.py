"""What each coder makes of the same tokens: raw, histograms, static tables, learned prior, real files.

    python scripts/ladder.py FOLDER --data TRAIN [--checkpoint FILE]

The tokens are those that `encode` writes with the learned coder. Columns, in mean bits a picture:

    raw        all latents at 6 bits
    histogram  one histogram for each latent of a block at this q, counted on such tokens of TRAIN
    static     the shipped static tables, which also know each piece's length, last zeros trimmed
    own        the static coder's file with tokens of its own choosing, for fewer bits and another picture
    float      cross-entropy of the float prior (needs --checkpoint and odpiece[torch])
    integer    cross-entropy of the shipped integer prior
    payload    the bits really written
    file       the whole file

and the learned payload against the histograms and the static tables, in percent.
"""

import argparse
from pathlib import Path

import numpy as np
from pictures import read_folder
from tqdm import tqdm

from odpiece.codec import encode
from odpiece.codec.bands.coders import NO_CENTRE, SYMBOLS, coder_of
from odpiece.codec.bands.histograms import LEVEL_LENGTHS, count, smooth
from odpiece.codec.bands.tokens import trim
from odpiece.codec.bands.walk import walk
from odpiece.codec.files import read
from odpiece.codec.range_coder import Writer, level_table, to_table
from odpiece.formats.container import CoderId, pack
from odpiece.models.interface import BANDS, USUAL_BANDS, is_fine, octave_weights

QUALITIES = (1, 4, 16, 64, 256, 1024, 2048, 4096)
FIRST_ROW = np.cumsum([0, *(band.latents for band in BANDS)])  # of each band in a table with a row a latent
TRAIN_PICTURES = 200
CROP = 256


class HistogramCoder:
    """One table row for each latent of a block, whatever its neighbours."""

    lengths, shifts = LEVEL_LENGTHS, np.zeros(FIRST_ROW[-1], dtype=np.int64)

    def __init__(self, latents):
        self.latents = latents

    def predictor(self, q, limit, lengths):
        return self

    def predict(self, band, group, phase, bands):
        members = BANDS[band].members(group)
        return (FIRST_ROW[band] + members)[:, None, None], NO_CENTRE


def histogram_coder(pictures, q):
    """The HistogramCoder fitted to the tokens of `pictures` at quality `q`."""
    tokens = ((read(encode(pixels, q)).tokens, q) for pixels in pictures)
    counts = count(HistogramCoder(level_table(FIRST_ROW[-1], SYMBOLS)), tokens).latents
    return HistogramCoder(to_table(smooth(counts)))


def ideal_bits(tokens, q, coder):
    """Ideal code length in bits of Tokens under `coder`."""
    _, groups = walk(Writer(), coder, q, *tokens.lengths.shape, tokens)
    return sum(group.bits for group in groups)


def float_bits(tokens, q, prior):
    """Cross-entropy in bits of Tokens under a float prior (torch), nan where there is none."""
    if prior is None:
        return np.nan
    import torch

    from odpiece.models.training.bands.objective import kept_masks

    seen = tokens.bands if is_fine(q) else tokens.bands[:USUAL_BANDS]
    bands = tuple(torch.tensor(z)[None].float() for z in seen)
    with torch.no_grad():
        masks = kept_masks(torch.tensor(tokens.lengths)[None], len(bands))
        return sum(float(b.sum()) for b in prior.bits(bands, masks, torch.as_tensor(octave_weights([q]))))


def rungs(pixels, q, histograms, prior):
    """Bits of one picture at quality `q`, a column each."""
    data = encode(pixels, q)
    contents = read(data)
    tokens = contents.tokens
    lengths_bits = tokens.lengths.size * np.log2(LEVEL_LENGTHS.shape[1])  # that HistogramCoder wastes
    return (
        contents.raw_bits,
        ideal_bits(tokens, q, histograms) - lengths_bits,
        ideal_bits(trim(tokens.bands, q), q, coder_of(CoderId.STATIC, contents.model)),
        8 * len(encode(pixels, q, coder=CoderId.STATIC)),
        float_bits(tokens, q, prior),
        sum(group.bits for group in contents.groups),
        8 * (len(data) - len(pack(contents.header, b""))),
        8 * len(data),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="training pictures, for the histograms")
    parser.add_argument("--checkpoint", type=Path, help="checkpoint that the shipped prior was exported from")
    options = parser.parse_args()
    prior = None
    if options.checkpoint:
        from odpiece.models.training.bands.loop import load_averaged

        _, prior = load_averaged(options.checkpoint)
    pictures, crops = (
        read_folder(options.folder),
        [pixels[:CROP, :CROP] for pixels in read_folder(options.data, TRAIN_PICTURES)],
    )
    print("| q | raw | histogram | static | own | float | integer | payload | file | to histogram | to static |")
    print("|---|" + "---|" * 10)
    for q in tqdm(QUALITIES, disable=None, leave=False):
        histograms = histogram_coder(crops, q)
        means = np.mean([rungs(pixels, q, histograms, prior) for pixels in pictures], axis=0)
        payload = [f"{100 * (means[6] / means[i] - 1):+.1f} %" for i in (1, 2)]
        print(f"| {q} | " + " | ".join(f"{value:.0f}" for value in means) + f" | {payload[0]} | {payload[1]} |")


if __name__ == "__main__":
    main()
