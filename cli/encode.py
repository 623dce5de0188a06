"""odpiece encode: a picture to an .odp file."""

import click

from odpiece.cli.options import backend_options, max_pixels_option, model_option, output_options, output_path, shown
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
    help="Tokens that each 64x64 piece keeps at most, 1 to 1024, or each tile of a One-D-Piece model, 1 to 256: more "
    "is better and larger.  [default: 64]",
)
@click.option("--size", type=click.IntRange(1), metavar="BYTES", help="Instead of -q: the best file of at most BYTES.")
@click.option("--bpp", type=click.FloatRange(0, min_open=True), metavar="BITS", help="The same, in bits a pixel.")
@click.option("--psnr", type=float, metavar="DB", help="Instead of -q: the smallest file that reaches this PSNR.")
@click.option("--ssim", type=float, metavar="X", help="The same by MS-SSIM, up to 1 (needs odpiece[compare]).")
@click.option(
    "--lpips", type=float, metavar="X", help="The same by ST-LPIPS of the natural look, down to 0 (odpiece[compare])."
)
@click.option("-o", "--output", metavar="OUT", help="Output file, - for standard output. [default: INPUT with .odp]")
@click.option(
    "--coder",
    type=click.Choice(["learned", "static", "raw"]),
    help="How tokens are coded: by the learned prior, by fixed histograms, or not compressed at all.  [default: the "
    "best that the model has]",
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
    default=1,
    show_default=True,
    help="How long to search for better tokens, 0 (not at all) to 9.",
)
@model_option
@click.option(
    "--overlap",
    type=click.IntRange(0, 128),
    metavar="PIXELS",
    help="With a One-D-Piece model: cut the picture into tiles of 256x256 that overlap by so much, instead of resizing "
    "it to one tile.",
)
@backend_options
@max_pixels_option
@output_options
def encode(
    picture, output, coder, fixed, keep, effort, model, overlap, backend, device, max_pixels, force, console, **targets
):
    """Encode the picture INPUT (PNG, JPEG, WebP, ...; - for standard input)."""
    targets = {name: value for name, value in targets.items() if value is not None}
    if len(targets) > 1:
        raise click.UsageError("give only one of -q, --size, --bpp, --psnr, --ssim and --lpips")
    output = output_path(picture, output, ".odp")
    check_output(output, force)
    data = read_bytes(picture)

    from odpiece.formats.container import CoderId, unpack_header
    from odpiece.formats.images import read_image
    from odpiece.models.library import load_model

    model = load_model(model, backend, device)
    console.detail(f"tokenizer on {model.backend}, {model.device}")
    with console.stages("read", "encode") as begin:
        begin("read")
        image = read_image(data, picture, keep=keep, max_pixels=max_pixels)
        height, width = image.pixels.shape[:2]
        console.detail(f"read {width}x{height} pixels from {picture}")
        begin("encode")
        options = {"model": model, "coder": coder and CoderId[coder.upper()], "fixed": fixed}
        options |= {"metadata": image.metadata, "effort": effort, "overlap": overlap}
        packed = _encode(image.pixels, *next(iter(targets.items()), ("quality", DEFAULT_QUALITY)), options)
        quality = unpack_header(packed, max_pixels=max_pixels)[0].q
        console.detail(f"encoded at -q {quality}")
    if quality > (trained := model.facts.get("trained_tokens", quality)):
        console.warn(f"model {model.name} was trained to use {trained} tokens: -q {trained} may look better")
    for note in image.notes:
        console.warn(f"{picture}: {note}")
    write_bytes(output, packed, force)
    bpp = 8 * len(packed) / (width * height)
    console.result(f"{shown(output)}: {width}x{height}, -q {quality}, {len(packed)} bytes, {bpp:.4f} bits a pixel")


def _encode(pixels, target, value, options):
    """The bytes of a file of `pixels` that meets the `value` of the option `target`."""
    if target == "quality":
        from odpiece.codec import encode

        return encode(pixels, value, **options)
    if target in ("size", "bpp"):
        from odpiece.codec.targets import encode_to_size

        size = value if target == "size" else int(value * pixels.shape[0] * pixels.shape[1] / 8)
        return encode_to_size(pixels, size, **options)
    if target == "psnr":
        from odpiece.codec.targets import encode_to_psnr

        return encode_to_psnr(pixels, value, **options)
    from odpiece.codec.comparison.goals import encode_to_ms_ssim, encode_to_st_lpips

    return {"ssim": encode_to_ms_ssim, "lpips": encode_to_st_lpips}[target](pixels, value, **options)
