"""Truncated, cut and progressive files, and the coders, on the command line."""

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec.files import decode, encode, read
from odpiece.formats import errors

DRY_RUN = "encode photo.png -o new.odp --dry-run"


@pytest.fixture(scope="module")
def encoded(photo):
    """The file of the photo at q = 200."""
    return encode(photo, 200)


@pytest.fixture
def folder(tmp_path, monkeypatch, photo, encoded):
    """The working directory, with photo.png and photo.odp, which is encoded at q = 200."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo).save("photo.png")
    (tmp_path / "photo.odp").write_bytes(encoded)
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


def shell(line):
    """(exit code, standard error) of a line of sh in which "$odpiece" is the program."""
    program = f"{shlex.quote(sys.executable)} -c 'from odpiece.cli.main import main; main()'"
    done = subprocess.run(["bash", "-c", line.replace("$odpiece", program)], capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("streams", ["2>&-", "<&- >&- 2>&-", "2>/dev/full", "2> >(:)"])
def test_messages_that_nobody_can_read_are_no_fault(folder, streams):
    """Closed streams leave their numbers free, which the output must not get: libraries print there."""
    assert shell(f"$odpiece encode photo.png -q 9 -v -o new.odp {streams}")[0] == 0
    with Image.open("photo.png") as im:
        assert (folder / "new.odp").read_bytes() == encode(im, 9)


@pytest.mark.parametrize(
    "command, code, output",
    [
        ("encode photo.png photo.png -o many -v", 0, "many/photo.odp"),
        ("decode photo.odp -o new.png", 0, "new.png"),
        ("encode none.png", 3, None),
        ("encode --nonsense", 2, None),
    ],
)
def test_exit_codes_do_not_depend_on_messages(folder, command, code, output):
    assert shell(f"$odpiece {command} 2>&-")[0] == code
    assert output is None or (folder / output).is_file()


@pytest.mark.parametrize("command", ["info photo.odp", DRY_RUN])
def test_a_closed_standard_output_is_one_line(folder, command):
    code, err = shell(f"$odpiece {command} >&-")
    assert (code, err) == (errors.OutputError.exit_code, "odpiece: standard output is closed\n")


@pytest.mark.parametrize("command", ["--help", "--version"])
def test_help_on_a_full_disk(folder, command):
    code, err = shell(f"$odpiece {command} > /dev/full")
    assert (code, err) == (errors.OutputError.exit_code, "odpiece: cannot write: No space left on device\n")


@pytest.mark.parametrize("command", ["info photo.odp", "decode photo.odp -o -"])
def test_a_reader_that_goes_away_ends_quietly(folder, command):
    code, err = shell(f"set -o pipefail; $odpiece {command} | :")
    assert (code, "odpiece:" in err) == (errors.ReaderGoneError.exit_code, False)


@pytest.mark.parametrize("ignored", [False, True])
def test_hanging_up(folder, ignored):
    """Under nohup nothing ends it; else it is told, and leaves nothing."""
    before = "SIG_IGN" if ignored else "SIG_DFL"
    program = f"import os, signal; signal.signal(signal.SIGHUP, signal.{before}); from odpiece.cli.main import main\n"
    program += "os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGHUP)\n"
    program += "main(['encode', 'photo.png', '-f', '-o', 'new.odp', '--quiet'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    expected = (0, "") if ignored else (128 + signal.SIGHUP, "odpiece: ended by SIGHUP\n")
    assert (done.returncode, done.stderr) == expected
    assert len(list(folder.glob(".*.partial"))) == ignored


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


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "x"])
@pytest.mark.parametrize("option", ["--bpp", "--psnr", "--ssim", "--lpips"])
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["one file", "as many"])
def test_targets_are_finite_numbers(folder, capsys, option, value, more):
    assert exit_code("encode", "photo.png", "-f", option, value, *more) == errors.OptionError.exit_code
    assert "Error: Invalid value for" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["tokenizer --val .", "look --checkpoint photo.png", "one-d-piece --preset tiny"])
@pytest.mark.parametrize("minutes", ["nan", "inf", "-inf"])
def test_a_length_of_training_is_a_finite_number(folder, capsys, command, minutes):
    code = exit_code("train", *command.split(), "--data", ".", "--out", "run", "--minutes", minutes)
    assert code == errors.OptionError.exit_code
    assert "--minutes" in capsys.readouterr().err and not (folder / "run").exists()


def test_less_than_a_byte(folder, capsys):
    assert exit_code("encode", "photo.png", "-f", "--bpp", "0.00001") == errors.OptionError.exit_code
    assert "smallest file" in capsys.readouterr().err


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
