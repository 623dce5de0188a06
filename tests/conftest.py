"""Shared fixtures: a synthetic photo, random tokens, coders with toy tables. Only `toy_priors` loads torch."""

import runpy
import shutil
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

from odpiece.codec.bands.coders import LENGTH_CLASSES, STATIC_COUNT, SYMBOLS, LearnedCoder, RawCoder, StaticCoder
from odpiece.codec.bands.tokens import LENGTHS, full_length_index, shorten
from odpiece.codec.range_coder import to_table
from odpiece.formats import pillow_plugin
from odpiece.formats.container import unpack
from odpiece.formats.errors import OdpieceError
from odpiece.models.interface import BANDS, Q_OCTAVES
from odpiece.models.library import load_model

ROOT = Path(__file__).resolve().parent.parent

hypothesis.settings.register_profile(
    "odpiece",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # by the clock, which a busy machine cannot help
)
hypothesis.settings.load_profile("odpiece")


def forget_odp():
    """Undo the registration of the Pillow plugin, by which tests of one module would change those of others."""
    Image.ID.remove(pillow_plugin.FORMAT)
    for known in (Image.OPEN, Image.SAVE, Image.MIME):
        del known[pillow_plugin.FORMAT]
    for suffix in pillow_plugin.EXTENSIONS:
        del Image.EXTENSION[suffix]


forget_odp()


@pytest.fixture(scope="module")
def odp_in_pillow():
    """Pillow knows .odp files, in this module of tests only."""
    pillow_plugin.register_odp_opener()
    yield
    forget_odp()


@pytest.fixture(scope="session")
def photo():
    """uint8 (192, 256, 3): a sky that fades, a dark hill with a hard edge and texture, a soft bright disc."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:192, 0:256].astype(np.float64)
    picture = np.stack([90 + 0.5 * y, 120 + 0.4 * y, 200 - 0.2 * x], axis=-1)
    disc = 70 / (1 + np.exp((np.hypot(x - 180, y - 50) - 22) / 3))
    picture += disc[..., None] * [1.0, 0.9, 0.2]
    hill = y > 120 + 25 * np.sin(x / 40)
    texture = rng.normal(0, 14, (192, 256)) + 12 * np.sin(x / 2.7 + y / 5)
    picture[hill] = (np.array([60, 85, 40]) + texture[..., None])[hill]
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def example():
    """uint8 (256, 256, 3): the middle of examples/photo.png."""
    with Image.open(ROOT / "examples" / "photo.png") as im:
        pixels = np.asarray(im.convert("RGB"))
    top, left = (n // 2 - 128 for n in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + 256, left : left + 256])


@pytest.fixture(scope="session")
def claims_at_most():
    """A function: whether `data` is no .odp file, or one, perhaps cut or damaged, of at most so many pixels."""

    def claims(data, pixels):
        try:
            header = unpack(data, partial=True)[0]
        except OdpieceError:
            return True
        return header.width * header.height <= pixels

    return claims


@pytest.fixture(scope="session")
def random_bands():
    """A function: int32 latents of rows x columns pieces, mostly small, a few of any size up to +-32767."""

    def make(rows=1, columns=1, seed=0, escapes=0.002):
        rng = np.random.default_rng(seed)
        bands = []
        for band in BANDS:
            shape = (band.latents, rows * band.side, columns * band.side)
            small = np.rint(rng.laplace(0, 1.5, shape))
            large = rng.integers(-32767, 32768, shape)
            bands.append(np.where(rng.random(shape) < escapes, large, small).astype(np.int32))
        return tuple(bands)

    return make


@pytest.fixture(scope="session")
def random_tokens(random_bands):
    """A function: Tokens as an encoder may make them at quality q, of random lengths, in rows x columns pieces."""

    def make(rows=1, columns=1, q=1024, seed=0, escapes=0.002):
        choice = np.minimum(LENGTHS[: full_length_index(q) + 1], q)
        lengths = np.random.default_rng(seed + 1).choice(choice, (rows, columns))
        return shorten(random_bands(rows, columns, seed, escapes), lengths)

    return make


@pytest.fixture(scope="session")
def toy_tables():
    """Static tables, as StaticCoder takes them, of random counts that fall off from zero."""
    rng = np.random.default_rng(3)
    shape = (Q_OCTAVES, LENGTH_CLASSES, STATIC_COUNT, SYMBOLS)
    falling = 0.6 ** np.abs(np.arange(SYMBOLS) - 31)
    counts = rng.gamma(1.0, 1.0, shape).astype(np.float32) * falling + 1e-4
    latents = to_table(counts.reshape(-1, SYMBOLS)).reshape(shape)
    return {"latents": latents, "lengths": to_table(rng.gamma(1.0, 1.0, (Q_OCTAVES, len(LENGTHS))))}


@pytest.fixture(scope="session")
def toy_priors(toy_tables):
    """(float Prior in double precision, IntegerPrior made of it) of random weights, with logistic tables."""
    torch = pytest.importorskip("torch")
    from odpiece.models.nets.bands.prior import Prior
    from odpiece.models.prior import IntegerPrior
    from odpiece.models.training.bands.quantized_prior import logistic_table, quantize_prior

    torch.manual_seed(0)
    net = Prior()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p) * 0.03)
    tables = {"tables": to_table(logistic_table(SYMBOLS)), "lengths": toy_tables["lengths"]}
    return net.double().eval(), IntegerPrior(quantize_prior(net) | tables)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A folder of models with one, "tiny": the One-D-Piece network of tests/reference, and its arrays."""
    pytest.importorskip("torch")
    add_network = runpy.run_path(str(ROOT / "fuzz" / "seeds.py"))["add_network"]
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ODPIECE_MODELS", str(folder))
        add_network()
    return folder


@pytest.fixture
def tiny(tiny_folder, monkeypatch):
    """The Model "tiny", installed as the only one of the user; without tables."""
    monkeypatch.setenv("ODPIECE_MODELS", str(tiny_folder))
    return load_model("tiny")


@pytest.fixture
def tiny_copy(tiny_folder, tmp_path, monkeypatch):
    """The same in a folder of its own, to be changed."""
    shutil.copytree(tiny_folder, tmp_path / "models")
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path / "models"))
    return load_model("tiny")


@pytest.fixture(scope="session", params=["raw", "static", "learned"])
def coder(request):
    """Each of the coders, with toy tables."""
    if request.param == "raw":
        return RawCoder()
    if request.param == "static":
        return StaticCoder(request.getfixturevalue("toy_tables"))
    return LearnedCoder(request.getfixturevalue("toy_priors")[1])
