"""Decoding gives the same tokens whatever the machine does with its floats and threads."""

import os
import subprocess
import sys

import numpy as np
import pytest

from odpiece.codec.bands.coders import LearnedCoder, coder_of
from odpiece.codec.bands.tokens import Tokens
from odpiece.codec.bands.walk import walk
from odpiece.codec.files import encode, read
from odpiece.codec.range_coder import Reader, Writer
from odpiece.formats.container import CoderId
from odpiece.formats.errors import DamagedError
from odpiece.models import prior as prior_module
from odpiece.models.interface import BANDS
from odpiece.models.library import load_model

DECODE = """
import sys
from odpiece.codec.files import read
print(read(open(sys.argv[1], "rb").read()).tokens.sha256)
"""
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
SETTINGS = {
    "1 thread": dict.fromkeys(THREADS, "1"),
    "2 threads": dict.fromkeys(THREADS, "2"),
    "4 threads": dict.fromkeys(THREADS, "4"),
    "Haswell kernels": {"OPENBLAS_CORETYPE": "Haswell"},
    "Prescott kernels": {"OPENBLAS_CORETYPE": "Prescott"},
    "optimised": {"PYTHONOPTIMIZE": "1"},
}


@pytest.fixture(scope="module")
def encoded(tmp_path_factory, photo):
    path = tmp_path_factory.mktemp("exact") / "photo.odp"
    path.write_bytes(encode(photo, 256))
    return path


@pytest.mark.parametrize("setting", SETTINGS)
def test_tokens_are_the_same_in_every_process(encoded, setting):
    environment = {**os.environ, **SETTINGS[setting]}
    run = subprocess.run([sys.executable, "-c", DECODE, encoded], env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == read(encoded.read_bytes()).tokens.sha256, run.stderr


def _payload(tokens, q, coder):
    writer = Writer()
    walk(writer, coder, q, *tokens.lengths.shape, tokens)
    return writer.to_bytes()


def test_tokens_do_not_depend_on_the_tokenizer_s_backend(photo):
    """A file whose latents torch computed decodes to the same tokens beside torch and beside onnxruntime."""
    pytest.importorskip("torch")
    model = load_model(backend="torch")
    data = encode(photo, 200, effort=0, model=model)
    assert read(data, model=model).tokens.sha256 == read(data).tokens.sha256
    by_onnx = read(encode(photo, 200, effort=0)).tokens
    differing = sum(int((a != b).sum()) for a, b in zip(read(data).tokens.bands, by_onnx.bands))
    assert differing < 0.01 * sum(z.size for z in by_onnx.bands)  # the encoder may round a tie the other way


def test_rows_do_not_depend_on_how_the_sums_are_split(photo, monkeypatch):
    """The same convolutions over the grid in strips of two rows, as another batch shape would do it."""
    data = encode(photo, 256)
    whole = prior_module.mix

    def in_strips(weight, grid):
        parts = [whole(weight, grid[:, at : at + 2]) for at in range(0, grid.shape[1], 2)]
        return np.concatenate(parts, axis=1)

    expected = read(data).tokens.sha256
    monkeypatch.setattr(prior_module, "mix", in_strips)
    assert read(data).tokens.sha256 == expected


def test_a_planted_float_breaks_decoding(photo, monkeypatch):
    """The tests above can fail: noise of 1e-7 in the sums, with no floor after it, desynchronises the decoder."""
    data = encode(photo, 4096)
    expected = read(data).tokens.sha256
    exact, noise = prior_module.mix, np.random.default_rng(0)

    def inexact(weight, grid):
        sums = exact(weight, grid)
        return sums * (1 + 1e-7 * noise.standard_normal(sums.shape))

    monkeypatch.setattr(prior_module, "mix", inexact)
    try:
        broken = read(data).tokens.sha256 != expected
    except DamagedError:
        broken = True
    assert broken


def test_every_sum_is_an_integer_that_float64_holds(photo, monkeypatch):
    data, seen = encode(photo, 1024), []
    for name in ("mix", "_conv3"):
        exact = getattr(prior_module, name)

        def checked(*args, exact=exact):
            sums = exact(*args)
            seen.append(np.abs(sums).max(initial=0))
            assert (sums == np.rint(sums)).all()
            return sums

        monkeypatch.setattr(prior_module, name, checked)
    read(data)
    assert 0 < max(seen) < prior_module.EXACT


def test_shipped_weights_keep_within_the_exact_range():
    """An oracle for the export's proof: the worst sum over all signs of inputs, layer by layer."""
    model = load_model()
    prior, names = model.prior, model.tensors("prior.usual.", "prior.fine.")
    assert len(names) > 100
    squash_top, limit = prior.squash_table.max(), prior_module.LIMIT
    for name, weight in ((name, prior.weight(name.removeprefix("prior."))) for name in names):
        assert (weight == np.rint(weight)).all(), name
        if name.endswith("weight"):
            worst = np.abs(weight).reshape(len(weight), -1).sum(axis=1).max() * max(limit, squash_top)
            assert worst * prior_module.MEAN_STEPS < prior_module.EXACT / 16, name


def test_payload_is_close_to_the_integer_cross_entropy(photo):
    for q in (1, 16, 64, 1024, 4096):
        contents = read(encode(photo, q))
        coder = LearnedCoder(contents.model.prior)
        ideal = sum(group.bits for group in contents.groups)
        assert 8 * len(_payload(contents.tokens, q, coder)) <= 1.005 * ideal + 16


def test_learned_beats_static_beats_raw(photo):
    tokens = read(encode(photo, 256)).tokens
    model = load_model()
    sizes = [
        len(_payload(tokens, 256, coder_of(coder, model))) for coder in (CoderId.LEARNED, CoderId.STATIC, CoderId.RAW)
    ]
    assert sizes == sorted(sizes) and sizes[0] < 0.95 * sizes[1]


@pytest.mark.parametrize("q", [1, 3, 64, 700, 1024, 4096])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2)])
def test_learned_coder_round_trip_of_wild_tokens(q, shape):
    """Values no picture has, escapes among them, decode to themselves."""
    rng = np.random.default_rng(q)
    rows, columns = shape
    bands = []
    for band in BANDS:
        size = band.latents, rows * band.side, columns * band.side
        wild = rng.integers(-32767, 32768, size)
        bands.append(np.where(rng.random(size) < 0.02, wild, rng.integers(-3, 4, size)).astype(np.int32))
    tokens = Tokens(np.full(shape, 4096), tuple(bands)).first(q)
    coder = LearnedCoder(load_model().prior)
    decoded, _ = walk(Reader(_payload(tokens, q, coder)), coder, q, rows, columns)
    assert decoded.sha256 == tokens.sha256
