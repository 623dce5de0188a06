"""How the networks and tables of the bands family are made."""
