"""odpiece compare as a user runs it."""

import csv
import json

import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec.comparison.peers import Codec
from odpiece.formats import errors

QUICK = ["--codecs", "jpeg,webp", "--metrics", "psnr", "-q", "4,64,1024", "--downscale", "2,4", "-j", "1"]


@pytest.fixture
def folder(tmp_path, monkeypatch, photo):
    """The working directory, with two pictures, one bad file and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(photo).save(pictures / "a.png")
    Image.fromarray(photo[:, ::-1]).save(pictures / "b.png")
    (pictures / "c.png").write_bytes(b"no picture")
    return tmp_path


def run(*arguments):
    main(["compare", *map(str, arguments)])


def test_a_folder_gives_tables_json_and_csv(folder, capsys):
    run("pictures", *QUICK, "--json", "curves.json", "--csv", "files.csv")
    out, err = capsys.readouterr()
    assert err == "warning: skipped: c.png is not a picture, give a PNG, JPEG, WebP, TIFF or the like\n"
    assert [line.split()[0] for line in out.splitlines() if line][-2:] == ["JPEG", "WebP"]
    curves = {curve["name"]: curve["results"] for curve in json.loads((folder / "curves.json").read_text())}
    assert list(curves) == ["odpiece", "webp"]  # no JPEG is as small as these files
    assert len(curves["odpiece"]["bpp"]) == 3
    with open(folder / "files.csv", newline="") as f:
        lines = list(csv.DictReader(f))
    assert {line["codec"] for line in lines} == {"odpiece", "jpeg", "webp"}
    assert {line["picture"] for line in lines} == {"pictures/a.png", "pictures/b.png"}
    assert {line["scale"] for line in lines if line["codec"] == "jpeg"} == {"2", "4"}


def test_a_second_run_encodes_nothing(folder, capsys, monkeypatch):
    run("pictures/a.png", *QUICK)
    first = capsys.readouterr().out
    monkeypatch.setattr(Codec, "encode", None)
    run("pictures/a.png", *QUICK)
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    "error, arguments",
    [
        (errors.OptionError, ["--codecs", "bpg"]),
        (errors.OptionError, ["--metrics", "vmaf"]),
        (errors.OutputExistsError, ["--json", "taken"]),
        (errors.OutputExistsError, ["--csv", "taken"]),
        (errors.ImageError, ["--codecs", "jpeg", "--metrics", "psnr", "-q", "1", "-j", "1", "--quiet"]),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else value.__name__,
)
def test_errors_are_one_line_with_an_exit_code(folder, capsys, error, arguments):
    (folder / "taken").write_text("kept")
    with pytest.raises(SystemExit) as caught:
        run("pictures/c.png", *arguments)
    assert caught.value.code == error.exit_code
    assert capsys.readouterr().err.count("\n") == 1
    assert (folder / "taken").read_text() == "kept"


@pytest.mark.parametrize("numbers", ["1,x", "0", "1025", ""])
def test_lists_are_checked(folder, numbers):
    with pytest.raises(SystemExit) as caught:
        run("pictures/a.png", "-q", numbers)
    assert caught.value.code == errors.OptionError.exit_code
