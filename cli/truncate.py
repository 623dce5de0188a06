"""odpiece truncate: fewer tokens of an .odp file, without the picture."""

import click

from odpiece.cli.mistakes import check_odp_output
from odpiece.cli.options import (
    OdpFile,
    errors_about,
    max_pixels_option,
    model_option,
    output_options,
    shown,
    shown_input,
)
from odpiece.formats.files import check_output, read_bytes, write_bytes


@click.command()
@click.argument("file", metavar="INPUT", type=OdpFile())
@click.option(
    "-q",
    "--quality",
    "tokens",
    type=click.IntRange(1, 1024),
    required=True,
    metavar="N",
    help="Tokens of each piece to keep, 1 to 1024.",
)
@click.option("-o", "--output", required=True, metavar="OUT", help="Output file, - for standard output.")
@model_option
@max_pixels_option
@output_options
def truncate(file, tokens, output, model, max_pixels, force, console):
    """Keep exactly the first N tokens of every piece of the .odp file INPUT and code them again.

    The quantization step stays that of INPUT; docs/truncation.md compares this with encoding at N directly.
    """
    check_output(output, force)
    check_odp_output(output, force)
    data = read_bytes(file)

    from odpiece.codec import truncate as truncate_data
    from odpiece.models.library import load_model

    with errors_about(shown_input(file)):
        shorter = truncate_data(data, tokens, model=model and load_model(model), max_pixels=max_pixels)
    write_bytes(output, shorter, force)
    console.result(f"{shown(output)}: {len(shorter)} bytes of {len(data)}")
