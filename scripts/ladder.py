"""What each coder makes of the same tokens: raw, static histograms, learned prior, real files.

    python scripts/ladder.py FOLDER [--checkpoint FILE]

The tokens are those that `encode` writes with the learned coder. Columns, in mean bits a picture:

    raw       all latents at 6 bits
    static    the same tokens under the static histograms, last zeros trimmed: ideal code length
    own       file of the static coder with tokens of its own choosing (other pixels: see PSNR in docs)
    float     cross-entropy of the float prior (needs --checkpoint and odpiece[torch])
    integer   cross-entropy of the shipped integer prior
    payload   the bits really written
    file      the whole file

and the learned payload against the static one, in percent.
"""

import argparse
from pathlib import Path

import numpy as np
from tqdm import tqdm

from odpiece.codec import encode
from odpiece.codec.coders import coder_of
from odpiece.codec.picture import read
from odpiece.codec.range_coder import Writer
from odpiece.codec.tokens import trim
from odpiece.codec.walk import walk
from odpiece.formats.container import CoderId, pack
from odpiece.formats.files import read_bytes
from odpiece.formats.images import read_image

QUALITIES = (1, 4, 16, 64, 256, 1024)


def ideal_bits(tokens, q, coder):
    """Ideal code length in bits of Tokens under `coder`."""
    _, groups = walk(Writer(), coder, q, *tokens.lengths.shape, tokens)
    return sum(group.bits for group in groups)


def float_bits(tokens, q, prior):
    """Cross-entropy in bits of Tokens under a float prior (torch)."""
    import torch

    from odpiece.models.interface import octave_weights
    from odpiece.models.training.objective import kept_masks

    bands = tuple(torch.tensor(z)[None].float() for z in tokens.bands)
    with torch.no_grad():
        masks = kept_masks(torch.tensor(tokens.lengths)[None])
        return sum(float(b.sum()) for b in prior.bits(bands, masks, torch.as_tensor(octave_weights([q]))))


def rungs(pixels, q, prior):
    """Bits of one picture at quality `q`: raw, static, own, float, integer, payload, file."""
    data = encode(pixels, q)
    contents = read(data)
    static = ideal_bits(trim(contents.tokens.bands, q), q, coder_of(CoderId.STATIC, contents.model))
    own = 8 * len(encode(pixels, q, coder=CoderId.STATIC))
    floating = float_bits(contents.tokens, q, prior) if prior else np.nan
    integer = sum(group.bits for group in contents.groups)
    payload = 8 * (len(data) - len(pack(contents.header, b"")))
    return contents.raw_bits, static, own, floating, integer, payload, 8 * len(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="checkpoint that the shipped prior was exported from")
    options = parser.parse_args()
    prior = None
    if options.checkpoint:
        from odpiece.models.training.loop import load_averaged

        _, prior = load_averaged(options.checkpoint)
    files = sorted(path for path in options.folder.iterdir() if path.is_file())
    pictures = [read_image(read_bytes(path), path.name).pixels for path in files]
    print("   q      raw   static      own    float  integer  payload     file   against static")
    for q in tqdm(QUALITIES, disable=None, leave=False):
        means = np.mean([rungs(pixels, q, prior) for pixels in pictures], axis=0)
        print(
            f"{q:4d} " + " ".join(f"{value:8.0f}" for value in means) + f" {100 * (means[5] / means[1] - 1):+15.1f} %"
        )


if __name__ == "__main__":
    main()
