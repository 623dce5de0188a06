"""odpiece info: what an .odp file holds."""

import json

import click

from odpiece.cli.many import many_inputs
from odpiece.cli.options import errors_about, max_pixels_option, model_option, shown_input
from odpiece.formats.scales import by_true_size, shown_scale

NO_RELEASE = "none: it is opened where its model is installed"


@click.command()
@many_inputs
@model_option
@max_pixels_option
def info(inputs, model, max_pixels):
    """Describe the .odp files INPUT (- for standard input)."""
    from odpiece.codec.files import read
    from odpiece.models.library import load_model

    model = model and load_model(model)

    def describe(name, data):
        facts = {} if inputs.is_one else {"input": name}
        with errors_about(shown_input(name)):
            facts |= _facts(read(data, model=model, max_pixels=max_pixels), len(data))
        return (json.dumps(facts) if inputs.as_json else _text(facts)).encode()

    inputs.each(describe)


def _text(facts):
    """The lines for people; those of several files have an empty line between them."""
    groups = facts.pop("bits_per_group")
    facts["chunks"] = ", ".join(f"{name} {size}" for name, size in facts["chunks"].items()) or "none"
    facts["release"] = f"odpiece {facts['release']} or later" if facts["release"] else NO_RELEASE
    lines = [f"{name:<10}{value}" for name, value in facts.items()]
    lines.append("bits per group (block size and number of the group; in tiles the last token):")
    lines += [f"  {name:<10}{value:>10.1f}" for name, value in groups.items()]
    return "\n".join(lines + [""] * ("input" in facts))


def _facts(contents, size):
    from odpiece.models.library import release_of

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
        "release": release_of(contents.model),
        "coder": header.coder.name.lower(),
        "segments": header.segments,
        "chunks": {chunk.name: len(chunk.data) for chunk in contents.chunks},
        "sha256": contents.tokens.sha256,
        "bits_per_group": {group.name: round(group.bits, 2) for group in contents.groups},
    }
