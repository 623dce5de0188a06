"""odpiece encode: a picture to an .odp file."""

import click

from odpiece.cli.options import max_pixels_option, output_options, output_path, shown
from odpiece.formats.files import check_output, read_bytes, write_bytes

DEFAULT_QUALITY = 64
METADATA = ("exif", "icc", "xmp")


class Kept(click.ParamType):
    """A list of METADATA with commas between, or "all"."""

    name = "kinds"

    def convert(self, value, param, ctx):
        kinds = METADATA if value == "all" else tuple(kind for kind in value.split(",") if kind)
        if unknown := set(kinds) - set(METADATA):
            self.fail(f"{', '.join(sorted(unknown))} cannot be kept, give {', '.join(METADATA)} or all", param, ctx)
        return kinds


@click.command()
@click.argument("picture", metavar="INPUT")
@click.option(
    "-q",
    "quality",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Tokens that each 64x64 piece keeps at most, 1 to 1024: more is better and larger.  [default: 64]",
)
@click.option("--size", type=click.IntRange(1), metavar="BYTES", help="Instead of -q: the best file of at most BYTES.")
@click.option("--bpp", type=click.FloatRange(0, min_open=True), metavar="BITS", help="The same, in bits a pixel.")
@click.option("--psnr", type=float, metavar="DB", help="Instead of -q: the smallest file that reaches this PSNR.")
@click.option("-o", "--output", metavar="OUT", help="Output file, - for standard output. [default: INPUT with .odp]")
@click.option(
    "--coder",
    type=click.Choice(["learned", "static", "raw"]),
    default="learned",
    show_default=True,
    help="How tokens are coded: by the learned prior, by fixed histograms, or not compressed at all.",
)
@click.option("--fixed", is_flag=True, help="Keep exactly N tokens in every piece, also where fewer pay.")
@click.option(
    "--keep",
    type=Kept(),
    default="",
    metavar="KINDS",
    help="Metadata to keep, of exif, icc and xmp with commas between, or all; with icc the colours stay in "
    "their profile, else they become sRGB.",
)
@click.option(
    "-e",
    "--effort",
    type=click.IntRange(0, 9),
    default=2,
    show_default=True,
    help="How long to search for better tokens, 0 (not at all) to 9.",
)
@max_pixels_option
@output_options
def encode(picture, quality, size, bpp, psnr, output, coder, fixed, keep, effort, max_pixels, force, console):
    """Encode the picture INPUT (PNG, JPEG, WebP, ...; - for standard input)."""
    if sum(target is not None for target in (quality, size, bpp, psnr)) > 1:
        raise click.UsageError("give only one of -q, --size, --bpp and --psnr")
    output = output_path(picture, output, ".odp")
    check_output(output, force)
    data = read_bytes(picture)

    from odpiece.codec import encode as encode_to_quality
    from odpiece.codec.targets import encode_to_psnr, encode_to_size
    from odpiece.formats.container import CoderId, unpack_header
    from odpiece.formats.images import read_image

    with console.stages("read", "encode") as begin:
        begin("read")
        image = read_image(data, picture, keep=keep, max_pixels=max_pixels)
        height, width = image.pixels.shape[:2]
        console.detail(f"read {width}x{height} pixels from {picture}")
        begin("encode")
        options = {"coder": CoderId[coder.upper()], "fixed": fixed, "metadata": image.metadata, "effort": effort}
        if bpp is not None:
            size = int(bpp * width * height / 8)
        if size is not None:
            packed = encode_to_size(image.pixels, size, **options)
        elif psnr is not None:
            packed = encode_to_psnr(image.pixels, psnr, **options)
        else:
            packed = encode_to_quality(image.pixels, quality or DEFAULT_QUALITY, **options)
        quality = unpack_header(packed, max_pixels=max_pixels)[0].q
        console.detail(f"encoded at -q {quality}")
    for note in image.notes:
        console.warn(f"{picture}: {note}")
    write_bytes(output, packed, force)
    bpp = 8 * len(packed) / (width * height)
    console.result(f"{shown(output)}: {width}x{height}, -q {quality}, {len(packed)} bytes, {bpp:.4f} bits a pixel")
