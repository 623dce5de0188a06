"""Encoding and decoding many files as a user runs it: outputs, records, messages, exit codes."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec import decode, encode
from odpiece.codec.batch.work import Encoding
from odpiece.formats import errors


@pytest.fixture
def folder(tmp_path, monkeypatch, photo):
    """The working directory, with in/a.png, in/sub/b.png, in/note.txt and in/deep.png of 16 bits."""
    monkeypatch.chdir(tmp_path)
    Path("in/sub").mkdir(parents=True)
    Image.fromarray(photo[:40, :50]).save("in/a.png")
    Image.fromarray(photo[60:90, :70]).save("in/sub/b.png")
    Image.fromarray(photo[:20, :30, 0].astype(np.uint16) * 257).save("in/deep.png")
    Path("in/note.txt").write_text("no picture")
    return tmp_path


def run(capsys, *arguments, code=0):
    """(standard output, standard error) of a command that ends with `code`."""
    if code:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        assert caught.value.code == code
    else:
        main(list(arguments))
    return capsys.readouterr()


def records(out):
    return {record["input"]: record for record in map(json.loads, out.splitlines())}


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in Path(path).rglob("*") if file.is_file()}


def test_a_folder_and_back(folder, photo, capsys):
    out, err = run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", "-j", "1")
    assert out == ""
    assert tree("out") == {
        "a.odp": encode(photo[:40, :50], 5),
        "sub/b.odp": encode(photo[60:90, :70], 5),
        "deep.odp": encode(photo[:20, :30, 0], 5),
    }
    assert "warning: in/deep.png: more than 8 bits" in err and "3 files done in" in err
    assert err.rstrip().endswith("1 passed over (.txt 1)")
    run(capsys, "decode", "out", "-r", "-o", "back", "-j", "1", "--format", "webp")
    assert sorted(tree("back")) == ["a.odp.webp", "deep.odp.webp", "sub/b.odp.webp"]
    with Image.open("back/sub/b.odp.webp") as im:
        assert (np.asarray(im) == decode(encode(photo[60:90, :70], 5))).all()


def test_without_an_output_folder_results_are_beside_their_inputs(folder, capsys):
    run(capsys, "encode", "in/a.png", "in/sub/b.png", "-q", "5", "-j", "1")
    assert {"a.odp", "sub/b.odp"} < tree("in").keys()


def test_the_way_back_spares_the_originals(folder, capsys):
    """With results beside their inputs, and even with --force."""
    before = tree("in")
    run(capsys, "encode", "in", "-r", "-q", "5", "-j", "1")
    run(capsys, "decode", "in", "-r", "-j", "1", "--force")
    new = {f"{name}.odp{suffix}" for name in ("a", "deep", "sub/b") for suffix in ("", ".png")}
    assert tree("in").keys() == before.keys() | new and before.items() < tree("in").items()


def test_records(folder, capsys):
    Path("in/bad.png").write_bytes(b"nothing")
    out, err = run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", "-j", "1", "--json", "--quiet", code=11)
    found = records(out)
    seconds = [found[name].pop("seconds") for name in found]
    assert all(s > 0 for s in seconds) and len(found) == 4
    size = Path("out/a.odp").stat().st_size
    facts = {
        "output": "out/a.odp",
        "input_bytes": Path("in/a.png").stat().st_size,
        "bytes": size,
        "q": 5,
        "scale": "1",
        "exit_code": 0,
    }
    assert found["in/a.png"] == facts | {"input": "in/a.png", "width": 50, "height": 40, "pixels": 2000}
    assert found["in/bad.png"]["exit_code"] == errors.ImageError.exit_code
    assert (
        err == f"failed: {found['in/bad.png']['error']}\nodpiece: 1 of 4 failed, as listed above; the others are done\n"
    )
    assert len(tree("out")) == 3


def test_skipping_goes_on_after_a_kill(folder, capsys):
    run(capsys, "encode", "in/a.png", "-o", "out/", "-q", "9")
    before = Path("out/a.odp").read_bytes()
    _, err = run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", code=errors.OutputExistsError.exit_code)
    assert "1 of 3 outputs exist, the first is out/a.odp" in err and len(tree("out")) == 1
    out, err = run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", "-j", "1", "--skip-existing", "--json")
    assert records(out)["in/a.png"] == {"input": "in/a.png", "output": "out/a.odp", "skipped": True}
    assert "2 files done" in err and "1 exist already" in err
    assert Path("out/a.odp").read_bytes() == before and len(tree("out")) == 3
    run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", "-j", "1", "--force")
    assert Path("out/a.odp").read_bytes() != before


def test_a_dry_run_writes_nothing(folder, capsys):
    before = tree(".")
    out, err = run(capsys, "encode", "in", "-r", "-o", "out", "--dry-run")
    assert out == "in/a.png -> out/a.odp\nin/deep.png -> out/deep.odp\nin/sub/b.png -> out/sub/b.odp\n"
    assert err == "3 files to do; 1 passed over (.txt 1)\n"
    out, _ = run(capsys, "encode", "in", "-r", "-o", "out", "--dry-run", "--json")
    assert records(out)["in/a.png"] == {"input": "in/a.png", "output": "out/a.odp"}
    assert tree(".") == before and not Path("out").exists()


@pytest.mark.parametrize("between", [b"\n", b"\0"])
def test_names_from_standard_input(folder, capsys, monkeypatch, between):
    data = between.join([b"in/a.png", b"in/sub/b.png", b""])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    run(capsys, "encode", "--files-from", "-", "-o", "out", "-q", "5", "-j", "1")
    assert sorted(tree("out")) == ["in/a.odp", "in/sub/b.odp"]


def test_a_list_of_windows(folder, capsys):
    Path("list.txt").write_bytes("in/a.png\r\nin/sub/b.png\r\n".encode("utf-8-sig"))
    run(capsys, "encode", "--files-from", "list.txt", "-o", "out", "-q", "5", "-j", "1")
    assert sorted(tree("out")) == ["in/a.odp", "in/sub/b.odp"]


def test_two_runs_at_once(folder, capsys, monkeypatch):
    """The other run writes an output after this one has made its plan, and another while this one works on it."""
    real = Encoding.encode

    def late(self, picture):
        packed = real(self, picture)
        Path("out/sub").mkdir(parents=True, exist_ok=True)
        for name in ("a.odp", "sub/b.odp"):
            Path("out", name).write_bytes(b"the other's")
        return packed

    monkeypatch.setattr(Encoding, "encode", late)
    options = ["in", "-r", "-o", "out", "-q", "5", "-j", "1"]
    out, err = run(capsys, "encode", *options, "--skip-existing", "--json")
    skipped = {name: record for name, record in records(out).items() if record.get("skipped")}
    assert skipped.keys() == {"in/a.png", "in/sub/b.png"} and "1 file done" in err and "2 exist already" in err
    assert skipped["in/a.png"] == {"input": "in/a.png", "output": "out/a.odp", "skipped": True}
    assert tree("out")["a.odp"] == tree("out")["sub/b.odp"] == b"the other's"
    for name in tree("out"):
        os.unlink(Path("out", name))
    _, err = run(capsys, "encode", *options, code=11)
    assert "2 of 3 failed" in err and "failed: in/a.png: out/a.odp exists" in err


def test_whole_names_are_kept(folder, capsys, photo):
    Image.fromarray(photo[:20, :20]).save("in/a.jpg")
    _, err = run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", code=errors.OptionError.exit_code)
    assert "would both become out/a.odp" in err and "--keep-names" in err and not Path("out").exists()
    run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", "-j", "1", "--keep-names")
    assert sorted(tree("out")) == ["a.jpg.odp", "a.png.odp", "deep.png.odp", "sub/b.png.odp"]
    run(capsys, "encode", "in/a.png", "--keep-names", "-q", "5")
    run(capsys, "encode", "in/a.jpg", "in/sub/b.png", "--keep-names", "-q", "5")
    assert {"a.png.odp", "a.jpg.odp", "sub/b.png.odp"} < tree("in").keys()
    assert tree("in")["a.png.odp"] == tree("out")["a.png.odp"] == encode(photo[:40, :50], 5)


@pytest.mark.parametrize("many", [[], ["-j", "1"]], ids=["one file", "as many"])
def test_times_are_preserved(folder, capsys, many):
    when = 1_234_567_890_123_456_789
    os.utime("in/a.png", ns=(when, when))
    run(capsys, "encode", "in/a.png", "-o", "a.odp", "-q", "5", "--preserve", *many)
    run(capsys, "decode", "a.odp", "-o", "new.png", "--preserve", *many)
    run(capsys, "decode", "a.odp", "-o", "other.png", *many)
    assert os.stat("a.odp").st_mtime_ns == os.stat("new.png").st_mtime_ns == when
    assert os.stat("other.png").st_mtime_ns != when


def test_urls_have_no_times(folder, capsys):
    command = ["encode", "in/a.png", "-o", "memory://bucket/a.odp", "--preserve"]
    _, err = run(capsys, *command, code=errors.OptionError.exit_code)
    assert err == "odpiece: memory://bucket/a.odp is a URL, which has no times to preserve: leave out --preserve\n"


def test_names_that_are_no_unicode(folder, capsys):
    name = os.fsdecode(b"in/\xff.png")
    os.rename("in/a.png", name)
    out, _ = run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", "-j", "1", "--json")
    assert name in records(out)
    assert Path(os.fsdecode(b"out/\xff.odp")).is_file()


def test_one_file_with_a_record(folder, capsys, photo):
    out, _ = run(capsys, "encode", "in/a.png", "-o", "new.odp", "-q", "5", "--json")
    assert records(out)["in/a.png"]["output"] == "new.odp"
    assert Path("new.odp").read_bytes() == encode(photo[:40, :50], 5)
    run(capsys, "decode", "new.odp", "-o", "new.JPG", "--json")
    with Image.open("new.JPG") as im:
        assert im.format == "JPEG"


@pytest.mark.parametrize("options", ["--json", "-j 2", "--skip-existing", "-o out/"])
def test_one_file_has_its_own_exit_code(folder, capsys, options):
    Path("a").write_bytes(encode(np.zeros((9, 9), np.uint8), 5)[:9])
    for command, name, error in (("decode", "a", errors.DamagedError), ("encode", "in/note.txt", errors.ImageError)):
        out, err = run(capsys, command, name, *options.split(), code=error.exit_code)
        assert err.startswith(f"odpiece: {name}") and err.count("\n") == 1
        assert [r["exit_code"] for r in records(out).values()] == [error.exit_code] * (options == "--json")


def test_the_format_without_a_name(folder, capsys):
    run(capsys, "encode", "in/a.png", "-q", "5")
    run(capsys, "decode", "in/a.odp", "--format", "jpg")
    with Image.open("in/a.odp.jpg") as im:
        assert im.format == "JPEG"
    run(capsys, "decode", "in/a.odp", "--format", "jpg", "-o", "x.png", code=2)


def test_a_cut_file_among_others(folder, capsys, photo):
    Path("odp").mkdir()
    data = encode(photo, 200)
    Path("odp/whole.odp").write_bytes(data)
    Path("odp/cut.odp").write_bytes(data[: len(data) // 2])
    _, err = run(capsys, "decode", "odp", "-r", "-o", "out", "-j", "1", code=11)
    assert (
        "failed: odp/cut.odp: the file is cut or damaged; --allow-partial decodes what is certain of it" in err
        and sorted(tree("out")) == ["whole.odp.png"]
    )
    _, err = run(capsys, "decode", "odp", "-r", "-o", "out", "-j", "1", "--skip-existing", "--allow-partial")
    assert "warning: odp/cut.odp: cut or damaged: " in err and sorted(tree("out")) == ["cut.odp.png", "whole.odp.png"]


def test_an_output_that_cannot_be_written_is_an_error_of_its_file(folder, capsys):
    Path("out").mkdir()
    Path("out/sub").write_text("in the way")
    _, err = run(capsys, "encode", "in", "-r", "-o", "out", "-q", "5", "-j", "1", code=11)
    assert "failed: in/sub/b.png: cannot make the folder out/sub" in err
    assert sorted(tree("out")) == ["a.odp", "deep.odp", "sub"]
    run(capsys, "encode", "in", "-r", "-o", "in/note.txt", "-q", "5", code=errors.OutputError.exit_code)


def test_a_defect_is_an_error_of_its_file(folder, capsys, monkeypatch):
    def fail(pixels, *args, **kwargs):
        if pixels.shape[0] == 40:
            raise ZeroDivisionError("a defect")
        return encode(pixels, 5)

    monkeypatch.setattr("odpiece.codec.batch.work.encode", fail)
    _, err = run(capsys, "encode", "in", "-r", "-o", "out", "-j", "1", code=11)
    assert "failed: in/a.png: unexpected ZeroDivisionError: a defect" in err and len(tree("out")) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        "encode",
        "encode -r",
        "encode in -r --force --skip-existing",
        "encode - in/a.png",
        "encode in/a.png --json -o -",
        "decode in -r --progressive steps",
    ],
)
def test_what_does_not_go_together(folder, capsys, arguments):
    run(capsys, *arguments.split(), code=2)


def test_a_folder_needs_r(folder, capsys):
    for arguments in (["in"], ["in", "in/a.png"]):
        _, err = run(capsys, "encode", *arguments, code=errors.ImageError.exit_code)
        assert err.startswith("odpiece: in is a folder, give -r")


def test_what_all_files_need_is_said_before_the_work(folder, capsys, monkeypatch):
    def missing(self):
        raise errors.MissingExtraError("needs more packages")

    monkeypatch.setattr("odpiece.codec.comparison.metrics.Metric.require", missing)
    _, err = run(capsys, "encode", "in", "-r", "-o", "out", "--ssim", "0.9", code=errors.MissingExtraError.exit_code)
    assert err == "odpiece: needs more packages\n" and not Path("out").exists()
