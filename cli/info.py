"""odpiece info: what an .odp file holds."""

import json

import click

from odpiece.formats.files import read_bytes


@click.command()
@click.argument("file", metavar="INPUT")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file, as_json):
    """Describe the .odp file INPUT (- for standard input)."""
    data = read_bytes(file)

    from odpiece.codec.picture import read

    facts = _facts(read(data), len(data))
    if as_json:
        click.echo(json.dumps(facts))
        return
    groups = facts.pop("bits_per_group")
    for name, value in facts.items():
        click.echo(f"{name:<10}{value}")
    click.echo("bits per group (block size and number of the group):")
    for name, value in groups.items():
        click.echo(f"  {name:<10}{value:>10.1f}")


def _facts(contents, size):
    header = contents.header
    return {
        "width": header.width,
        "height": header.height,
        "q": header.q,
        "tokens": contents.tokens.count,
        "bytes": size,
        "bpp": round(8 * size / (header.width * header.height), 5),
        "raw_bits": contents.raw_bits,
        "model": f"{contents.model.name} {contents.model.fingerprint.hex()}",
        "coder": header.coder.name.lower(),
        "sha256": contents.tokens.sha256,
        "bits_per_group": {group.name: round(group.bits, 2) for group in contents.groups},
    }
