"""odpiece truncate: fewer tokens of an .odp file, without the picture."""

import click

from odpiece.cli.batch import batch_options, run_batch
from odpiece.cli.mistakes import check_odp_output
from odpiece.cli.options import (
    OdpFile,
    errors_about,
    max_pixels_option,
    model_option,
    output_options,
    preserve_option,
    shown,
    shown_input,
)
from odpiece.formats.files import check_output, read_bytes, times_of, write_bytes


@click.command()
@click.argument("inputs", metavar="INPUT...", nargs=-1, type=OdpFile())
@click.option(
    "-q",
    "--quality",
    "tokens",
    type=click.IntRange(1, 4096),
    required=True,
    metavar="N",
    help="Tokens of each piece to keep, 1 to 4096.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="OUT",
    help="Output file, - for standard output; the folder for many, or with / at its end.",
)
@model_option
@batch_options
@max_pixels_option
@preserve_option
@output_options
def truncate(inputs, tokens, output, model, batch, max_pixels, preserve, force, console):
    """Keep exactly the first N tokens of every piece of the .odp files INPUT and code them again.

    \b
    odpiece truncate photo.odp -q 16 -o small.odp
    odpiece truncate PHOTOS -r -q 16 -o SMALL      all .odp files below PHOTOS, as SMALL/...odp

    The quantization step stays that of INPUT; docs/truncation.md compares this with encoding at N directly.
    """
    if batch.is_wanted(inputs, output):
        from odpiece.codec.batch.work import Truncating

        run_batch(Truncating(tokens, max_pixels, model, preserve), inputs, output, batch, force, console)
    else:
        check_output(output, force)
        check_odp_output(output, force)
        times = times_of(inputs[0], output) if preserve else None
        _truncate_one(inputs[0], tokens, output, model, max_pixels, times, force, console)


def _truncate_one(file, tokens, output, model, max_pixels, times, force, console):
    data = read_bytes(file)

    from odpiece.codec import truncate as truncate_data
    from odpiece.models.library import load_model

    with errors_about(shown_input(file)):
        shorter = truncate_data(data, tokens, model=model and load_model(model), max_pixels=max_pixels)
    write_bytes(output, shorter, force, times)
    console.result(f"{shown(output)}: {len(shorter)} bytes of {len(data)}")
