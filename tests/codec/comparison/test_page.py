"""The page in a real browser, without network: Debian's Chromium, driven by Playwright."""

import base64
import io
import json
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from odpiece.codec import decode, encode
from odpiece.codec.comparison import report
from odpiece.codec.comparison.measure import Original, measure
from odpiece.codec.comparison.page import page
from odpiece.codec.comparison.peers import ODPIECE, find_peer, odpiece
from odpiece.codec.comparison.report import Measured
from odpiece.models.interface import LOOKS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LONGEST = 3_600_000  # milliseconds, for machines with much else to do
PHONE = {"width": 360, "height": 740}
NAME = "</script><b>&.png"  # as nasty as a file name can be


@pytest.fixture(scope="module")
def html(photo, tmp_path_factory):
    """The path of a page of one picture, with odpiece at two qualities and WebP."""
    pytest.importorskip("plotly", reason="needs the extra odpiece[compare]")
    codecs = replace(ODPIECE, qualities=(16, 256)), replace(find_peer("webp"), qualities=(0, 20, 60), scales=(2, 4))
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_bytes(page_of(photo, codecs))
    return path


def page_of(photo, codecs):
    codecs, metrics = {codec.name: codec for codec in codecs}, ("psnr",)
    trials = {name: measure(Original(photo), codec, metrics) for name, codec in codecs.items()}
    measured = [Measured(NAME, photo.size // 3, trials)]
    rows, rates = report.rows(measured, metrics), report.bd_rates(measured, metrics)
    return page(measured, codecs, rows, rates, metrics, lambda name: photo, "natural", "ssim")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the extra odpiece[test]")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=LONGEST)
        yield browser
        browser.close()


@contextmanager
def opened(browser, html, name, **options):
    """The page, opened offline; what it logs and whatever else it asks for must stay empty."""
    context = browser.new_context(offline=True, **options)
    context.set_default_timeout(LONGEST)
    tab, complaints = context.new_page(), []
    tab.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
    tab.goto(html.as_uri())
    tab.wait_for_selector("#chart .scatterlayer .trace")
    yield tab
    if folder := os.environ.get("ODPIECE_SCREENSHOTS"):
        tab.screenshot(path=f"{folder}/{name}.png", full_page=True)
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def desktop(browser, html):
    with opened(browser, html, "desktop", color_scheme="light") as tab:
        yield tab


@pytest.fixture(scope="module")
def phone(browser, html):
    with opened(browser, html, "phone", color_scheme="dark", viewport=PHONE, has_touch=True) as tab:
        yield tab


def test_the_page_asks_for_nothing_from_outside(html):
    own = re.sub(r"<script>/\*\*.*?</script>", "", html.read_text(), flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", own)


def test_the_page_knows_the_look(html):
    assert '"look":"natural"' in html.read_text() and 'id="look"' in html.read_text()


def test_how_files_were_encoded_and_decoded_is_named(desktop):
    said = desktop.locator("p").first.inner_text()
    assert "encoded with --tune ssim" in said and "decoded with the natural look." in said


def test_curves_and_tables_are_drawn(desktop):
    assert desktop.locator("#chart .scatterlayer .trace").count() == 2
    assert desktop.locator("#chart .legendtext").all_text_contents() == ["odpiece", "WebP"]
    assert desktop.locator("#rates tbody tr").count() == 1
    assert desktop.locator("#rows tbody tr.ours").count() == 2
    desktop.select_option("#subject", "1")
    assert desktop.locator("#subject option:checked").inner_text() == NAME
    assert desktop.locator("#chart .scatterlayer .trace").count() == 2


def test_names_are_shown_as_text(desktop):
    assert desktop.locator("section h3").first.inner_text() == NAME
    assert desktop.locator("section b").count() == 0


def test_all_pictures_load(desktop):
    sizes = desktop.evaluate("Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))")
    assert sizes == [256] * 3


def test_the_line_moves_by_keyboard(desktop):
    clip = "getComputedStyle(document.querySelector('.over')).clipPath"
    before = desktop.evaluate(clip)
    line = desktop.get_by_label("Position of the line between both pictures")
    line.focus()
    for _ in range(10):
        line.press("ArrowRight")
    assert (before, desktop.evaluate(clip)) == ("inset(0px 0px 0px 50%)", "inset(0px 0px 0px 60%)")


def test_the_line_moves_by_mouse(desktop):
    line = desktop.get_by_label("Position of the line between both pictures")
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    desktop.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2)
    at = desktop.evaluate("document.querySelector('.pair').style.getPropertyValue('--at')")
    assert 15 <= float(at.rstrip("%")) <= 25


def test_any_codec_can_stand_on_either_side(desktop):
    labels = desktop.get_by_label("Right").locator("option").all_inner_texts()
    assert [label.split(":")[0].split(",")[0] for label in labels] == ["original", "odpiece", "WebP"]
    shown = desktop.locator("img.over")
    before = shown.get_attribute("src")
    desktop.get_by_label("Right").select_option("2")
    assert shown.get_attribute("src") != before and shown.get_attribute("alt").startswith("WebP")
    desktop.get_by_label("At the bytes of").select_option("1")
    assert shown.get_attribute("alt").startswith("WebP")


def test_tokens_arrive_by_keyboard(desktop):
    slider = desktop.get_by_label("Tokens of each piece that have arrived")
    image, seen = desktop.locator("img.single"), set()
    slider.focus()
    for count in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        assert image.get_attribute("alt") == f"odpiece, {count} of 256 tokens a piece"
        seen.add(image.get_attribute("src"))
        slider.press("ArrowRight")
    assert len(seen) == 9


def test_the_page_fits_a_phone(phone):
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert phone.locator("#chart .scatterlayer .trace").count() == 2


def test_sliders_move_by_touch(phone):
    slider = phone.get_by_label("Tokens of each piece that have arrived")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    phone.touchscreen.tap(box["x"] + box["width"] - 12, box["y"] + box["height"] / 2)
    assert phone.locator("img.single").get_attribute("alt") == "odpiece, 256 of 256 tokens a piece"


def brightness(tab):
    """Sums of red, green and blue: of the paper, and of the ink in the chart."""
    paper = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('#chart .xtick text')).fill"
    return [sum(map(int, re.findall(r"\d+", tab.evaluate(colour))[:3])) for colour in (paper, ink)]


def test_light_and_dark(desktop, phone):
    paper, ink = brightness(desktop)
    assert paper > 700 and ink < 150
    paper, ink = brightness(phone)
    assert paper < 150 and ink > 600


def test_the_chart_follows_a_change_to_dark(desktop):
    desktop.emulate_media(color_scheme="dark")
    desktop.wait_for_function(
        "getComputedStyle(document.querySelector('#chart .xtick text')).fill !== 'rgb(28, 28, 30)'"
    )
    assert brightness(desktop)[1] > 600
    desktop.emulate_media(color_scheme="light")


def error(uri, pixels):
    """Mean squared error of an embedded picture."""
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as im:
        return np.square(np.asarray(im, float) - pixels).mean()


@pytest.mark.parametrize("look, other", [LOOKS, LOOKS[::-1]])
def test_the_pictures_have_the_look_that_was_measured(look, other, photo):
    pytest.importorskip("plotly", reason="needs the extra odpiece[compare]")
    html = page_of(photo, [replace(odpiece(look), qualities=(16,))]).decode()
    shown = json.loads(re.search(r"^ *const data = (.*);$", html, re.MULTILINE)[1])["pictures"][0]
    data = encode(photo, 16)
    for uri, n in (shown["sizes"][0]["files"][0]["image"], 16), (shown["tokens"][2]["image"], 4):
        assert error(uri, decode(data, tokens=n, look=look)) < error(uri, decode(data, tokens=n, look=other)) / 2
