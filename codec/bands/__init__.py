"""Files of the bands family: latents of a band transform, coded by a learned prior."""
