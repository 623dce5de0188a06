"""Pictures in a real browser: the same as Python's, by onnxruntime-web."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odpiece.codec import decode, encode
from odpiece.codec.files import read_partial

GOLDEN = Path(__file__).parents[1] / "golden"
DIGESTS = json.loads((GOLDEN / "tokens.json").read_text())
NAMES = sorted(DIGESTS)
NEAR = 1  # grey level
DECODE = "async ([data, options]) => packed(await odpiece.decode(bytesOf(data), options))"
FAIL = """async ([data, options]) => {
    const fails = (error) => ({name: error.name, code: error.code, message: error.message});
    return await odpiece.decode(bytesOf(data), options).then(() => null, fails);
}"""


@pytest.fixture(scope="module")
def decoded(page, to_pixels):
    """A function: uint8 (H, W, 4) of the bytes of a file, by the browser."""
    return lambda data, **options: to_pixels(page.evaluate(DECODE, [_text(data), options]))


def _text(data):
    return base64.b64encode(data).decode()


def _assert_near(found, pixels):
    """That uint8 (H, W, 4) are pixels as `decode` gives them, but for a grey level."""
    expected = np.asarray(Image.fromarray(pixels).convert("RGBA"))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= NEAR


def _assert_golden(found, path):
    with Image.open(path) as golden:
        channels = [Image.fromarray(found).getchannel(c) for c in {"L": "R", "LA": "RA"}.get(golden.mode, golden.mode)]
        small = Image.merge(golden.mode, channels).reduce(-(-found.shape[1] // golden.width))
        assert np.abs(np.asarray(small).astype(int) - np.asarray(golden)).max() <= NEAR


TOKENS = """async (data) => {
    const { Weights } = await import("/web/codec/model.js");
    const { readTokens } = await import("/web/codec/picture.js");
    globalThis.weights ??= new Weights(new Uint8Array(await (await fetch("/models/weights/WEIGHTS")).arrayBuffer()));
    const { tokens } = await readTokens(bytesOf(data), async () => globalThis.weights);
    const all = new Blob([...tokens.buffers()]);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await all.arrayBuffer()));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}"""


@pytest.mark.parametrize("name", NAMES)
def test_golden_tokens(page, weights, name):
    found = page.evaluate(TOKENS.replace("WEIGHTS", weights.name), _text((GOLDEN / name).read_bytes()))
    assert found == DIGESTS[name]


@pytest.mark.parametrize("name", NAMES)
def test_golden_pictures(decoded, name):
    _assert_golden(decoded((GOLDEN / name).read_bytes()), (GOLDEN / name).with_suffix(".png"))


def test_the_natural_look(decoded):
    found = decoded((GOLDEN / "photo-learned.odp").read_bytes(), look="natural")
    _assert_golden(found, GOLDEN / "natural" / "photo-learned.png")


@pytest.mark.parametrize("name, count", [("photo-learned", 5), ("scaled", 2), ("photo-q4096", 1100)])
def test_the_first_tokens(decoded, name, count):
    data = (GOLDEN / f"{name}.odp").read_bytes()
    _assert_near(decoded(data, tokens=count), decode(data, tokens=count))


@pytest.mark.parametrize("scale", ["1/2", "1/4"])
@pytest.mark.parametrize("shape", [(131, 203, 3), (66, 17), (65, 130, 4)])
def test_pictures_that_were_coded_smaller(decoded, photo, shape, scale):
    pixels = np.dstack([photo[..., :3], photo[..., 0] // 2])[: shape[0], : shape[1]]
    pixels = np.ascontiguousarray(pixels[..., : shape[2]] if len(shape) > 2 else pixels[..., 0])
    data = encode(pixels, 4, scale=scale, effort=0, coder=1)
    _assert_near(decoded(data), decode(data))


def test_cut_files(decoded):
    for name, share in [("photo-learned", 0.4), ("segments", 0.7), ("mask", 0.9)]:
        data = (GOLDEN / f"{name}.odp").read_bytes()
        cut = data[: int(len(data) * share)]
        partial = read_partial(cut)
        _assert_near(decoded(cut, partial=True), partial.picture(partial.tokens))


@pytest.mark.slow
def test_large_pictures_in_windows(decoded, photo):
    """Nearly the picture that is made in one run, with the noise of the natural look at its place."""
    data = encode(np.tile(photo, (12, 8, 1))[:2200, :1990], 2, scale=1, coder=1, effort=0)
    _assert_near(decoded(data, look="natural"), decode(data, look="natural"))


def test_info(page):
    data = (GOLDEN / "scaled.odp").read_bytes()
    info = page.evaluate("(data) => odpiece.info(bytesOf(data))", _text(data))
    chunks = page.evaluate("(data) => odpiece.info(bytesOf(data)).chunks", _text((GOLDEN / "chunks.odp").read_bytes()))
    partial = read_partial(data).header
    for key in ("width", "height", "q", "quality", "limit", "scale", "grey", "segments"):
        assert info[key] == getattr(partial, key), key
    assert info["model"] == partial.model.hex() and info["bytes"] == len(data) and info["chunks"] == []
    assert sorted(chunks) == ["exif", "icc", "xmp"]


@pytest.mark.parametrize(
    "change, options, name, code",
    [
        (lambda data: b"PK" + data[2:], {}, "NotOdpError", 4),
        (lambda data: data[:2] + b"\xff" + data[3:], {}, "VersionError", 5),
        (lambda data: data[:4] + bytes(4) + data[8:], {}, "UnknownModelError", 6),
        (lambda data: data[:-9], {}, "DamagedError", 7),
        (lambda data: data, {"maxPixels": 99}, "ImageError", 3),
        (lambda data: data, {"look": "sharp"}, "OptionError", 2),
        (lambda data: data, {"tokens": 0}, "OptionError", 2),
    ],
)
def test_errors(page, change, options, name, code):
    found = page.evaluate(FAIL, [_text(change((GOLDEN / "photo-learned.odp").read_bytes())), options])
    assert (found["name"], found["code"]) == (name, code) and "\n" not in found["message"]


def test_progress_and_abort(page):
    data = (GOLDEN / "segments.odp").read_bytes()
    script = """async (data) => {
        const stages = [], controller = new AbortController(), onProgress = (step) => {
            stages.push(step);
            if (step.stage === "tokens") controller.abort(new Error("enough"));
        };
        const call = odpiece.decode(bytesOf(data), {onProgress, signal: controller.signal});
        return {told: await call.catch((error) => error.message), stages};
    }"""
    found = page.evaluate(script, _text(data))
    assert found["told"] == "enough"
    assert {"stage": "tokens", "done": 1, "total": 4} in found["stages"]
    assert all(step["stage"] != "pixels" for step in found["stages"])


STREAM = """async (parts) => {
    const found = [];
    let at = 0, shown;
    const stream = new ReadableStream({async pull(controller) {
        if (at > 0 && at < parts.length) await new Promise((resolve) => (shown = resolve));
        if (at === parts.length) return controller.close();
        controller.enqueue(bytesOf(parts[at++]));
    }});
    for await (const picture of odpiece.decodeStream(stream)) {
        found.push(await packed(picture));
        shown?.();
    }
    return found;
}"""


def test_a_stream_shows_pictures_as_it_comes(page, to_pixels):
    """Each part of it comes when the picture of those before has been shown."""
    data = (GOLDEN / "photo-learned.odp").read_bytes()
    ends = [len(data) * tenths // 10 for tenths in (5, 7, 10)]
    parts = [_text(data[start:end]) for start, end in zip([0, *ends], ends)]
    pictures = [to_pixels(found) for found in page.evaluate(STREAM, parts)]
    assert len(pictures) == len(ends)
    for found, end in zip(pictures, ends):
        partial = read_partial(data[:end])
        _assert_near(found, partial.picture(partial.tokens))


SHORT_STREAM = """async (data) => {
    let count = 0, shown;
    const stream = new ReadableStream({async start(controller) {
        controller.enqueue(bytesOf(data));
        await new Promise((resolve) => (shown = resolve));
        controller.close();
    }});
    try {
        for await (const picture of odpiece.decodeStream(stream)) shown(count++);
    } catch (error) {
        return [count, error.name];
    }
}"""


def test_a_stream_that_ends_early_is_an_error_after_its_picture(page):
    data = (GOLDEN / "photo-learned.odp").read_bytes()[:-20]
    told = page.evaluate(SHORT_STREAM, _text(data))
    assert told == [1, "DamagedError"]


ELEMENTS = """async ({golden, broken}) => {
    await import("/web/odp-img.js");
    document.body.innerHTML = `
        <odp-img id="near" src="${golden}" alt="A hill" loading="eager"><img alt="none"></odp-img>
        <odp-img id="broken" src="${broken}" alt="A hill"><img alt="In place of it"></odp-img>
        <div style="height: 9000px"></div><odp-img id="far" src="${golden}?far" alt="A far hill"></odp-img>`;
    const told = (id, event) => new Promise((resolve) => document.getElementById(id).addEventListener(event, resolve));
    await Promise.all([told("near", "load"), told("broken", "error")]);
    globalThis.far = told("far", "load");
}"""
SHOWN = """(id) => {
    const canvas = document.getElementById(id).shadowRoot.querySelector("canvas");
    return packed(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height));
}"""


def test_the_element(page, to_pixels):
    """It shows the picture in its size when it comes near, with its alternative text; else what is inside."""
    data = (GOLDEN / "photo-learned.odp").read_bytes()
    asked = []
    page.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    page.evaluate(ELEMENTS, {"golden": "/tests/golden/photo-learned.odp", "broken": "/tests/golden/tokens.json"})
    _assert_near(to_pixels(page.evaluate(SHOWN, "near")), decode(data))
    assert page.get_by_role("img", name="A hill", exact=True).count() == 1
    assert page.get_by_role("img", name="In place of it").is_visible()
    assert page.get_by_role("img", name="none").count() == 0
    assert "photo-learned.odp" in asked and "photo-learned.odp?far" not in asked
    page.evaluate("async () => { document.getElementById('far').scrollIntoView(); await far; }")
    _assert_near(to_pixels(page.evaluate(SHOWN, "far")), decode(data))


def test_without_webassembly_the_element_shows_what_is_inside(browser, start):
    context = browser.new_context()
    context.add_init_script("delete globalThis.WebAssembly")
    page = start(context.new_page())
    error = page.evaluate(
        """async () => {
            await import("/web/odp-img.js");
            document.body.innerHTML = `<odp-img src="/tests/golden/pixel.odp"><img alt="In its place"></odp-img>`;
            return new Promise((resolve) => {
                document.querySelector("odp-img").addEventListener("error", ({detail}) => resolve(detail.name));
            });
        }"""
    )
    assert error == "MissingExtraError" and page.get_by_role("img", name="In its place").is_visible()
    context.close()


def test_pictures_are_made_in_one_worker(page, decoded):
    decoded((GOLDEN / "pixel.odp").read_bytes())
    assert [worker.url.rsplit("/", 1)[-1] for worker in page.workers].count("worker.js") == 1


def test_the_example(browser, site, photo, to_pixels):
    """examples/web/ as it stands, with a file in the place of photo.odp."""
    data = encode(photo[:128, :128], 8, effort=0, coder=1)
    context = browser.new_context()
    context.route("**/photo.odp", lambda route: route.fulfill(body=data))
    page = context.new_page()
    page.set_default_timeout(0)
    page.goto(f"{site}/examples/web/")
    page.wait_for_function("customElements.get('odp-img') !== undefined")
    shown = page.evaluate_handle("document.getElementById('faithful').shadowRoot.querySelector('canvas')")
    page.wait_for_function(
        "(canvas) => canvas.width === 128 && canvas.getContext('2d').getImageData(9, 9, 1, 1).data[3]", arg=shown
    )
    script = "(canvas) => Array.from(canvas.getContext('2d').getImageData(0, 0, 128, 128).data)"
    _assert_near(np.array(page.evaluate(script, shown), np.uint8).reshape(128, 128, 4), decode(data))
    page.set_input_files("#file", {"name": "a.odp", "mimeType": "image/x-odp", "buffer": data})
    page.get_by_text(f"128x128, {len(data)} bytes, 8 tokens").wait_for()
    context.close()
