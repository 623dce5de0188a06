"""odpiece decode: an .odp file to a picture."""

from pathlib import Path

import click

from odpiece.cli.options import backend_options, max_pixels_option, model_option, output_options, output_path, shown
from odpiece.formats.files import STANDARD, check_output, make_folder, read_bytes, write_bytes


@click.command()
@click.argument("file", metavar="INPUT")
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    help="Output picture (.png, .jpg, .webp), - for PNG on standard output. [default: INPUT with .png]",
)
@click.option(
    "--tokens",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Decode only the first N tokens of each piece: a coarser picture.",
)
@click.option(
    "--look",
    type=click.Choice(["faithful", "natural"]),
    default="faithful",
    show_default=True,
    help="What to make of the tokens: the picture nearest to the original, or one with the texture of photographs.",
)
@click.option("--allow-partial", is_flag=True, help="Decode what is certain of a cut or damaged file.")
@click.option(
    "--progressive",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write a picture for each group of tokens as it arrives, DIR/00-lengths.png and so on.",
)
@model_option
@backend_options
@max_pixels_option
@output_options
def decode(file, output, tokens, look, allow_partial, progressive, model, backend, device, max_pixels, force, console):
    """Decode the .odp file INPUT (- for standard input)."""
    output = output_path(file, output, ".png")
    check_output(output, force)

    from odpiece.codec.picture import read, read_partial
    from odpiece.formats.images import OPAQUE, suffix_of, write_image
    from odpiece.models.library import load_model

    model = load_model(model, backend, device)
    console.detail(f"tokenizer on {model.backend}, {model.device}")
    suffix = ".png" if output == STANDARD else suffix_of(Path(output))
    data = read_bytes(file)
    console.detail(f"read {len(data)} bytes from {file}")
    with console.stages("tokens", "picture", "write") as begin:
        begin("tokens")
        contents = (read_partial if allow_partial else read)(data, model=model, max_pixels=max_pixels)
        console.detail(f"decoded {contents.certain} tokens")
        begin("picture")
        pixels = contents.picture(contents.tokens.first(tokens or contents.header.limit), look)
        console.detail(f"made {pixels.shape[1]}x{pixels.shape[0]} pixels")
        begin("write")
        write_bytes(output, write_image(pixels, suffix, contents.metadata), force)
    if not contents.complete:
        whole = f"{contents.whole_segments} of {contents.header.segments} segments are whole"
        console.warn(f"{file} is cut or damaged: {contents.certain} tokens could be decoded, {whole}")
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and suffix in OPAQUE:
        console.warn(f"{shown(output)}: {suffix} has no transparency, the picture is laid on white")
    if progressive:
        _write_progress(contents, look, progressive, force, console)
    console.result(f"{shown(output)}: {pixels.shape[1]}x{pixels.shape[0]}")


def _write_progress(contents, look, folder, force, console):
    from tqdm import tqdm

    from odpiece.formats.images import write_image

    make_folder(folder)
    outputs = [folder / f"{i:02d}-{group.name}.png" for i, group in enumerate(contents.groups)]
    for output in outputs:
        check_output(output, force)
    steps = zip(outputs, contents.progress())
    for output, tokens in tqdm(steps, total=len(outputs), desc="progress", disable=console.quiet or None):
        write_bytes(output, write_image(contents.picture(tokens, look)), force)
