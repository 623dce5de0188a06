"""odpiece info: what an .odp file holds."""

import json

import click

from odpiece.cli.options import OdpFile, errors_about, max_pixels_option, model_option, shown_input
from odpiece.formats.files import STANDARD, read_bytes, write_bytes
from odpiece.formats.scales import by_true_size, shown_scale


@click.command()
@click.argument("file", metavar="INPUT", type=OdpFile())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@model_option
@max_pixels_option
def info(file, as_json, model, max_pixels):
    """Describe the .odp file INPUT (- for standard input)."""
    data = read_bytes(file)

    from odpiece.codec.files import read
    from odpiece.models.library import load_model

    with errors_about(shown_input(file)):
        facts = _facts(read(data, model=model and load_model(model), max_pixels=max_pixels), len(data))
    if as_json:
        lines = [json.dumps(facts)]
    else:
        groups = facts.pop("bits_per_group")
        facts["chunks"] = ", ".join(f"{name} {size}" for name, size in facts["chunks"].items()) or "none"
        lines = [f"{name:<10}{value}" for name, value in facts.items()]
        lines.append("bits per group (block size and number of the group; in tiles the last token):")
        lines += [f"  {name:<10}{value:>10.1f}" for name, value in groups.items()]
    write_bytes(STANDARD, "".join(line + "\n" for line in lines).encode())


def _facts(contents, size):
    header = contents.header
    return {
        "width": header.width,
        "height": header.height,
        "grey": header.grey,
        "scale": shown_scale(header.scale),
        "q": header.quality,
        "limit": by_true_size(header.limit, header.scale),
        "tokens": contents.tokens.count,
        "bytes": size,
        "bpp": round(8 * size / (header.width * header.height), 5),
        "raw_bits": contents.raw_bits,
        "model": f"{contents.model.name} {contents.model.fingerprint.hex()}",
        "coder": header.coder.name.lower(),
        "segments": header.segments,
        "chunks": {chunk.name: len(chunk.data) for chunk in contents.chunks},
        "sha256": contents.tokens.sha256,
        "bits_per_group": {group.name: round(group.bits, 2) for group in contents.groups},
    }
