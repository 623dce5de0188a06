"""What only comparing needs is in the extras odpiece[compare] and, for --tasks, odpiece[tasks]."""

from contextlib import contextmanager
from importlib.util import find_spec

from odpiece.formats.errors import MissingExtraError

COMPARE, TASKS = "compare", "tasks"


@contextmanager
def extra(feature, name=COMPARE):
    """Turn an ImportError inside into a MissingExtraError that names `feature` and the extra."""
    try:
        yield
    except ImportError:
        raise MissingExtraError(f"{feature} needs more packages: pip install 'odpiece[{name}]'") from None


def require_packages(packages, feature, name=COMPARE):
    """Raise MissingExtraError, as of `extra`, if one of the modules named `packages` is missing."""
    with extra(feature, name):
        for package in packages:
            if find_spec(package) is None:
                raise ImportError(package)
