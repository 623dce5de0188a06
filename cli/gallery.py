"""The pages and pictures of `odpiece view`, and the server that gives them to the browser of this machine only."""

import json
import os
from functools import lru_cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from threading import Lock
from urllib.parse import parse_qsl, urlsplit

from odpiece.codec.files import read_partial
from odpiece.formats.errors import OdpieceError, OptionError, OutputError
from odpiece.formats.files import ODP_SUFFIXES, read_bytes
from odpiece.formats.images import SUFFIXES, read_image, write_image
from odpiece.formats.scales import shown_scale
from odpiece.models.interface import LOOKS

HOST = "127.0.0.1"
KEPT = 4  # files whose tokens are kept
HTML, JSON, PNG, TEXT = "text/html; charset=utf-8", "application/json", "image/png", "text/plain; charset=utf-8"


class Gallery:
    """What can be asked about the .odp files `names`, with `model` for those whose model is not installed."""

    def __init__(self, names, model, max_pixels):
        self.names, self._model, self._max_pixels = names, model, max_pixels
        self._lock = Lock()  # a picture takes all cores
        self._contents = lru_cache(KEPT)(self._read)

    def answer(self, target):
        """(content type, bytes) of the path and query of a URL. Raises OdpieceError."""
        parts = urlsplit(target)
        answers = {"/": self._page, "/facts": self._facts, "/picture": self._picture, "/original": self._original}
        if parts.path not in answers:
            raise OptionError(f"nothing is at {parts.path}")
        try:
            return answers[parts.path](**dict(parse_qsl(parts.query)))
        except (TypeError, IndexError, ValueError) as error:
            if isinstance(error, OdpieceError):
                raise
            raise OptionError(f"{target} asks for what there is not") from None

    def _read(self, number):
        return read_partial(read_bytes(self.names[number]), model=self._model, max_pixels=self._max_pixels)

    def _page(self):
        page = resources.files(__package__).joinpath("view.html").read_text()
        data = {"names": [os.path.basename(name) for name in self.names], "looks": LOOKS}
        return HTML, page.replace("/*DATA*/null", json.dumps(data).replace("</", "<\\/")).encode()

    def _facts(self, number):
        contents, name = self._contents(int(number)), self.names[int(number)]
        header, size = contents.header, os.path.getsize(name)
        facts = {"width": header.width, "height": header.height, "q": header.quality, "bytes": size}
        facts |= {"bpp": 8 * size / (header.width * header.height), "scale": shown_scale(header.scale)}
        facts |= {"complete": contents.complete, "original": original_of(name) is not None}
        return JSON, json.dumps(facts).encode()

    def _picture(self, number, look, tokens):
        contents = self._contents(int(number))
        with self._lock:
            return PNG, write_image(contents.picture(contents.first(int(tokens)), look))

    def _original(self, number):
        path = original_of(self.names[int(number)])
        if path is None:
            raise OptionError("no original lies beside it")
        return PNG, write_image(read_image(read_bytes(path), path, max_pixels=self._max_pixels).pixels)


def original_of(name):
    """The path of the picture that the .odp file `name` may have been made of, in the same folder; None without one.

    That of photo.png.odp is photo.png, that of photo.odp is photo.png, photo.jpg, ...
    """
    stem = os.path.splitext(name)[0]
    names = [stem + suffix for suffix in ("", *sorted(SUFFIXES - set(ODP_SUFFIXES)))]
    pictures = [path for path in names if os.path.splitext(path)[1].lower() in SUFFIXES]
    return next((path for path in pictures if os.path.isfile(path)), None)


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, gallery, *arguments):
        self._gallery = gallery
        super().__init__(*arguments)

    def do_GET(self):
        """Answer the browser; pages elsewhere, which know other names of this machine, are refused."""
        port = self.server.server_port
        if self.headers["Host"] not in (f"{HOST}:{port}", f"localhost:{port}"):
            return self._send(403, TEXT, b"only this machine may ask")
        try:
            self._send(200, *self._gallery.answer(self.path))
        except OdpieceError as error:
            self._send(404, TEXT, str(error).encode())

    def _send(self, status, kind, data):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Nothing: a browser that asks for another picture drops the one before."""


def server_of(gallery, port=0):
    """The HTTPServer of a Gallery on this machine, at `port` or else a free one. Raises OutputError."""
    try:
        return _Server((HOST, port), partial(_Handler, gallery))
    except OSError as error:
        raise OutputError(f"cannot serve at port {port}: {error.strerror}, give another --port") from None
