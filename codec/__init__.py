"""The codec: `encode` pixels to the bytes of an .odp file, `decode` them back."""

from odpiece.codec.picture import decode, encode

__all__ = ["decode", "encode"]
