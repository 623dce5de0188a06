"""The codec of One-D-Piece tokens: a picture as tiles of 256x256 pixels, each of 1 to 256 tokens of 12 bits.

tiles.py cuts pictures and blends tiles, tokens.py codes tokens, histograms.py makes the static coder's tables,
picture.py is pictures and files. Container, chunks, checksums and the range coder are those of all files.
codec/files.py, the door, chooses this family or the other.
"""
