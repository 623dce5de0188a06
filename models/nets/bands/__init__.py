"""Networks of the bands family, in torch."""
