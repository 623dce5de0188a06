"""One-D-Piece (Miwa et al. 2025, arXiv 2501.10064): a picture of 256x256 pixels as 1 to 256 tokens of 12 bits.

    architecture.py    sizes, presets and the names and shapes of all tensors; needs no torch
    transformer.py     patches to latents, codes of any prefix to proxy logits
    quantizer.py       latents to tokens and back
    pixel_decoder.py   what the proxy logits stand for, to pixels
    network.py         the whole: OneDPiece

Written from the published description; state dicts have the published names, so published files load as they are.
"""
