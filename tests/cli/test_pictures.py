"""Reading and writing pictures of every kind by the commands."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec import encode
from odpiece.formats import errors
from odpiece.formats.images import read_image

Y, X = np.mgrid[0:70, 0:90]
PIXELS = np.stack([X * 2, 220 - Y * 2, X + Y], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def odp():
    """The bytes of an .odp file of 90x70 pixels, with EXIF that is too long for JPEG, and XMP."""
    tags = Image.Exif()
    tags[0x10E] = "d" * 100_000
    return encode(PIXELS, q=8, effort=0, metadata={"exif": tags.tobytes(), "xmp": b"<x/>"})


@pytest.fixture
def folder(tmp_path, monkeypatch, odp):
    (tmp_path / "good.odp").write_bytes(odp)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """A function: runs a command, which ends as `error` does, None for well, and gives what it prints: out, err."""

    def call(*arguments, error=None):
        code = 0
        try:
            main(list(map(str, arguments)))
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        assert code == (error.exit_code if error else 0), err
        return out + err

    return call


KINDS = {"tif": "TIFF", "avif": "AVIF", "ppm": "PPM", "bmp": "BMP", "JP2": "JPEG2000"}


@pytest.mark.parametrize("suffix, form", KINDS.items())
def test_decode_writes_what_pillow_writes(suffix, form, folder, run):
    run("decode", "good.odp", "-o", f"out.{suffix}", "--strip")
    with Image.open(f"out.{suffix}") as im:
        assert (im.format, im.size) == (form, (90, 70))


def test_decode_writes_a_folder_of_any_kind(folder, run):
    run("decode", "good.odp", "--format", "TIF", "-o", "out/", "-j", 1)
    with Image.open("out/good.odp.tif") as im:
        assert im.format == "TIFF"


def test_an_unknown_kind_is_refused(folder, run):
    assert ".tif, .avif or .ppm" in run("decode", "good.odp", "--format", "mov", error=errors.OptionError)


@pytest.mark.parametrize("side, size", [(45, (45, 35)), (90, (90, 70)), (500, (90, 70)), (1, (1, 1))])
@pytest.mark.parametrize("many", [[], ["-j", 1]])
def test_max_side(side, size, many, folder, run):
    run("decode", "good.odp", "-o", "out.png", "--max-side", side, *many)
    with Image.open("out.png") as im:
        assert im.size == size
        small = im.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    run("decode", "good.odp", "-o", "large.png")
    with Image.open("large.png") as im:
        large = im.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    assert max(abs(a - b) for a, b in zip(small, large)) <= 3


def test_the_size_that_is_told_is_that_of_the_file(folder, run):
    assert "out.png: 45x35" in run("decode", "good.odp", "-o", "out.png", "--max-side", 45, "--progressive", "steps")
    steps = [read_image(path.read_bytes()).pixels.shape[:2] for path in (folder / "steps").iterdir()]
    assert steps and set(steps) == {(35, 45)}


def test_metadata_that_does_not_fit_is_left_out_with_a_warning(folder, run):
    warnings = run("decode", "good.odp", "-o", "out.jpg")
    assert "warning: good.odp: the exif does not fit a .jpg file and is left out" in warnings
    kept = read_image((folder / "out.jpg").read_bytes(), keep=("exif", "xmp")).metadata
    assert kept == {"xmp": b"<x/>"}


def test_strip(folder, run):
    assert "warning" not in run("decode", "good.odp", "-o", "out.jpg", "--strip")
    run("decode", "good.odp", "--strip")
    for name in ("out.jpg", "good.odp.png"):
        assert read_image((folder / name).read_bytes(), keep=("exif", "xmp")).metadata == {}


def saved(form, **options):
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("many", [[], ["-j", 1]])
def test_allow_truncated(many, folder, run):
    (folder / "cut.bmp").write_bytes(saved("BMP")[:-9000])
    arguments = ["encode", "cut.bmp", "-q", 4, "-e", 0, *many]
    if not many:
        assert "--allow-truncated" in run(*arguments, error=errors.ImageError)
    assert "rows are missing or wrong" in run(*arguments, "--allow-truncated")
    assert (folder / "cut.odp").is_file()


def test_a_faulty_file_with_all_its_pixels_is_encoded_with_a_warning(folder, run):
    (folder / "short.jpg").write_bytes(saved("JPEG")[:-2])
    assert "its pixels are all there" in run("encode", "short.jpg", "-q", 4, "-e", 0)


def test_a_damaged_png_is_told_from_no_picture(folder, run):
    data = saved("PNG")
    (folder / "a.png").write_bytes(data[:20] + b"x" + data[21:])
    said = run("encode", "a.png", error=errors.ImageError)
    assert said == "odpiece: a.png is a damaged PNG: the checksum of its IHDR chunk does not match\n"


def test_all_kinds_of_pictures_are_found_in_folders(folder, run):
    (folder / "in").mkdir()
    for name, form in (("a.mpo", "MPO"), ("b.apng", "PNG"), ("c.j2c", "JPEG2000"), ("d.jfif", "JPEG")):
        (folder / "in" / name).write_bytes(saved(form))
    lines = run("encode", "in", "-r", "-o", "out", "--dry-run", "--json").splitlines()
    assert [json.loads(line)["input"][3:] for line in lines[:4]] == ["a.mpo", "b.apng", "c.j2c", "d.jfif"]
