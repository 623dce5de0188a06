"""Companion distributions: models that released files need and that are not in the package itself.

Such a distribution (odpiece-models-2026, built by scripts/models_distribution.py) has an entry point of the group
`odpiece.models`, whose value names a package; that holds a folder for each model as user_models.py makes them.
"""

from importlib.util import find_spec
from pathlib import Path

from odpiece.models.user_models import RECORD

GROUP = "odpiece.models"


def companion_folders():
    """{folder of a model: the distribution that it came with} of all that are installed, by distribution and name."""
    from importlib import metadata  # takes its time, and few have companions

    found = {}
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.dist.name):
        spec = find_spec(point.value)  # of a package at the top, of which nothing is run
        for place in (spec and spec.submodule_search_locations) or ():
            found |= {record.parent: point.dist.name for record in sorted(Path(place).glob(f"*/{RECORD}"))}
    return found
