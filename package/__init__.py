"""odpiece: learned image compression for very small files.

`encode` makes the bytes of an .odp file of a picture, `decode` a picture of them; these and the other functions of
odpiece.codec are here, too. What they need is imported when one is first used.

This folder is the package `odpiece` itself, and the folders beside it are its subpackages, see pyproject.toml. It must
not be called odpiece: then it would hide the installed package where the working directory is the repository.
"""

TYPE_CHECKING = False  # type checkers take it for true; `typing` is not imported for it

if TYPE_CHECKING:
    from odpiece.codec import decode, decode_tokens, encode, encode_tokens, load_model, read_tokens, truncate

    __version__: str

__all__ = [
    "__version__",
    "decode",
    "decode_tokens",
    "encode",
    "encode_tokens",
    "load_model",
    "read_tokens",
    "truncate",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'odpiece' has no attribute {name!r}")
    if name == "__version__":
        from importlib.metadata import version

        return version("odpiece")
    from odpiece import codec

    return getattr(codec, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
