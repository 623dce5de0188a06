"""The codec: `encode` pixels to the bytes of an .odp file, `decode` them back, `truncate` to fewer tokens.

`encode_tokens`, `read_tokens` and `decode_tokens` do the same with arrays of tokens in place of bytes, and
`load_model` gives a model object to keep. All may be called from several threads at once.
"""

from odpiece.codec.arrays import decode_tokens, encode_tokens, read_tokens
from odpiece.codec.files import decode, encode, truncate
from odpiece.models.library import load_model

__all__ = ["decode", "decode_tokens", "encode", "encode_tokens", "load_model", "read_tokens", "truncate"]
