"""Fuzz what reads .odp files: a picture or an error of formats/errors.py, OSError in Pillow; all else is a finding.

    pip install -e '.[fuzz,torch]'
    python fuzz/seeds.py FOLDER
    ODPIECE_MODELS=FOLDER/models python fuzz/decode.py -max_total_time=1200 -timeout=20 -rss_limit_mb=3000 \\
        -max_len=2000 -artifact_prefix=tests/attacks/findings/ FOLDER/corpus

FOLDER/corpus begins with the seeds, and takes what is found to be new. A finding is written to
tests/attacks/findings/, where a test looks at it ever after.
"""

import io
import random
import sys

import atheris

with atheris.instrument_imports(include=["odpiece"]):
    from mutate import with_another_chunk

    from odpiece.codec.files import read_partial, truncate
    from odpiece.formats.container import MAGIC, VERSION, unpack, unpack_header
    from odpiece.formats.errors import OdpieceError
    from odpiece.formats.pillow_plugin import OdpImageFile
    from odpiece.models.library import packaged_models, user_models

USER_MODELS = user_models()
TABLES = [tables for model in USER_MODELS for tables in model.tile_tables]
MODELS = [named.fingerprint for named in (*packaged_models(), *USER_MODELS, *TABLES)]
VERSION_BITS = VERSION << 5  # of the third byte
LARGEST = 1 << 15  # pixels: larger claims are slow, and tests/attacks/test_headers.py has them


def read(data):
    """Read `data`, whole, else in part, make the picture and what `odpiece info` shows, and load it in Pillow."""
    try:
        header, _ = unpack_header(data)
        if header.width * header.height > LARGEST:
            return
        contents = read_partial(data)
        contents.picture(contents.tokens)
        _ = contents.raw_bits, contents.groups, contents.tokens.sha256, contents.metadata
        truncate(data, 3)
    except OdpieceError:
        pass
    try:
        OdpImageFile(io.BytesIO(data)).load()
    except (OSError, SyntaxError):  # SyntaxError is how a plugin of Pillow says that a file is not its own
        pass


def mutate(data, max_size, seed):
    """Some files with chunks get another one; else mostly behind a true magic, version and model, without which nothing
    is read.
    """
    rng = random.Random(seed)
    if rng.random() < 0.3 and (parts := unpacked(data)) and parts.chunks:
        return with_another_chunk(rng, parts, lambda old: bytes(atheris.Mutate(old, max_size)))[:max_size]
    data = atheris.Mutate(data, max_size)
    if rng.random() < 0.9:
        word = bytes([VERSION_BITS | (data[2] & 0x1F if len(data) > 2 else 0)]) + data[3:4].ljust(1, b"\0")
        model = data[4:8] if data[4:8] in MODELS else rng.choice(MODELS)
        data = MAGIC + word + model + data[8:]
    return data[:max_size]


def unpacked(data):
    """The container.File in `data`, None where it is damaged."""
    try:
        return unpack(data)
    except OdpieceError:
        return None


if __name__ == "__main__":
    atheris.Setup(sys.argv, read, custom_mutator=mutate)
    atheris.Fuzz()
