"""What pages download and run networks with: files that break off, the cache, WebGPU where there is one."""

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from odpiece.codec import decode, encode
from odpiece.models.integers import SCALES, integer_weights
from odpiece.models.interface import INTEGERS
from odpiece.models.library import load_model

NEAR = 1  # grey level
GOLDEN = Path(__file__).parents[1] / "golden"
DECODE = "async ([data, options]) => packed(await odpiece.decode(bytesOf(data), options))"
FAIL = "(data) => odpiece.decode(bytesOf(data)).then(() => null, ({name, message}) => ({name, message}))"


def _text(data):
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "case, asked",
    [
        ({"breaks": 0, "ranges": True}, [None]),
        ({"breaks": 2, "ranges": True}, [None, "bytes=30000-", "bytes=60000-"]),
        ({"breaks": 1, "ranges": False}, [None, "bytes=30000-"]),
    ],
)
def test_downloads_that_break_off_go_on(case, asked, in_node):
    (found,) = in_node("download.mjs", [case])
    assert found == {"right": True, "asked": asked, "told": {"done": 100_000, "total": 100_000}}


def test_weights_of_integers_are_those_of_python(weights, in_node):
    convs = json.loads(weights.with_suffix(INTEGERS).read_text())
    expected = integer_weights(load_model().tensors("synthesis.", "look.", SCALES), convs)
    found = in_node("integers.mjs", weights, sorted(expected))
    assert found == {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in expected.items()}


@pytest.mark.parametrize(
    "case, count", [({"breaks": 9, "ranges": False}, 2), ({"breaks": 0, "ranges": True, "status": 404}, 1)]
)
def test_downloads_that_do_not_get_on_are_errors(case, count, in_node):
    (found,) = in_node("download.mjs", [case])
    assert found["error"] == "ImageError" and len(found["asked"]) == count


def test_the_weights_are_fetched_once(page, start):
    """A second page of the same browser finds weights and graphs in the cache."""
    data, asked = (GOLDEN / "photo-static.odp").read_bytes(), []
    assert page.evaluate(FAIL, _text(data)) is None
    second = page.context.new_page()
    page.context.on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
    found = start(second).evaluate(FAIL, _text(data))
    second.close()
    assert found is None and "index.json" in asked
    assert [name for name in asked if name.endswith((".safetensors", ".onnx"))] == []


@pytest.mark.parametrize(
    "file, body, told",
    [
        ("*.safetensors", b"not the weights", "SHA-256"),
        ("*.onnx", b"<!doctype html>", "no graph"),
        ("index.json", b"<!doctype html>", "no index"),
        ("index.json", b"[1]", "no index"),
    ],
)
def test_damaged_models_are_errors(file, body, told, browser, start):
    """Among them the pages that some servers give in place of what is not there. They are not kept."""
    data, context = _text((GOLDEN / "photo-static.odp").read_bytes()), browser.new_context()
    context.route(f"**/{file}", lambda route: route.fulfill(body=body))
    page = start(context.new_page())
    found = page.evaluate(FAIL, data)
    context.unroute(f"**/{file}")
    mended = page.evaluate(FAIL, data)
    context.close()
    assert found["name"] == "DamagedError" and told in found["message"] and mended is None


@pytest.fixture(scope="module")
def gpu_browser(browser, launch):
    """Chromium with a graphics processor that is made of software."""
    started = launch(browser.browser_type, "--enable-unsafe-webgpu")
    yield started
    started.close()


@pytest.fixture
def gpu_picture(gpu_browser, start, to_pixels):
    """A function: (pixels of a file, names of what was downloaded), with `webgpu`, and a text in place of its build."""
    contexts = []

    def picture_of(data, webgpu, build=None, **options):
        contexts.append(gpu_browser.new_context())
        if build is not None:
            answer = {"body": build, "content_type": "text/javascript"}
            contexts[-1].route("**/ort.webgpu.bundle.min.mjs", lambda route: route.fulfill(**answer))
        page, asked = contexts[-1].new_page(), []
        contexts[-1].on("request", lambda request: asked.append(request.url.rsplit("/", 1)[-1]))
        start(page).evaluate("(webgpu) => odpiece.configure({webgpu})", webgpu)
        return to_pixels(page.evaluate(DECODE, [_text(data), options])), asked

    yield picture_of
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def small(photo):
    return encode(photo[:64, :64], 64, effort=0, scale=1)


def _assert_near(found, pixels):
    assert np.abs(found[..., :3].astype(int) - pixels).max() <= NEAR


@pytest.mark.parametrize("look", ["faithful", "natural"])
def test_pictures_by_webgpu(look, small, gpu_picture):
    found, asked = gpu_picture(small, True, look=look)
    _assert_near(found, decode(small, look=look))
    assert "ort.webgpu.bundle.min.mjs" in asked and "ort.wasm.bundle.min.mjs" not in asked


@pytest.mark.parametrize("webgpu", [None, False])
def test_graphics_processors_of_software_are_left_alone(webgpu, small, gpu_picture):
    found, asked = gpu_picture(small, webgpu)
    _assert_near(found, decode(small))
    assert "ort.wasm.bundle.min.mjs" in asked and "ort.webgpu.bundle.min.mjs" not in asked


FAKE = """
import * as wasm from "./ort.wasm.bundle.min.mjs";
export const {env, Tensor} = wasm;
export const InferenceSession = {create: (graph, options) => {
    if (options.executionProviders[0] === "wasm") return wasm.InferenceSession.create(graph, options);
    %s
}};
"""


@pytest.mark.parametrize(
    "build",
    [
        "this is no module",
        FAKE % "throw new Error('no device');",
        FAKE % "return {inputNames: [], run: () => Promise.reject(new Error('the device was lost'))};",
    ],
)
def test_webgpu_that_fails_leaves_the_picture_to_webassembly(build, small, gpu_picture):
    found, asked = gpu_picture(small, True, build)
    _assert_near(found, decode(small))
    assert "ort.webgpu.bundle.min.mjs" in asked and "ort.wasm.bundle.min.mjs" in asked
