"""Every error that odpiece raises on purpose, and the exit code of each.

    OdpieceError              1
    ├── OptionError           2   an option or argument outside its range (also a ValueError)
    ├── ImageError            3   a picture that is missing, unreadable, above the limit of pixels or not a picture
    ├── NotOdpError           4   bytes that are no .odp file
    ├── VersionError          5   an .odp file of another version, or that needs a newer odpiece
    ├── UnknownModelError     6   an .odp file made with weights that are not installed
    ├── DamagedError          7   an .odp file that is cut or damaged
    ├── OutputExistsError     8   an output that exists and may not be replaced
    ├── OutputError           9   an output that cannot be written
    │   └── ReaderGoneError 141   standard output that nobody reads any more, as after `| head`: no message is due
    ├── MissingExtraError    10   a feature whose optional dependency is not installed
    ├── BatchError           11   some files of many could not be done; the others are
    └── DeviceError          12   a device that is not there or cannot be used

Messages are one line and say what to do.
"""


class OdpieceError(Exception):
    """Base of all; `exit_code` is what the command line exits with."""

    exit_code = 1


class OptionError(OdpieceError, ValueError):
    exit_code = 2


class ImageError(OdpieceError):
    exit_code = 3


class NotOdpError(OdpieceError):
    exit_code = 4


class VersionError(OdpieceError):
    exit_code = 5


class UnknownModelError(OdpieceError):
    exit_code = 6


class DamagedError(OdpieceError):
    exit_code = 7


class OutputExistsError(OdpieceError):
    exit_code = 8


class OutputError(OdpieceError):
    exit_code = 9


class ReaderGoneError(OutputError):
    exit_code = 141  # as of programs that SIGPIPE ends


class MissingExtraError(OdpieceError):
    exit_code = 10


class BatchError(OdpieceError):
    exit_code = 11


class DeviceError(OdpieceError):
    exit_code = 12


def told(error: BaseException) -> str:
    """An exception as one line, its kind first unless it is ours."""
    lines = str(error).splitlines() or [""]
    return lines[0] if isinstance(error, OdpieceError) else f"{type(error).__name__}: {lines[0]}"
