"""The package web/ in Node and in a real browser: Debian's Chromium, driven by Playwright."""

import base64
import json
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from odpiece.models.library import load_model

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RUNTIME = ROOT / "web" / "node_modules" / "onnxruntime-web"
LONGEST = 3_600_000  # milliseconds, for machines with much else to do
BLANK = "<!doctype html><title>odpiece</title>"


@pytest.fixture(scope="session")
def in_node(tmp_path_factory):
    """A function: what a script of this folder prints as JSON, given the names of files or anything JSON can hold."""
    if NODE is None:
        pytest.skip("needs Node: apt-get install nodejs")

    def run(script, *arguments):
        folder, paths = tmp_path_factory.mktemp("node"), []
        for i, argument in enumerate(arguments):
            paths.append(argument if isinstance(argument, Path) else folder / f"{i}.json")
            if paths[-1] is not argument:
                paths[-1].write_text(json.dumps(argument))
        command = [NODE, Path(__file__).with_name(script), *paths]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return run


@pytest.fixture(scope="session")
def weights():
    """The path of the default model's weights file."""
    return Path(load_model().path)


class _Quiet(SimpleHTTPRequestHandler):
    """Serves the repository, with the models where scripts/web puts them, and an empty page."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def do_GET(self):
        if self.path != "/blank":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(BLANK.encode())

    def translate_path(self, path):
        return super().translate_path(path.replace("/web/models/", "/models/weights/"))

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def site():
    """The URL of the repository, served on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=ROOT)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def launch():
    """A function: Chromium with more arguments, of Playwright's type of browser."""

    def start(kind, *arguments):
        return kind.launch(executable_path=CHROMIUM, args=["--no-sandbox", *arguments], timeout=LONGEST)

    return start


@pytest.fixture(scope="session")
def browser(launch):
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra odpiece[test]")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    if not RUNTIME.is_dir():
        pytest.skip("needs onnxruntime-web: scripts/web")
    with sync_api.sync_playwright() as driver:
        browser = launch(driver.chromium)
        yield browser
        browser.close()


START = """async () => {
    const odpiece = globalThis.odpiece = await import("/web/index.js");
    odpiece.configure({
        models: "/models/weights/", runtime: "/web/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
    });
    globalThis.bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    globalThis.textOf = async (bytes) => {
        const url = await new Promise((resolve) => {
            const reader = new FileReader();
            reader.onload = () => resolve(reader.result);
            reader.readAsDataURL(new Blob([bytes]));
        });
        return url.slice(url.indexOf(",") + 1);
    };
    globalThis.packed = async ({width, height, data}) => ({width, height, data: await textOf(data)});
}"""


@pytest.fixture(scope="session")
def start(site):
    """A function: go to an empty page and import the package as `odpiece` there."""

    def begin(page):
        page.set_default_timeout(LONGEST)
        page.goto(f"{site}/blank")
        page.evaluate(START)
        return page

    return begin


@pytest.fixture(scope="session")
def page(browser, start):
    """A page that has imported the package; the tests fail for an error that nobody catches."""
    context, errors = browser.new_context(), []
    page = start(context.new_page())
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


@pytest.fixture(scope="session")
def to_pixels():
    """A function: uint8 (H, W, 4) of what the page's function `packed` gave."""

    def pixels_of(packed):
        data = np.frombuffer(base64.b64decode(packed["data"]), np.uint8)
        return data.reshape(packed["height"], packed["width"], 4)

    return pixels_of
