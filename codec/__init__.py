"""The codec: `encode` pixels to the bytes of an .odp file, `decode` them back, `truncate` to fewer tokens."""

from odpiece.codec.picture import decode, encode, truncate

__all__ = ["decode", "encode", "truncate"]
