"""What the shell is told to offer, by click's protocol of environment variables."""

from pathlib import Path

import pytest

from odpiece.cli.main import main

FILES = ("a.odp", "b.ODPI", "a.png", "b.JPG", "note.txt", ".hidden.png", ".hidden.odp", "sub/c.odp", "sub/c.tif")
FOLDERS = "dir,"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"")
    return tmp_path


@pytest.fixture
def offered(folder, monkeypatch, capsys):
    """A function: what bash is told to offer for the last word of a command line."""

    def ask(line):
        monkeypatch.setenv("_ODPIECE_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        with pytest.raises(SystemExit):
            main([])
        return [line.removeprefix("plain,") for line in capsys.readouterr().out.splitlines()]

    return ask


@pytest.mark.parametrize("command", ["decode", "info", "truncate -q 5"])
def test_odp_files(offered, command):
    assert offered(f"odpiece {command} ") == ["a.odp", "b.ODPI", "sub/"]
    assert offered(f"odpiece {command} a") == ["a.odp"]
    assert offered(f"odpiece {command} ./sub/") == ["./sub/c.odp"]
    assert offered(f"odpiece {command} .h") == [".hidden.odp"]


def test_pictures(offered, folder):
    assert offered("odpiece encode ") == ["a.png", "b.JPG", "sub/"]
    assert offered("odpiece encode a.png sub/") == ["sub/c.tif"]
    assert offered(f"odpiece encode {folder}/b") == [f"{folder}/b.JPG"]


def test_the_shell_completes_folders_where_no_file_fits(offered):
    for start in ("s", "note", "missing/"):
        assert offered(f"odpiece encode {start}") == [f"{FOLDERS}{start}"]


def test_the_shell_completes_what_needs_quotes(offered):
    Path("my photo.png").write_bytes(b"")
    assert offered("odpiece encode ") == ["file,"]
    assert offered("odpiece encode a") == ["a.png"]
    assert offered("odpiece encode ~/") == ["file,~/"]


def test_outputs_may_have_any_name(offered):
    assert offered("odpiece encode a.png -o n") == ["file,n"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(folder, capsys, monkeypatch, shell):
    monkeypatch.setenv("_ODPIECE_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "odpiece enc" if shell != "fish" else "odpiece encode ")
    monkeypatch.setenv("COMP_CWORD", "1" if shell != "fish" else "")
    with pytest.raises(SystemExit):
        main([])
    assert ("encode" if shell != "fish" else "a.png") in capsys.readouterr().out
