"""Types of what the library's functions take and give, for type checkers: files, pictures, pixels."""

from typing import Any, TypeAlias

from numpy import uint8
from numpy.typing import NDArray
from PIL.Image import Image

FileBytes: TypeAlias = bytes | bytearray | memoryview
AnyPicture: TypeAlias = NDArray[Any] | Image
Pixels: TypeAlias = NDArray[uint8]
