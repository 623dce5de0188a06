"""How One-D-Piece networks are trained, started and imported."""
