"""Networks of the bands family, in torch.

blocks.py     what they are built of
transform.py  pixels to latents and back
grain.py      the noise of the natural look
prior.py      how likely latents are
"""
