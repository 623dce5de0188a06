"""odpiece compare as a user runs it."""

import csv
import json
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec.comparison import peers, subjects
from odpiece.codec.comparison.peers import Codec, _version_of, find_peer
from odpiece.codec.comparison.subjects import Finding, Subject
from odpiece.formats import errors

compare = import_module("odpiece.cli.compare")
QUICK = ["--codecs", "jpeg,webp", "--metrics", "psnr", "-q", "4,64,1024", "--downscale", "2,4", "-j", "1"]
FEW = ["--codecs", "webp", "--metrics", "psnr", "-q", "4,256", "--downscale", "4", "-j", "1"]


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
    said = [line for line in err.splitlines() if not line.startswith("compare: ")]  # how far it is, on a slow machine
    assert said == ["warning: skipped: c.png is not a picture, give a PNG, JPEG, WebP, TIFF or the like"]
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
        (errors.OptionError, ["--tasks", "objects"]),
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


def test_another_package_that_is_imported_as_blurhash(folder, capsys, monkeypatch):
    """PyPI's `blurhash`, which has an `encode` of other arguments."""
    pytest.importorskip("blurhash")
    monkeypatch.setitem(sys.modules, "blurhash", SimpleNamespace(encode=lambda image, components_x=4: "x" * len(image)))
    run("pictures/a.png", "--codecs", "jpeg,blurhash", "--metrics", "psnr", "-q", "4", "--downscale", "4", "-j", "1")
    out, err = capsys.readouterr()
    assert err.startswith("warning: BlurHash is left out: a.png: another package is imported as blurhash")
    assert "odpiece" in out and "blurhash" not in out


def test_a_missing_package_is_said_before_the_work(folder, capsys, monkeypatch):
    monkeypatch.setattr(compare, "_measure", None)
    missing = replace(find_peer("jpeg"), version=partial(_version_of, "no-such-distribution", "JPEG"))
    monkeypatch.setattr(peers, "PEERS", (missing,))
    with pytest.raises(SystemExit) as caught:
        run("pictures/a.png", "--codecs", "jpeg", "-q", "1")
    assert caught.value.code == errors.MissingExtraError.exit_code


@pytest.mark.parametrize("quiet", [False, True])
def test_a_line_early_and_one_a_minute_without_a_terminal(folder, capsys, monkeypatch, quiet):
    """The clock goes on by 25 s at each of the three pictures by two codecs."""
    monkeypatch.setattr(compare, "time", SimpleNamespace(monotonic=count(0, 25).__next__))
    run("pictures", "--codecs", "webp", *QUICK[2:], *["--quiet"] * quiet)
    lines = [line for line in capsys.readouterr().err.splitlines() if "compare:" in line]
    first, last = "compare: 1 of 6 done in 0 min, about 2 min to go", "compare: 4 of 6 done in 2 min, about 1 min to go"
    assert lines == ([] if quiet else [first, last])


@pytest.fixture
def dots(monkeypatch):
    """A task that sees twelve dots in every picture, and half of them in what was decoded: the calls of it."""
    looked = []

    def observer(original):
        return lambda decoded: [looked.append(1) or Finding(20, 12, 12, 6)]

    subject = Subject("dots", "dots seen", observer, "numpy", ("numpy",), (16,), 10)
    monkeypatch.setattr(subjects, "SUBJECTS", {"dots": subject})
    return looked


def test_tasks_have_a_table_with_both_looks_and_are_kept(folder, capsys, dots, monkeypatch):
    run("pictures/a.png", *FEW, "--tasks")
    first = capsys.readouterr().out
    table = first.split("\n\n")[-1].splitlines()
    assert table[0].split() == ["dots", "seen", "bpp", "odpiece", "faithful", "odpiece", "natural", "WebP"]
    assert [line.split("  ")[0] for line in table[1:]] == ["from 16 px, -q 4", "from 16 px, -q 256"]
    assert [line.count("50 % (12)") for line in table[1:]] == [2, 3]  # no WebP is as small as the first
    assert len(dots) == 5
    monkeypatch.setattr(Codec, "encode", None)
    run("pictures/a.png", *FEW, "--tasks", "dots,dots")
    assert capsys.readouterr().out == first and len(dots) == 5


@pytest.mark.parametrize("tasks", [["--tasks"], ["--tasks", "all"], ["--tasks", "dots"]], ids=" ".join)
def test_tasks_without_their_packages_are_refused_before_the_work(folder, capsys, dots, monkeypatch, tasks):
    monkeypatch.setattr(compare, "_measure", None)
    missing = replace(subjects.SUBJECTS["dots"], packages=("no_such_package",))
    monkeypatch.setitem(subjects.SUBJECTS, "dots", missing)
    with pytest.raises(SystemExit) as caught:
        run("pictures/a.png", *QUICK, *tasks)
    assert caught.value.code == errors.MissingExtraError.exit_code
    assert "dots seen needs more packages: pip install 'odpiece[tasks]'" in capsys.readouterr().err


def test_tasks_that_are_not_installed_are_named(folder, capsys, dots, monkeypatch):
    other = replace(subjects.SUBJECTS["dots"], name="lines", title="lines seen", packages=("no_such_package",))
    monkeypatch.setitem(subjects.SUBJECTS, "lines", other)
    monkeypatch.setattr(compare, "_measure", lambda *arguments: sys.exit(0))
    with pytest.raises(SystemExit):
        run("pictures/a.png", *QUICK, "--tasks")
    assert capsys.readouterr().err == "warning: without lines seen: pip install 'odpiece[tasks]' adds them\n"


def test_without_a_place_for_results(folder, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    run("pictures/a.png", *QUICK)
    out, err = capsys.readouterr()
    assert "odpiece" in out and err.startswith("warning: results are not kept for a second run: cannot make the folder")


def test_whoever_does_not_read_the_tables_loses_no_files(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as caught:
        run("pictures/a.png", *QUICK, "--json", "curves.json", "--csv", "files.csv")
    assert caught.value.code == errors.OutputError.exit_code
    assert (folder / "curves.json").is_file() and (folder / "files.csv").is_file()


def test_a_folder_that_cannot_be_read(folder, capsys, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SystemExit) as caught:
        run("pictures", *QUICK)
    assert caught.value.code == errors.ImageError.exit_code
    assert capsys.readouterr().err == "odpiece: cannot read the folder pictures: Permission denied\n"


@pytest.mark.parametrize("numbers", ["1,x", "0", "4097", ""])
def test_lists_are_checked(folder, numbers):
    with pytest.raises(SystemExit) as caught:
        run("pictures/a.png", "-q", numbers)
    assert caught.value.code == errors.OptionError.exit_code
