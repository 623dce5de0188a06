"""Write the graphs of the default model anew, from its weights: after a change of models/training/bands/graph.py.

    scripts/renew_graphs.py FOLDER...

What they compute in 8-bit integers is calibrated on the pictures in the folders.
"""

import sys
from pathlib import Path

from odpiece.codec.bands.export import renew_graphs
from odpiece.models.library import load_model


def main():
    model = load_model()
    renew_graphs(model.path.parent, model.name, [Path(folder) for folder in sys.argv[1:]])


if __name__ == "__main__":
    main()
