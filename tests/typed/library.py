"""The library as its users' type checkers see it: `scripts/lint` checks this file by mypy --strict, nobody runs it."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import odpiece
from odpiece import decode, decode_tokens, encode, encode_tokens, load_model, read_tokens, truncate
from odpiece.codec.targets import encode_to_bpp, encode_to_psnr, encode_to_size
from odpiece.formats.errors import DamagedError, OdpieceError
from odpiece.models.library import Model


def bytes_and_pixels(path: Path) -> None:
    with Image.open(path) as image:
        data = assert_type(encode(image, q=64, scale="1/2"), bytes)
    pixels = assert_type(decode(data, tokens=16, look="natural"), NDArray[np.uint8])
    assert_type(encode(pixels, metadata={"exif": b""}), bytes)
    assert_type(decode(memoryview(data), max_pixels=float("inf")), NDArray[np.uint8])
    assert_type(truncate(data, 16), bytes)


def targets(pixels: NDArray[np.uint8]) -> list[bytes]:
    return [encode_to_size(pixels, 300), encode_to_bpp(pixels, 0.01, effort=9), encode_to_psnr(pixels, 24.5)]


def tokens(pixels: NDArray[np.uint8], model: Model) -> NDArray[Any]:
    assert_type(read_tokens(encode(pixels), model=model), NDArray[np.int16])
    found = assert_type(encode_tokens(pixels, q=64), NDArray[np.int16])
    return assert_type(decode_tokens(found, q=64, size=(10, 20)), NDArray[np.uint8])


def models() -> str:
    model = assert_type(load_model(backend="onnx", device="auto"), Model)
    assert_type(model.fingerprint, bytes)
    return f"{odpiece.__version__} {model.name} {model.sha256} {model.device}"


def errors(data: bytes) -> int:
    try:
        decode(data)
    except DamagedError as error:
        return assert_type(error.exit_code, int)
    except OdpieceError as error:
        return error.exit_code
    return 0
