"""odpiece verify: whether .odp files are what they were when they were made."""

import json

import click

from odpiece.cli.many import many_inputs
from odpiece.cli.options import max_pixels_option, model_option


@click.command()
@many_inputs
@model_option
@max_pixels_option
def verify(inputs, model, max_pixels):
    """Check the .odp files INPUT (- for standard input) against their checksums, without making pixels.

    \b
    odpiece verify photo.odp
    odpiece verify ARCHIVE -r        all .odp files below ARCHIVE, a line for each

    Files that are cut, damaged or no .odp files are listed, and the others are checked.
    """
    from odpiece.codec.files import read
    from odpiece.models.library import load_model

    model = model and load_model(model)

    def describe(name, data):
        contents = read(data, model=model, max_pixels=max_pixels)
        contents.metadata  # noqa: B018
        return (json.dumps({"input": name, "intact": True}) if inputs.as_json else f"{name}: intact").encode()

    inputs.each(describe)
