"""odpiece encode: pictures to .odp files."""

from base64 import b64encode
from functools import partial

import click

from odpiece.cli.batch import batch_options, run_batch
from odpiece.cli.groups import GroupedCommand
from odpiece.cli.mistakes import check_inputs, check_odp_output
from odpiece.cli.options import (
    File,
    Finite,
    PictureFile,
    backend_options,
    errors_about,
    max_pixels_option,
    model_option,
    output_options,
    output_path,
    preserve_option,
    shown,
    shown_input,
)
from odpiece.formats.files import STANDARD, check_output, encoded_name, read_bytes, times_of, write_bytes
from odpiece.formats.scales import shown_scale

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


@click.command(
    cls=GroupedCommand,
    groups={
        "quality": "Quality (give one)",
        "effort": "Tokens",
        "keep": "Pictures",
        "recursive": "Many files",
        "model": "Models",
        "output": "Output and messages",
    },
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, type=PictureFile())
@click.option(
    "-q",
    "--quality",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Tokens that each 64x64 pixels keep at most, 1 to 4096, or each tile of a One-D-Piece model, 1 to 256: more "
    "is better and larger.  [default: 64]",
)
@click.option("--size", type=click.IntRange(1), metavar="BYTES", help="Instead of -q: the best file of at most BYTES.")
@click.option("--bpp", type=Finite(0, min_open=True), metavar="BITS", help="The same, in bits a pixel.")
@click.option("--psnr", type=Finite(), metavar="DB", help="Instead of -q: the smallest file that reaches this PSNR.")
@click.option("--ssim", type=Finite(), metavar="X", help="The same by MS-SSIM, up to 1 (needs odpiece[compare]).")
@click.option(
    "--lpips",
    type=Finite(),
    metavar="X",
    help="The same by ST-LPIPS of the natural look, down to 0 (odpiece[compare]).",
)
@click.option(
    "-e",
    "--effort",
    type=click.IntRange(0, 9),
    default=1,
    show_default=True,
    help="How long to search for better tokens, 0 (not at all) to 9; 1 does not search above -q 512.",
)
@click.option(
    "--tune",
    type=click.Choice(["psnr", "ssim"]),
    default="psnr",
    show_default=True,
    help="What the encoder's choices are for; ssim lets texture hide errors: better for the eye, less PSNR.",
)
@click.option(
    "--scale",
    type=click.Choice(["1", "1/2", "1/4", "auto"]),
    default="auto",
    show_default=True,
    help="Code a smaller picture, which is scaled up when it is decoded; auto does so where that is better for the "
    "bytes: large pictures at low -q.",
)
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
@click.option("--allow-truncated", is_flag=True, help="Take what is there of pictures whose files end early.")
@max_pixels_option
@batch_options
@model_option
@click.option(
    "--overlap",
    type=click.IntRange(0, 128),
    metavar="PIXELS",
    help="With a One-D-Piece model: cut the picture into tiles of 256x256 that overlap by so much, instead of resizing "
    "it to one tile.",
)
@backend_options
@click.option(
    "-o",
    "--output",
    type=File(),
    metavar="OUT",
    help="Output file, - for standard output; the folder for many, or with / at its end. [default: INPUT with .odp]",
)
@click.option("--data-uri", is_flag=True, help="Print the file as a data: URI, to stand in a page, and write none.")
@click.option("--keep-names", is_flag=True, help="Add .odp to whole names: a.png.odp, beside which a.jpg.odp can be.")
@preserve_option
@output_options
def encode(
    inputs,
    output,
    tune,
    scale,
    coder,
    fixed,
    keep,
    effort,
    allow_truncated,
    data_uri,
    keep_names,
    preserve,
    model,
    overlap,
    backend,
    device,
    max_pixels,
    batch,
    force,
    console,
    **targets,
):
    """Encode pictures (PNG, JPEG, WebP, ...; - for standard input).

    \b
    odpiece encode photo.png -q 64             writes photo.odp
    odpiece encode photos -r -o small -j 4     all pictures below photos, as small/...odp

    INPUT and OUT may be URLs such as s3://bucket/photos (needs odpiece[remote]). Several files go to several processes;
    those that fail are listed at the end, and the others are done.
    """
    check_inputs(inputs, output, to_odp=True)
    targets = {name: value for name, value in targets.items() if value is not None}
    if len(targets) > 1:
        raise click.UsageError("give only one of -q, --size, --bpp, --psnr, --ssim and --lpips")
    target = next(iter(targets.items()), ("quality", DEFAULT_QUALITY))
    options = {"tune": tune, "scale": scale, "fixed": fixed, "keep": keep, "effort": effort, "max_pixels": max_pixels}
    options |= {"backend": backend, "device": device, "model_name": model, "overlap": overlap}
    options |= {"allow_truncated": allow_truncated, "keep_names": keep_names, "preserve": preserve}
    several = batch.is_wanted(inputs, output)
    if data_uri and (several or output or preserve):
        raise click.UsageError("--data-uri prints one file: give one INPUT, and no output")
    if data_uri:
        return _encode_one(inputs[0], STANDARD, _encoding(target, coder, options), False, console, to_data_uri)
    if not several:
        output = output_path(inputs[0], output, partial(encoded_name, keep_name=keep_names))
        check_output(output, force)
    if output and not batch.into_folder(inputs, output):
        check_odp_output(output, force)
    if several:
        run_batch(_encoding(target, coder, options), inputs, output, batch, force, console)
    else:
        _encode_one(inputs[0], output, _encoding(target, coder, options), force, console)


def _encoding(target, coder, options):
    from odpiece.codec.batch.work import Encoding
    from odpiece.formats.container import CoderId

    return Encoding(*target, coder=coder and CoderId[coder.upper()], **options)


def to_data_uri(data):
    """The bytes of an .odp file as a line of text, in bytes."""
    return b"data:image/x-odp;base64," + b64encode(data) + b"\n"


def _encode_one(name, output, encoding, force, console, written=bytes):
    """Write what `written` makes of the file of the picture `name`."""
    from odpiece.models.interface import BANDS_FAMILY

    times = times_of(name, output) if encoding.preserve else None
    data, name = read_bytes(name), shown_input(name)
    model = encoding.require()
    console.detail(f"tokenizer on {model.backend}, {model.device}")
    if model.backend == "onnx" and model.family == BANDS_FAMILY:
        model.transform.prepare("analysis")
    with errors_about(name), console.stages("read", "encode") as begin:
        begin("read")
        picture = encoding.read(data, name)
        del data  # of a large picture, hundreds of megabytes
        height, width = picture.pixels.shape[:2]
        console.detail(f"read {width}x{height} pixels from {name}")
        begin("encode")
        packed, header = encoding.encode(picture)
        console.detail(f"encoded at -q {header.quality}, scale {shown_scale(header.scale)}")
        if console.verbose:
            console.detail(f"decoded again: PSNR {encoding.psnr(picture, packed):.2f} dB")
    for note in encoding.notes(picture, header.quality):
        console.warn(f"{name}: {note}")
    write_bytes(output, written(packed), force, times)
    bpp = 8 * len(packed) / (width * height)
    size = f"{width}x{height}" + (f" at scale {shown_scale(header.scale)}" if header.scale > 1 else "")
    console.result(f"{shown(output)}: {size}, -q {header.quality}, {len(packed)} bytes, {bpp:.4f} bits a pixel")
