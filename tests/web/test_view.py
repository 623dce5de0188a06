"""`odpiece view`: its server and its page, in a real browser."""

import json
import threading
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.gallery import Gallery, original_of, server_of
from odpiece.cli.main import main
from odpiece.codec import decode
from odpiece.formats.container import MAX_PIXELS

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """photo.odp with photo.png beside it, cut.odp, and broken.odp."""
    folder = tmp_path_factory.mktemp("view")
    data = (GOLDEN / "photo-learned.odp").read_bytes()
    (folder / "photo.odp").write_bytes(data)
    (folder / "photo.png").write_bytes((GOLDEN / "photo-learned.png").read_bytes())
    (folder / "cut.odp").write_bytes(data[:-30])
    (folder / "broken.odp").write_bytes(data[:5])
    return folder


@pytest.fixture(scope="module")
def url(folder):
    names = [str(folder / name) for name in ("photo.odp", "cut.odp", "broken.odp")]
    with server_of(Gallery(names, None, MAX_PIXELS)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def picture(url):
    with urlopen(url) as answer, Image.open(answer) as im:
        assert answer.headers["Content-Type"] == "image/png"
        return np.asarray(im)


def test_pictures_and_originals(url, folder):
    data = (folder / "photo.odp").read_bytes()
    for look, tokens in (("faithful", 4096), ("natural", 16)):
        found = picture(f"{url}/picture?number=0&look={look}&tokens={tokens}")
        assert (found == decode(data, look=look, tokens=tokens)).all()
    with Image.open(folder / "photo.png") as im:
        assert (picture(f"{url}/original?number=0") == np.asarray(im)).all()


def test_facts(url, folder):
    with urlopen(f"{url}/facts?number=0") as answer:
        facts = json.load(answer)
    with urlopen(f"{url}/facts?number=1") as answer:
        cut = json.load(answer)
    assert facts["bytes"] == (folder / "photo.odp").stat().st_size and facts["complete"] and facts["original"]
    assert (facts["height"], facts["width"]) == decode((folder / "photo.odp").read_bytes()).shape[:2]
    assert not cut["complete"] and not cut["original"]


@pytest.mark.parametrize(
    "path",
    [
        "/etc",
        "/facts?number=2",
        "/facts?number=9",
        "/facts",
        "/picture?number=0&look=no&tokens=4",
        "/picture?number=0&look=natural&tokens=x",
        "/original?number=1",
    ],
)
def test_what_there_is_not(url, path):
    with pytest.raises(HTTPError) as found:
        urlopen(url + path)
    assert found.value.code == 404 and b"\n" not in found.value.read()
    found.value.close()


def test_other_machines_and_pages_are_refused(url):
    with pytest.raises(HTTPError) as found:
        urlopen(Request(url, headers={"Host": "evil.example"}))
    assert found.value.code == 403
    found.value.close()


def test_the_server_listens_on_this_machine_only():
    with server_of(Gallery([], None, MAX_PIXELS)) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_originals_are_found(tmp_path):
    for name in ("a.jpg", "b.png", "c.odp.png", "d.txt"):
        (tmp_path / name).touch()
    found = {name: original_of(str(tmp_path / name)) for name in ("a.odp", "a.odpi", "b.png.odp", "c.odp", "d.odp")}
    assert {name: path and Path(path).name for name, path in found.items()} == {
        "a.odp": "a.jpg", "a.odpi": "a.jpg", "b.png.odp": "b.png", "c.odp": None, "d.odp": None,
    }  # fmt: skip


def test_nothing_to_show(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["view", str(tmp_path)])
    assert end.value.code == 3 and capsys.readouterr().err.count("\n") == 1


def test_the_page(browser, url):
    """Both looks beside the original; the slider asks for fewer tokens; a broken file says why."""
    page = browser.new_context().new_page()
    page.set_default_timeout(3_600_000)
    page.goto(url)
    first = page.locator("section").first
    first.locator("img[data-shown$='look=natural&tokens=4096']").wait_for()
    assert first.locator("figcaption").all_text_contents() == ["faithful", "natural", "original"]
    page.locator("#tokens").fill("2")
    first.locator("img[data-shown$='look=faithful&tokens=4']").wait_for()
    assert page.locator("output").text_content() == "at most 4"
    broken = page.locator("section").nth(2)
    broken.scroll_into_view_if_needed()
    broken.locator("p", has_text="ends inside its header").wait_for()
    page.context.close()
