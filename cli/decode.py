"""odpiece decode: .odp files to pictures."""

from pathlib import Path

import click

from odpiece.cli.batch import batch_options, run_batch
from odpiece.cli.groups import GroupedCommand
from odpiece.cli.mistakes import check_inputs, check_not_terminal
from odpiece.cli.options import (
    File,
    OdpFile,
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
from odpiece.formats.files import add_suffix, check_output, is_stream, make_folder, read_bytes, times_of, write_bytes


@click.command(
    cls=GroupedCommand,
    groups={
        "tokens": "Pictures",
        "recursive": "Many files",
        "model": "Models",
        "output": "Output and messages",
    },
)
@click.argument("inputs", metavar="INPUT...", nargs=-1, type=OdpFile())
@click.option(
    "--tokens",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Decode only the first N tokens of each piece: a coarser picture.",
)
@click.option(
    "--look",
    type=click.Choice(["faithful", "natural"]),
    default="faithful",
    show_default=True,
    help="What to make of the tokens: the picture nearest to the original, or that with grain where texture is lost.",
)
@click.option("--allow-partial", is_flag=True, help="Decode what is certain of a cut or damaged file.")
@click.option(
    "--progressive",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write a picture for each group of tokens as it arrives, DIR/00-lengths.png and so on.",
)
@click.option("--max-side", type=click.IntRange(1), metavar="PIXELS", help="Make larger pictures smaller, to this.")
@click.option("--strip", is_flag=True, help="Leave out the metadata that encode --keep kept.")
@max_pixels_option
@batch_options
@model_option
@backend_options
@click.option(
    "-o",
    "--output",
    type=File(),
    metavar="OUT",
    help="Output picture (.png, .jpg, .tif, ...), - for PNG on standard output; the folder for many, or with / at its "
    "end. [default: INPUT with .png added]",
)
@click.option(
    "--format",
    "form",
    metavar="KIND",
    help="Kind of picture where OUT does not name one: png, jpg, webp or another that Pillow writes, such as tif, avif "
    "or ppm. [default: png]",
)
@preserve_option
@output_options
def decode(
    inputs,
    output,
    form,
    max_side,
    strip,
    tokens,
    look,
    allow_partial,
    progressive,
    preserve,
    model,
    backend,
    device,
    max_pixels,
    batch,
    force,
    console,
):
    """Decode .odp files (- for standard input).

    \b
    odpiece decode photo.odp                   writes photo.odp.png
    odpiece decode small -r -o large -j 4      all .odp files below small, as large/...odp.png

    INPUT and OUT may be URLs such as s3://bucket/photos (needs odpiece[remote]). Several files go to several processes;
    those that fail are listed at the end, and the others are done.
    """
    check_inputs(inputs, output, to_odp=False)
    form = form and form.lower().lstrip(".")
    several, into_folder = batch.is_wanted(inputs, output), batch.into_folder(inputs, output)
    if several and progressive:
        raise click.UsageError("--progressive is for one file, without the options for many")
    names_kind = bool(output) and not into_folder and not (is_stream(output) and not Path(output).suffix)
    if form and names_kind:
        raise click.UsageError("OUT names the kind of picture: leave out --format")
    if not several:
        output = output_path(inputs[0], output, lambda name: add_suffix(name, f".{form or 'png'}"))
        check_output(output, force)
    if output and not into_folder:
        check_not_terminal(output, force)

    from odpiece.codec.batch.work import Decoding

    suffix = _suffix_of(Path(output if names_kind else f"picture.{form or 'png'}"))
    options = {"model_name": model, "max_side": max_side, "strip": strip, "preserve": preserve}
    decoding = Decoding(suffix, tokens, look, allow_partial, max_pixels, backend, device, **options)
    if several:
        run_batch(decoding, inputs, output, batch, force, console)
        return
    contents, pixels = _decode_one(inputs[0], output, decoding, force, console)
    if progressive:
        _write_progress(contents, decoding, progressive, force, console)
    console.result(f"{shown(output)}: {pixels.shape[1]}x{pixels.shape[0]}")


def _suffix_of(path):
    if path.suffix == ".png":
        return ".png"
    from odpiece.formats.images import suffix_of  # loads Pillow

    return suffix_of(path)


def _decode_one(name, output, decoding, force, console):
    """(the Contents of the file `name`, its pixels), whose picture is written."""
    console.detail(f"tokenizer on {decoding.model.backend}, {decoding.model.device}")
    times = times_of(name, output) if decoding.preserve else None
    data, name = read_bytes(name), shown_input(name)
    console.detail(f"read {len(data)} bytes from {name}")
    with errors_about(name), console.stages("tokens", "picture", "write") as begin:
        begin("tokens")
        contents = decoding.read(data)
        console.detail(f"decoded {contents.certain} tokens")
        begin("picture")
        pixels = decoding.picture(contents)
        console.detail(f"made {pixels.shape[1]}x{pixels.shape[0]} pixels")
        begin("write")
        packed, warnings = decoding.write(contents, pixels)
        write_bytes(output, packed, force, times)
    for warning in warnings:
        console.warn(f"{name}: {warning}")
    return contents, pixels


def _write_progress(contents, decoding, folder, force, console):
    from tqdm import tqdm

    from odpiece.formats.images import write_image

    make_folder(folder)
    outputs = [folder / f"{i:02d}-{group.name}.png" for i, group in enumerate(contents.groups)]
    for output in outputs:
        check_output(output, force)
    steps = zip(outputs, contents.progress())
    for output, tokens in tqdm(steps, total=len(outputs), desc="progress", disable=console.quiet or None):
        write_bytes(output, write_image(decoding.shrunk(contents.picture(tokens, decoding.look))), force)
