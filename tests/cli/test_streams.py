"""Truncated, cut and progressive files, and the coders, on the command line."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import termios

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec.files import decode, encode, read
from odpiece.formats import errors


@pytest.fixture
def folder(tmp_path, monkeypatch, photo):
    """The working directory, with photo.png and photo.odp, which is encoded at q = 200."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("photo.png")
    (tmp_path / "photo.odp").write_bytes(encode(photo, 200))
    return tmp_path


def exit_code(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code


@pytest.mark.parametrize("coder", ["learned", "static", "raw"])
def test_the_coder_is_chosen_and_named(folder, capsys, photo, coder):
    main(["encode", "photo.png", "-q", "30", "--coder", coder, "-o", f"{coder}.odp"])
    main(["info", f"{coder}.odp", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["coder"] == coder
    assert decode((folder / f"{coder}.odp").read_bytes()).shape == photo.shape


def test_an_unknown_coder_is_a_usage_error(folder):
    assert exit_code("encode", "photo.png", "--coder", "zip") == 2


def test_truncate(folder, capsys):
    main(["truncate", "photo.odp", "-q", "20", "-o", "short.odp"])
    assert "short.odp" in capsys.readouterr().err
    whole, short = read((folder / "photo.odp").read_bytes()), read((folder / "short.odp").read_bytes())
    assert short.tokens.to_bytes() == whole.tokens.first(20).to_bytes()
    main(["info", "short.odp", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert (facts["q"], facts["limit"]) == (200, 20)


def test_truncate_does_not_replace(folder, capsys):
    before = (folder / "photo.odp").read_bytes()
    assert exit_code("truncate", "photo.odp", "-q", "20", "-o", "photo.odp") == errors.OutputExistsError.exit_code
    assert (folder / "photo.odp").read_bytes() == before
    main(["truncate", "photo.odp", "-q", "20", "-o", "photo.odp", "--force"])
    assert (folder / "photo.odp").read_bytes() != before


def test_a_cut_file_needs_permission(folder, capsys):
    data = (folder / "photo.odp").read_bytes()
    (folder / "cut.odp").write_bytes(data[: len(data) // 2])
    assert exit_code("decode", "cut.odp") == errors.DamagedError.exit_code
    assert not (folder / "cut.odp.png").exists()
    capsys.readouterr()
    main(["decode", "cut.odp", "--allow-partial"])
    message = capsys.readouterr().err
    assert "tokens could be decoded" in message and "cut.odp" in message
    with Image.open("cut.odp.png") as picture:
        assert picture.size == (256, 192)


def test_a_whole_file_needs_no_warning(folder, capsys):
    main(["decode", "photo.odp", "--allow-partial", "-o", "out.png"])
    assert "could be decoded" not in capsys.readouterr().err


def test_a_cut_header_is_an_error_even_so(folder):
    (folder / "cut.odp").write_bytes((folder / "photo.odp").read_bytes()[:9])
    assert exit_code("decode", "cut.odp", "--allow-partial") == errors.DamagedError.exit_code


def test_progressive_pictures_approach_the_last(folder, photo):
    main(["decode", "photo.odp", "-o", "out.png", "--progressive", "steps"])
    names = sorted(p.name for p in (folder / "steps").iterdir())
    assert len(names) == len(read((folder / "photo.odp").read_bytes()).groups)
    assert names[0] == "00-lengths.png" and names[1] == "01-64.0.png"
    final = np.asarray(Image.open("out.png")).astype(float)
    errors_by_step = [np.mean((np.asarray(Image.open(folder / "steps" / name)) - final) ** 2) for name in names]
    assert errors_by_step[-1] == 0
    assert errors_by_step[0] > errors_by_step[len(names) // 2] > 0


def test_progressive_keeps_existing_pictures(folder):
    (folder / "steps").mkdir()
    (folder / "steps" / "01-64.0.png").write_text("mine")
    code = exit_code("decode", "photo.odp", "-o", "out.png", "--progressive", "steps")
    assert code == errors.OutputExistsError.exit_code
    assert (folder / "steps" / "01-64.0.png").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments, stage", [(["encode", "photo.png", "-f"], b"encode"), (["decode", "photo.odp", "-f"], b"picture")]
)
def test_a_terminal_sees_the_stages(folder, arguments, stage):
    """On a pseudo-terminal the stages are shown; through a pipe (all other tests) they are not."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    program = "from odpiece.cli.main import main; main()"
    with subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=theirs, stdout=theirs) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # raised at the end of a pseudo-terminal
            while chunk := os.read(ours, 1024):
                seen += chunk
    os.close(ours)
    assert process.returncode == 0
    assert stage in seen and b"|" in seen


def encoded_with(folder, *arguments):
    main(["encode", "photo.png", "-o", "target.odp", "-f", *arguments])
    return (folder / "target.odp").read_bytes()


def test_targets(folder, photo):
    assert len(encoded_with(folder, "--size", "300")) <= 300
    assert 8 * len(encoded_with(folder, "--bpp", "0.05")) <= 0.05 * photo.shape[0] * photo.shape[1]
    error = decode(encoded_with(folder, "--psnr", "21")).astype(float) - photo
    assert 10 * np.log10(255**2 / np.mean(error**2)) >= 21


def test_targets_exclude_each_other(folder):
    assert exit_code("encode", "photo.png", "-f", "-q", "5", "--size", "300") == 2


def test_an_impossible_target_names_what_is_possible(folder, capsys):
    assert exit_code("encode", "photo.png", "-f", "--size", "5") == errors.OptionError.exit_code
    smallest = re.search(r"(?m)^odpiece: photo.png: .* has (\d+) bytes, ([\d.]+) bits a pixel", capsys.readouterr().err)
    for option, value in zip(("--size", "--bpp"), smallest.groups()):
        assert len(encoded_with(folder, option, value)) <= int(smallest[1])
    (folder / "target.odp").unlink()
    assert exit_code("encode", "photo.png", "-f", "--psnr", "90") == errors.OptionError.exit_code
    best = re.search(r"(?m)^odpiece: photo.png: this picture reaches ([\d.]+) dB at best", capsys.readouterr().err)
    assert not (folder / "target.odp").exists()
    assert encoded_with(folder, "--psnr", best[1])
