"""Networks of the bands family, in torch: transform.py pixels to latents and back, prior.py how likely latents are."""
