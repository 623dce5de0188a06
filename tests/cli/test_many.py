"""verify, info and truncate of one file and of many: what is printed, and what becomes of files that fail."""

import io
import json
import sys
from pathlib import Path

import pytest

from odpiece.cli.main import main
from odpiece.codec import encode, truncate
from odpiece.formats import errors


@pytest.fixture
def folder(tmp_path, monkeypatch, photo):
    """The working directory, with in/a.odp, in/sub/b.odpi, in/sub/cut.odp and in/note.txt."""
    monkeypatch.chdir(tmp_path)
    Path("in/sub").mkdir(parents=True)
    Path("in/a.odp").write_bytes(encode(photo[:40, :50], 20, effort=0))
    Path("in/sub/b.odpi").write_bytes(encode(photo[60:90, :70], 20, effort=0))
    Path("in/sub/cut.odp").write_bytes(encode(photo, 64, effort=0)[:-9])
    Path("in/note.txt").write_text("no picture")
    return tmp_path


def run(capsys, command, code=0):
    """(standard output, standard error) of a command that ends with `code`."""
    if code:
        with pytest.raises(SystemExit) as caught:
            main(command.split())
        assert caught.value.code == code
    else:
        main(command.split())
    return capsys.readouterr()


def test_one_file_is_verified(folder, capsys, monkeypatch):
    assert run(capsys, "verify in/a.odp") == ("in/a.odp: intact\n", "")
    assert json.loads(run(capsys, "verify in/a.odp --json").out) == {"input": "in/a.odp", "intact": True}
    out, err = run(capsys, "verify in/sub/cut.odp", errors.DamagedError.exit_code)
    assert out == "" and "cut or damaged" in err
    run(capsys, "verify in/note.txt", errors.NotOdpError.exit_code)
    run(capsys, "verify in/none.odp", errors.ImageError.exit_code)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("in/a.odp").read_bytes())))
    assert run(capsys, "verify -").out == "-: intact\n"


def test_no_pixels_are_made(folder, capsys, monkeypatch):
    monkeypatch.setattr("odpiece.codec.family.Contents.picture", None)
    monkeypatch.setattr("odpiece.codec.bands.picture.BandsContents.colours", None)
    run(capsys, "verify in/a.odp in/sub/b.odpi")


@pytest.mark.parametrize("at", range(8, 40, 5))
def test_a_changed_byte_is_found(at, folder, capsys):
    data = bytearray(Path("in/a.odp").read_bytes())
    data[at % len(data)] ^= 4
    Path("changed.odp").write_bytes(data)
    with pytest.raises(SystemExit) as caught:
        main(["verify", "changed.odp"])
    assert caught.value.code in (errors.DamagedError.exit_code, errors.ImageError.exit_code)


def test_all_files_of_a_folder_are_verified(folder, capsys):
    out, err = run(capsys, "verify in -r", errors.BatchError.exit_code)
    assert out == "in/a.odp: intact\nin/sub/b.odpi: intact\n"
    assert "failed: in/sub/cut.odp: " in err and "1 of 3 failed" in err
    Path("in/sub/cut.odp").unlink()
    assert run(capsys, "verify in -r").out.count("intact") == 2


def test_failures_are_records_too(folder, capsys):
    out, _ = run(capsys, "verify in/sub/cut.odp in/a.odp in/note.txt --json", errors.BatchError.exit_code)
    cut, intact, other = map(json.loads, out.splitlines())
    assert intact == {"input": "in/a.odp", "intact": True}
    assert (cut["input"], cut["exit_code"]) == ("in/sub/cut.odp", errors.DamagedError.exit_code)
    assert (other["input"], other["exit_code"]) == ("in/note.txt", errors.NotOdpError.exit_code)


@pytest.mark.parametrize("command", ["verify", "info"])
def test_folders_need_to_be_asked_for_and_to_hold_something(command, folder, capsys):
    Path("empty").mkdir()
    assert "give -r" in run(capsys, f"{command} in", errors.ImageError.exit_code).err
    assert "nothing to do" in run(capsys, f"{command} empty -r", errors.ImageError.exit_code).err
    run(capsys, command, errors.OptionError.exit_code)


def test_many_files_are_described(folder, capsys):
    out, _ = run(capsys, "info in -r --json", errors.BatchError.exit_code)
    first, second, failed = map(json.loads, out.splitlines())
    assert [(r["input"], r["width"], r["height"]) for r in (first, second)] == [
        ("in/a.odp", 50, 40),
        ("in/sub/b.odpi", 70, 30),
    ]
    assert failed["input"] == "in/sub/cut.odp" and "error" in failed
    alone = json.loads(run(capsys, "info in/a.odp --json").out)
    assert {"input": "in/a.odp", **alone} == first
    text, one = run(capsys, "info in/a.odp in/sub/b.odpi").out, run(capsys, "info in/a.odp").out
    assert text.startswith(f"input     in/a.odp\n{one}\ninput     in/sub/b.odpi\n")


def test_many_files_are_truncated(folder, capsys):
    _, err = run(capsys, "truncate in -r -q 4 -o out -j 1", errors.BatchError.exit_code)
    assert "in/sub/cut.odp" in err and "1 of 3 failed" in err
    made = {str(path.relative_to("out")): path.read_bytes() for path in Path("out").rglob("*.odp")}
    sources = {"a.odp": "in/a.odp", "sub/b.odp": "in/sub/b.odpi"}
    assert made == {name: truncate(Path(source).read_bytes(), 4) for name, source in sources.items()}
    run(capsys, "truncate in/a.odp in/sub/b.odpi -q 4 -o out", errors.OutputExistsError.exit_code)
    out, _ = run(capsys, "truncate in/a.odp in/sub/b.odpi -q 4 -o out --skip-existing --json -j 1")
    skipped, done = map(json.loads, out.splitlines())
    assert skipped["skipped"] and (done["output"], done["width"], done["q"]) == ("out/b.odp", 70, 20)


def test_one_file_is_truncated_as_ever(folder, capsys):
    run(capsys, "truncate in/a.odp -q 4 -o small.odp")
    assert Path("small.odp").read_bytes() == truncate(Path("in/a.odp").read_bytes(), 4)
    run(capsys, "truncate in/a.odp -q 4 -o small.odp", errors.OutputExistsError.exit_code)
    run(capsys, "truncate -q 4 -o small.odp", errors.OptionError.exit_code)
