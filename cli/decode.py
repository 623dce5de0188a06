"""odpiece decode: an .odp file to a picture."""

from pathlib import Path

import click

from odpiece.cli.options import output_options, output_path, shown
from odpiece.formats.files import STANDARD, check_output, read_bytes, write_bytes


@click.command()
@click.argument("file", metavar="INPUT")
@click.option("-o", "--output", metavar="OUT",
              help="Output picture (.png, .jpg, .webp), - for PNG on standard output. [default: INPUT with .png]")
@click.option("--tokens", type=click.IntRange(1, 1024), metavar="N",
              help="Decode only the first N tokens of each piece: a coarser picture.")
@output_options
def decode(file, output, tokens, force, console):
    """Decode the .odp file INPUT (- for standard input)."""
    output = output_path(file, output, ".png")
    check_output(output, force)

    from odpiece.codec import decode as decode_pixels
    from odpiece.formats.images import suffix_of, write_image

    suffix = ".png" if output == STANDARD else suffix_of(Path(output))
    data = read_bytes(file)
    console.detail(f"read {len(data)} bytes from {file}")
    pixels = decode_pixels(data, tokens=tokens)
    height, width, _ = pixels.shape
    console.detail(f"decoded {width}x{height} pixels")
    write_bytes(output, write_image(pixels, suffix), force)
    console.result(f"{shown(output)}: {width}x{height}")
