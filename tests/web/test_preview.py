"""`odpiece models preview`, and pictures that browsers make with what it writes."""

import base64
import hashlib
import json
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load

from odpiece.cli.main import main
from odpiece.codec import decode, encode
from odpiece.codec.targets import psnr
from odpiece.formats.errors import OptionError
from odpiece.models.library import load_model
from odpiece.models.preview import make_preview

MOST_BYTES = 1_500_000
NEAR = 27  # dB of PSNR, of the networks' picture
GOLDEN = Path(__file__).parents[1] / "golden"
PREVIEWS = Path(__file__).parents[2] / "examples" / "web" / "previews"
DECODE = "async ([data, options]) => packed(await odpiece.decode(bytesOf(data), {preview: true, ...options}))"
FAIL = "(data) => odpiece.decode(bytesOf(data), {preview: true}).then(() => null, (error) => error.name)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the preview of the default model is, with an index that knew another model."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "index.json").write_text(json.dumps({"default": "x", "models": {"x": {"file": "x", "sha256": "00"}}}))
    main(["models", "preview", "-o", str(folder)])
    return folder


@pytest.fixture(scope="module")
def preview(folder):
    """The bytes of the preview."""
    return (folder / f"{load_model().name}.preview").read_bytes()


@pytest.fixture(scope="module")
def page(browser, start, folder):
    context = browser.new_context()
    name = "**/previews/{}"
    for path in folder.iterdir():
        context.route(name.format(path.name), _giving(path))
    page = start(context.new_page())
    page.evaluate("() => odpiece.configure({models: '/previews', runtime: '/nothing'})")
    yield page
    context.close()


def _giving(path):
    return lambda route: route.fulfill(body=path.read_bytes())


def _text(data):
    return base64.b64encode(data).decode()


def test_it_is_small_and_in_the_index(folder, preview):
    index, model = json.loads((folder / "index.json").read_text()), load_model()
    assert len(preview) <= MOST_BYTES
    entry = index["models"][model.name]
    assert entry["sha256"] == model.sha256 and entry["preview"]["sha256"] == hashlib.sha256(preview).hexdigest()
    assert index["models"]["x"] == {"file": "x", "sha256": "00"}


def test_its_prior_is_that_of_the_model(preview):
    tensors = load(zlib.decompress(preview))
    names = [name for name in tensors if name.startswith("prior.") and name != "prior.tables"]
    own = load_model().tensors("prior.")
    assert len(names) >= 30 and all((tensors[name] == own[name]).all() for name in names)
    assert (tensors["prior.tables"] == own["prior.tables"][: len(tensors["prior.tables"])]).all()


@pytest.mark.parametrize(
    "q, options", [(2, {}), (4, {}), (16, {}), (64, {}), (64, {"tokens": 3}), (4, {"look": "natural"})]
)
def test_pictures_are_near_those_of_the_networks(page, photo, to_pixels, q, options):
    """Its tokens are exact, else the checksum would not match."""
    data = encode(photo, q, effort=0, scale=1)
    found = to_pixels(page.evaluate(DECODE, [_text(data), options]))[..., :3]
    expected = decode(data, tokens=options.get("tokens"))
    error = np.mean((_shrunk(found) - _shrunk(expected)) ** 2)
    assert found.shape == expected.shape and 10 * np.log10(255**2 / error) > NEAR


def _shrunk(pixels):
    """float64 (h / 8, w / 8, 3): means of squares."""
    return pixels.reshape(pixels.shape[0] // 8, 8, pixels.shape[1] // 8, 8, 3).mean(axis=(1, 3))


def test_previews_of_the_example(browser, site, folder):
    """examples/web/ beside ThumbHash and BlurHash; its files are of the default model, else scripts/web_previews.py."""
    context = browser.new_context()
    for path in folder.iterdir():
        context.route(f"**/web/models/{path.name}", _giving(path))
    page = context.new_page()
    page.set_default_timeout(0)
    page.goto(f"{site}/examples/web/")
    for number in range(8):
        page.locator("#previews figure").nth(number).scroll_into_view_if_needed()
        page.locator("#previews figcaption").nth(number).filter(has_text=" dB" if number else "original").wait_for()
    told = page.locator("#previews figcaption").all_text_contents()
    context.close()
    rows = json.loads((PREVIEWS / "previews.json").read_text())
    assert [text.split(",")[0] for text in told[1:-1]] == [f"{row['title']}: {row['bytes']} bytes" for row in rows]
    decibels = [float(text.split(", ")[-1].removesuffix(" dB")) for text in told[1:]]
    original = _picture("original.webp")
    data = base64.b64decode(rows[-1]["file"].split(",")[1])
    exact = [psnr(_picture(row["picture"]), original) for row in rows[:3]]
    assert decibels[:3] == [round(number, 1) for number in exact]
    assert abs(decibels[-1] - psnr(decode(data, look="natural"), original)) < 0.1
    assert decibels[4] > max(decibels[:3])


def _picture(name):
    with Image.open(PREVIEWS / name) as im:
        return np.asarray(im.convert("RGB"))


@pytest.mark.parametrize("name", ["photo-static", "photo-q1024", "photo-q4096"])
def test_other_files_need_the_model(page, name):
    assert page.evaluate(FAIL, _text((GOLDEN / f"{name}.odp").read_bytes())) == "UnknownModelError"


def test_a_folder_without_it(page, start, browser):
    context = browser.new_context()
    plain = start(context.new_page())
    assert plain.evaluate(FAIL, _text((GOLDEN / "photo-learned.odp").read_bytes())) == "UnknownModelError"
    context.close()


@pytest.mark.parametrize("taken, code", [("preview", 8), ("index", 2)])
def test_what_is_there_is_kept(taken, code, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("odpiece.models.preview.make_preview", lambda model: b"")
    path = tmp_path / (f"{load_model().name}.preview" if taken == "preview" else "index.json")
    path.write_text("something else")
    with pytest.raises(SystemExit) as end:
        main(["models", "preview", "-o", str(tmp_path)])
    assert end.value.code == code and path.read_text() == "something else"
    assert capsys.readouterr().err.count("\n") == 1


def test_models_of_tiles_have_none():
    with pytest.raises(OptionError, match="one-d has no preview"):
        make_preview(SimpleNamespace(name="one-d", family="one-d-piece"))
