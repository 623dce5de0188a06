"""odpiece view: .odp files in the browser of this machine."""

import webbrowser

import click

from odpiece.cli.options import OdpFile, max_pixels_option, model_option
from odpiece.formats.errors import ImageError


@click.command()
@click.argument("names", metavar="FILE...|DIR", nargs=-1, required=True, type=OdpFile())
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port.  [default: a free one]")
@click.option("--no-browser", is_flag=True, help="Only say where the pictures are.")
@model_option
@max_pixels_option
def view(names, port, no_browser, model, max_pixels):
    """Show .odp files, and those in folders, in the browser: both looks, fewer tokens, the original beside them.

    \b
    odpiece view photo.odp
    odpiece view PHOTOS           all below PHOTOS

    A server on 127.0.0.1, which no other machine reaches, makes the pictures until Ctrl-C ends it. The original is a
    picture of the same name in the same folder.
    """
    from odpiece.cli.gallery import Gallery, server_of
    from odpiece.codec.batch.plan import find_files
    from odpiece.codec.batch.work import Decoding
    from odpiece.models.library import load_model

    plan = find_files(Decoding(), names, recursive=True)
    for record in plan.failed:
        click.echo(f"warning: {record.input}: {record.error}", err=True)
    if not plan.jobs:
        raise ImageError("no .odp file to show")
    gallery = Gallery([job.input for job in plan.jobs], model and load_model(model), max_pixels)
    with server_of(gallery, port) as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        click.echo(f"{url} shows {len(plan.jobs)} of them, Ctrl-C ends it", err=True)
        if not no_browser:
            webbrowser.open(url)
        server.serve_forever()
