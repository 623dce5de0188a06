"""What pages that show .odp files download, and how long headless Chromium takes for FILES.

    python benchmarks/browser.py FILE.odp ...

Prints bytes, as they are and by gzip; seconds to the picture of the first file with nothing loaded, at a first visit
and at a second one, whose weights lie in the browser's cache; and then milliseconds of each file, medians of RUNS, with
a thread for each core. Everything comes from this machine, so no download takes time. Needs odpiece[test], Chromium and
scripts/web.
"""

import argparse
import base64
import gzip
import os
import shutil
import statistics
import tempfile
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright

from odpiece.cli.main import main as odpiece
from odpiece.formats.container import unpack

ROOT = Path(__file__).resolve().parent.parent
RUNS, LONG = 7, 1500  # runs of a file, and milliseconds from which it has one alone
RUNTIME = "node_modules/onnxruntime-web/dist"
DOWNLOADS = {
    "the package": ("index.js", "stream.js", "worker.js", "codec/*.js"),
    "a preview of the model": ("models/*.preview",),
    "onnxruntime-web, its module": (f"{RUNTIME}/ort.wasm.bundle.min.mjs",),
    "onnxruntime-web, WebAssembly": (f"{RUNTIME}/ort-wasm-simd-threaded.wasm",),
    "weights": ("models/*.safetensors",),
    "the graph of a look": ("models/*.faithful.onnx",),
}
START = """async () => {
    const odpiece = await import("/index.js");
    odpiece.configure({models: "/models/", runtime: "/node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs"});
    const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    globalThis.timed = async (text, preview) => {
        const [bytes, started, told] = [bytesOf(text), performance.now(), {}];
        const onProgress = ({stage}) => (told[stage] = performance.now() - started);
        await odpiece.decode(bytes, {preview, onProgress});
        return {all: performance.now() - started, tokens: told.tokens};
    };
}"""


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, isolated so that WebAssembly may use all cores."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript", ".wasm": "application/wasm"}

    def end_headers(self):
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *arguments):
        pass


@contextmanager
def site(folder):
    """The URL of a folder with the package, onnxruntime-web, the models and a preview of the default one."""
    for path in (ROOT / "web").iterdir():
        if path.name != "models":
            (folder / path.name).symlink_to(path)
    (folder / "page.html").write_text("<!doctype html><title>odpiece</title>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/page.html"
        server.shutdown()


def add_models(folder):
    """Fill folder/models."""
    shutil.copytree(ROOT / "models" / "weights", folder / "models")
    odpiece(["models", "preview", "-o", str(folder / "models")])


def print_downloads(folder):
    print("| | bytes | by gzip |\n|---|---|---|")
    for name, patterns in DOWNLOADS.items():
        data = [path.read_bytes() for pattern in patterns for path in sorted(folder.glob(pattern))]
        print(f"| {name} | {sum(map(len, data)):,} | {sum(len(gzip.compress(d)) for d in data):,} |")


def started(context, url):
    page = context.new_page()
    page.set_default_timeout(0)
    page.goto(url)
    page.evaluate(START)
    return page


def time_of(page, text, preview):
    """{"all": milliseconds, "tokens": of which until the tokens are there} of a file in base64."""
    script = "([text, preview]) => timed(text, preview)"
    return page.evaluate(script, [text, preview])


def median_time(page, text, preview):
    """The like, with everything loaded."""
    first = time_of(page, text, preview)
    runs = [time_of(page, text, preview) for _ in range(1 if first["all"] > LONG else RUNS)]
    return {key: statistics.median(run[key] for run in runs) for key in first}


def print_times(browser, url, files):
    texts = {path: base64.b64encode(path.read_bytes()).decode() for path in files}
    context, first = browser.new_context(), next(iter(texts.values()))
    for visit in ("first", "second"):
        print(f"{visit} visit: {time_of(started(context, url), first, False)['all'] / 1000:.2f} s to the first picture")
    page = started(context, url)
    print("\n| file | bytes | q | ms | of which tokens | by the preview, ms |\n|---|---|---|---|---|---|")
    for path, text in texts.items():
        header, made = unpack(path.read_bytes())[0], median_time(page, text, False)
        preview = f"{median_time(page, text, True)['all']:.1f}" if header.limit <= 64 else ""
        size = f"{header.width}x{header.height}"
        cells = (size, path.stat().st_size, header.quality, f"{made['all']:.0f}", f"{made['tokens']:.0f}", preview)
        print("|", " | ".join(map(str, cells)), "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.odp")
    files = parser.parse_args().files
    with tempfile.TemporaryDirectory() as name, site(Path(name)) as url, sync_playwright() as driver:
        add_models(Path(name))
        print_downloads(Path(name))
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        with driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser:
            print(f"\nChromium {browser.version}, {os.cpu_count()} cores\n")
            print_times(browser, url, files)


if __name__ == "__main__":
    main()
