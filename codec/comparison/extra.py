"""What only comparing needs is the extra odpiece[compare]."""

from contextlib import contextmanager

from odpiece.formats.errors import MissingExtraError


@contextmanager
def extra(feature):
    """Turn an ImportError inside into a MissingExtraError that names `feature`."""
    try:
        yield
    except ImportError:
        raise MissingExtraError(f"{feature} needs more packages: pip install 'odpiece[compare]'") from None
