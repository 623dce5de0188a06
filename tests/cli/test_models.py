"""odpiece models, and --model of the other commands."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.formats import errors
from odpiece.models.library import load_model


@pytest.fixture
def folder(tmp_path, monkeypatch, photo):
    """The working directory, with photo.png; the user has no models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ODPIECE_MODELS", str(tmp_path / "models"))
    Image.fromarray(photo).save("photo.png")
    return tmp_path


@pytest.fixture
def checkpoint(folder):
    """pytorch_model.bin of an untrained network of the size "tiny"."""
    torch = pytest.importorskip("torch")
    from odpiece.models.nets.one_d_piece.architecture import PRESETS
    from odpiece.models.nets.one_d_piece.network import OneDPiece

    torch.manual_seed(0)
    torch.save(OneDPiece(PRESETS["tiny"]).state_dict(), "pytorch_model.bin")
    return folder / "pytorch_model.bin"


def fails(error, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == error.exit_code


def printed(capsys, arguments):
    capsys.readouterr()
    main(arguments.split())
    return capsys.readouterr().out


def test_the_life_of_a_model(checkpoint, capsys):
    main("models import-one-d-piece pytorch_model.bin --size tiny -o mine".split())
    facts = json.loads(printed(capsys, "models info mine --json"))
    assert facts["family"] == "one-d-piece" and facts["trained_tokens"] == 255 and facts["tables"] == []
    assert facts["sha256"][:8] in printed(capsys, "models list")
    assert printed(capsys, "models verify") == "bands-2: intact\nmine: intact\n"
    main("encode photo.png --model mine -q 12 -o a.odp".split())
    main(f"encode photo.png --model {checkpoint.parent}/models/mine -q 12 -o b.odp".split())
    assert (checkpoint.parent / "a.odp").read_bytes() == (checkpoint.parent / "b.odp").read_bytes()
    main("decode a.odp -o a.png --progressive steps".split())
    with Image.open("a.png") as a, Image.open("steps/04-tokens-16.png") as last:
        assert a.size == (256, 192) and (np.asarray(a) == np.asarray(last)).all()
    fails(errors.OutputExistsError, "models import-one-d-piece pytorch_model.bin --size tiny -o mine")
    main("models remove mine".split())
    fails(errors.UnknownModelError, "decode a.odp -o b.png")
    fails(errors.OptionError, "models remove mine")


def test_models_that_are_not_installed_are_given_by_path(tiny_folder, folder, capsys):
    elsewhere = tiny_folder / "tiny"
    main(f"encode photo.png --model {elsewhere} -q 8 --overlap 16".split())
    for command in ("decode photo.odp -o out.png", "info photo.odp", "truncate photo.odp -q 2 -o short.odp"):
        fails(errors.UnknownModelError, command)
        main(f"{command} --model {elsewhere}".split())
    assert json.loads(printed(capsys, f"info short.odp --json --model {elsewhere}"))["tokens"] == 2


def test_the_256th_token_is_warned_of(tiny, folder, monkeypatch, capsys):
    monkeypatch.setenv("ODPIECE_MODELS", str(tiny.path.parent.parent))
    main("encode photo.png --model tiny -q 255".split())
    assert "warning" not in capsys.readouterr().err
    main("encode photo.png --model tiny -q 256 --force".split())
    assert "trained to use 255 tokens" in capsys.readouterr().err


def test_tables_are_trained_and_used(tiny_copy, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.fromarray(photo[:, 40 * i :]).save(f"photos/{i}.png")
    main("train prior --model tiny --data photos".split())
    assert "bits a token instead of 12" in capsys.readouterr().err
    main("encode photos/0.png --model tiny -q 32 -o static.odp".split())
    main("encode photos/0.png --model tiny -q 32 -o raw.odp --coder raw".split())
    assert (tmp_path / "static.odp").stat().st_size < (tmp_path / "raw.odp").stat().st_size
    assert json.loads(printed(capsys, "info static.odp --json"))["coder"] == "static"
    assert len(json.loads(printed(capsys, "models info tiny --json"))["tables"]) == 1
    main("models verify tiny".split())


@pytest.mark.parametrize(
    "arguments",
    [
        "encode photo.png --overlap 16",
        "encode photo.png --model nobody",
        "train prior --data . --minutes 1",
        "train prior --data . --model bands-2",
        "train prior --data . --model bands-2 --minutes 1",
        "models info nobody",
        "models verify nobody",
        "models import-one-d-piece photo.png --size s -o mine",
        "models import-one-d-piece photo.png --size s -o bands-2",
        "models fetch one-d-piece-xl",
        "models fetch one-d-piece-s",
        "models fetch one-d-piece-s --sha256 12",
    ],
)
def test_wrong_options(folder, arguments):
    if "import" in arguments:
        pytest.importorskip("torch")
    fails(errors.OptionError, arguments)
    assert not (folder / "photo.odp").exists()


def test_damage_is_reported_for_each_model(tiny_copy, capsys):
    tiny_copy.path.write_bytes(b"")
    fails(errors.DamagedError, "models verify")
    assert "bands-2: intact" in capsys.readouterr().out
    main(["models", "list"])


@pytest.fixture
def hub(checkpoint, monkeypatch):
    """A hub on loopback that has one file; a list of the paths it is asked for."""
    data, asked = checkpoint.read_bytes(), []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            known = self.path == "/turing-motors/One-D-Piece-S-256/resolve/v1/pytorch_model.bin"
            asked.append(self.path)
            self.send_response(200 if known else 404)
            self.send_header("ETag", '"1"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", str(len(data) if known else 0))
            self.end_headers()
            return known

        def do_GET(self):
            if self.do_HEAD():
                self.wfile.write(data)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
            monkeypatch.setenv(name, "3600")
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield asked
        server.shutdown()
        thread.join()


@pytest.mark.filterwarnings("ignore")  # of the client
def test_weights_are_fetched_and_checked(hub, checkpoint, folder, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from odpiece.models import hub as hub_module
    from odpiece.models.hub import Published

    entry = Published("turing-motors/One-D-Piece-S-256", "tiny")
    monkeypatch.setitem(hub_module.PUBLISHED, "one-d-piece-s", entry)
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    fails(errors.DamagedError, f"models fetch one-d-piece-s --revision v1 --sha256 {'0' * 64}")
    fails(errors.OutputError, f"models fetch one-d-piece-s --revision v2 --sha256 {sha256}")
    assert list((folder / "models").iterdir()) == []
    main(f"models fetch one-d-piece-s --revision v1 --sha256 {sha256.upper()}".split())
    assert load_model("one-d-piece-s").facts["trained_tokens"] == 255
    assert [path.name for path in (folder / "models").iterdir()] == ["one-d-piece-s"]
    count = len(hub)
    fails(errors.OutputExistsError, f"models fetch one-d-piece-s --revision v1 --sha256 {sha256}")
    assert len(hub) == count > 0
