"""odpiece encode: a picture to an .odp file."""

import click

from odpiece.cli.options import output_options, output_path, shown
from odpiece.formats.files import check_output, read_bytes, write_bytes


@click.command()
@click.argument("picture", metavar="INPUT")
@click.option(
    "-q",
    "quality",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    metavar="N",
    help="Tokens that each 64x64 piece keeps at most, 1 to 1024: more is better and larger.",
)
@click.option("-o", "--output", metavar="OUT", help="Output file, - for standard output. [default: INPUT with .odp]")
@click.option(
    "--coder",
    type=click.Choice(["learned", "static", "raw"]),
    default="learned",
    show_default=True,
    help="How tokens are coded: by the learned prior, by fixed histograms, or not compressed at all.",
)
@output_options
def encode(picture, quality, output, coder, force, console):
    """Encode the picture INPUT (PNG, JPEG, WebP, ...; - for standard input)."""
    output = output_path(picture, output, ".odp")
    check_output(output, force)
    data = read_bytes(picture)

    from odpiece.codec import encode as encode_pixels
    from odpiece.formats.container import CoderId
    from odpiece.formats.images import read_image

    with console.stages("read", "encode") as begin:
        begin("read")
        image = read_image(data, picture)
        height, width, _ = image.pixels.shape
        console.detail(f"read {width}x{height} pixels from {picture}")
        begin("encode")
        packed = encode_pixels(image.pixels, quality, coder=CoderId[coder.upper()])
        console.detail(f"encoded at -q {quality}")
    for note in image.notes:
        console.warn(f"{picture}: {note}")
    write_bytes(output, packed, force)
    bpp = 8 * len(packed) / (width * height)
    console.result(f"{shown(output)}: {width}x{height}, {len(packed)} bytes, {bpp:.4f} bits a pixel")
