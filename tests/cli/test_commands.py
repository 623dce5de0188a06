"""The commands as a user runs them: outputs, messages, errors and exit codes."""

import base64
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec import decode, encode
from odpiece.codec.targets import psnr
from odpiece.formats import errors
from odpiece.formats.container import unpack

KEYS = {
    "width",
    "height",
    "grey",
    "scale",
    "q",
    "limit",
    "tokens",
    "bytes",
    "bpp",
    "raw_bits",
    "model",
    "release",
    "coder",
    "segments",
    "chunks",
    "sha256",
    "bits_per_group",
}
PROGRAM = "from odpiece.cli.main import main; main()"
CODER_OVERHEAD = 4  # bytes that a payload may differ from its ideal code length


@pytest.fixture(scope="module")
def pixels(photo):
    """uint8 (90, 130, 3): two rows of three pieces, with sky, edges and texture."""
    return np.ascontiguousarray(photo[80:170, :130])


@pytest.fixture(scope="module")
def encoded(pixels):
    """The file of the picture at q = 40."""
    return encode(pixels, 40)


@pytest.fixture
def folder(tmp_path, monkeypatch, pixels, encoded):
    """The working directory, with photo.png and good.odp, which is encoded at q = 40."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(pixels).save("photo.png")
    (tmp_path / "good.odp").write_bytes(encoded)
    return tmp_path


@pytest.fixture
def fails(capsys):
    """A function: runs a command that must fail as `error`, and gives the one line it prints."""

    def run(error, *arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert (caught.value.code, out) == (error.exit_code, "")
        assert err.startswith("odpiece: ") and err.endswith("\n") and err.count("\n") == 1
        return err

    return run


def run(*arguments, stdin=b"", stdout=subprocess.PIPE):
    """A real process, with real pipes."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, input=stdin, stdout=stdout, stderr=subprocess.PIPE)


def picture_bytes(im, form="PNG", **options):
    out = io.BytesIO()
    (im if isinstance(im, Image.Image) else Image.fromarray(im)).save(out, form, **options)
    return out.getvalue()


def read_pixels(path):
    with Image.open(path) as im:
        return np.asarray(im.convert("RGB"))


def changed(data, at, xor=0xFF):
    return data[:at] + bytes([data[at] ^ xor]) + data[at + 1 :]


def test_encode_writes_beside_its_input(folder, pixels, capsys):
    main(["encode", "photo.png", "-q", "9"])
    assert (folder / "photo.odp").read_bytes() == encode(pixels, 9)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("photo.odp: 130x90, ") and err.count("\n") == 1


def test_decode_writes_beside_its_input(folder, capsys):
    main(["decode", str(folder / "good.odp")])
    assert np.array_equal(read_pixels("good.odp.png"), decode((folder / "good.odp").read_bytes()))
    assert capsys.readouterr() == ("", f"{folder}/good.odp.png: 130x90\n")


def test_the_way_back_spares_the_original(folder, pixels):
    """The first two commands of the README, and once more around: four files, and none is replaced."""
    for command in (["encode", "photo.png"], ["decode", "photo.odp"], ["encode", "photo.odp.png"]):
        main(command)
    assert np.array_equal(read_pixels("photo.png"), pixels)
    assert (folder / "photo.odp").read_bytes() == encode(pixels, 64)
    assert np.array_equal(read_pixels("photo.odp.png"), decode(encode(pixels, 64)))
    assert decode((folder / "photo.odp.png.odp").read_bytes()).shape == pixels.shape


def test_the_other_suffix(folder, pixels):
    """.odpi, for those who cannot have .odp mean OpenDocument Presentation too."""
    main(["encode", "photo.png", "-o", "other.odpi"])
    assert (folder / "other.odpi").read_bytes() == encode(pixels, 64)
    main(["decode", "other.odpi"])
    assert np.array_equal(read_pixels("other.odpi.png"), decode(encode(pixels, 64)))
    main(["truncate", "other.odpi", "-q", "5", "-o", "short.odpi"])
    main(["info", "short.odpi"])


def test_the_default_quality_is_64(folder, pixels):
    main(["encode", "photo.png", "-o", "other name"])
    assert (folder / "other name").read_bytes() == encode(pixels, 64)


@pytest.mark.parametrize("suffix, form", [(".png", "PNG"), (".JPG", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP")])
def test_decode_by_suffix(suffix, form, folder):
    main(["decode", "good.odp", "-o", f"out{suffix}"])
    with Image.open(f"out{suffix}") as im:
        assert (im.format, im.size) == (form, (130, 90))
    expected = decode((folder / "good.odp").read_bytes())
    error = np.abs(read_pixels(f"out{suffix}").astype(int) - expected)
    assert error.mean() < 3 if form == "JPEG" else error.max() == 0


@pytest.mark.parametrize("tokens", [1, 1024])
def test_decode_the_first_tokens(tokens, folder):
    main(["decode", "good.odp", "--tokens", str(tokens)])
    data = (folder / "good.odp").read_bytes()
    assert np.array_equal(read_pixels("good.odp.png"), decode(data, tokens=tokens))
    assert np.array_equal(read_pixels("good.odp.png"), decode(data)) == (tokens == 1024)


def test_force_replaces_an_output(folder, pixels):
    (folder / "photo.odp").write_bytes(b"old")
    main(["encode", "photo.png", "--force", "-q", "3"])
    assert (folder / "photo.odp").read_bytes() == encode(pixels, 3)


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_quiet_prints_nothing(command, folder, capfd):
    Image.new("RGBA", (5, 5)).save("clear.png")
    source, out = ("clear.png", "out.odp") if command == "encode" else ("good.odp", "out.png")
    main([command, source, "--quiet", "-v", "-o", out])
    assert capfd.readouterr() == ("", "")
    assert (folder / out).stat().st_size > 0


@pytest.mark.parametrize(
    "command, name, result", [("encode", "photo.png", "out.odp"), ("decode", "good.odp", "out.png")]
)
def test_verbose_prints_details(command, name, result, folder, capsys):
    main([command, name, "-v", "-o", result])
    out, err = capsys.readouterr()
    *details, last = err.splitlines()
    assert out == ""
    assert len(details) >= 2 and all(line.startswith("[") and " s] " in line for line in details)
    assert last.startswith(f"{result}: 130x90")


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_verbose_prints_the_psnr_reached(mode, folder, pixels, capsys):
    im = Image.fromarray(pixels).convert(mode)
    im.save("in.png")
    main(["encode", "in.png", "-v"])
    colours = "RGB" if mode == "RGBA" else mode
    back = Image.fromarray(decode((folder / "in.odp").read_bytes())).convert(colours)
    reached = psnr(np.asarray(im.convert(colours)), np.asarray(back))
    assert f"PSNR {reached:.2f} dB" in capsys.readouterr().err


def test_pipes_from_picture_to_picture(folder, pixels):
    encoded = run("encode", "-", "-q", "12", stdin=(folder / "photo.png").read_bytes())
    assert (encoded.returncode, encoded.stdout) == (0, encode(pixels, 12))
    decoded = run("decode", "-", stdin=encoded.stdout)
    assert decoded.returncode == 0
    assert np.array_equal(read_pixels(io.BytesIO(decoded.stdout)), decode(encoded.stdout))
    facts = run("info", "-", "--json", stdin=encoded.stdout)
    assert json.loads(facts.stdout)["q"] == 12
    assert sorted(path.name for path in folder.iterdir()) == ["good.odp", "photo.png"]


def test_scales_of_one_file_and_of_many(folder, pixels, capsys):
    main(["encode", "photo.png", "-q", "12", "--scale", "1/2", "-e", "0", "-o", "half.odp"])
    data = (folder / "half.odp").read_bytes()
    assert (
        data == encode(pixels, 12, scale="1/2", effort=0) and "130x90 at scale 1/2, -q 12," in capsys.readouterr().err
    )
    main(["info", "half.odp", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert [facts[name] for name in ("width", "height", "scale", "q", "limit")] == [130, 90, "1/2", 12, 12]
    main(["encode", "photo.png", "-q", "12", "--scale", "1/4", "-e", "0", "-o", "many/", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert (record["scale"], record["q"], record["width"]) == ("1/4", 12, 130)
    main(["decode", "half.odp", "-o", "half.png"])
    assert np.array_equal(read_pixels(folder / "half.png"), decode(data))


def test_files_to_standard_output(folder, pixels):
    encoded = run("encode", "photo.png", "-o", "-", "--quiet")
    assert (encoded.returncode, encoded.stdout, encoded.stderr) == (0, encode(pixels, 64), b"")


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "photo.png", "-o", "-"],
        ["decode", "good.odp", "-o", "-"],
        ["info", "good.odp"],
        ["info", "good.odp", "--json"],
    ],
    ids=" ".join,
)
def test_a_full_standard_output(arguments, folder):
    with open("/dev/full", "wb") as full:
        done = run(*arguments, stdout=full)
    assert done.returncode == errors.OutputError.exit_code
    assert done.stderr.startswith(b"odpiece: ") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", ["encode", "decode", "info"])
def test_errors_of_a_real_process(command, folder):
    done = run(command, "-", stdin=b"neither a picture nor an .odp file")
    error = errors.ImageError if command == "encode" else errors.NotOdpError
    assert (done.returncode, done.stdout) == (error.exit_code, b"")
    assert done.stderr.startswith(b"odpiece: ") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("q", [1, 40, 1024])
def test_info_json(q, folder, pixels, capsys):
    data = encode(pixels, q)
    (folder / "photo.odp").write_bytes(data)
    main(["info", "photo.odp", "--json"])
    out, err = capsys.readouterr()
    facts = json.loads(out)
    header, _, (segment,) = unpack(data)
    assert err == "" and facts.keys() == KEYS
    assert (facts["width"], facts["height"], facts["q"], facts["bytes"]) == (130, 90, q, len(data))
    assert facts["coder"] == header.coder.name.lower() and facts["model"].endswith(header.model.hex())
    assert facts["bpp"] == pytest.approx(8 * len(data) / (130 * 90), abs=1e-5)
    assert 0 <= facts["tokens"] <= 6 * q and facts["raw_bits"] == 18 * facts["tokens"]
    assert len(bytes.fromhex(facts["sha256"])) == 32
    assert sum(facts["bits_per_group"].values()) / 8 == pytest.approx(len(segment.payload), abs=CODER_OVERHEAD)


def test_info_text_says_the_same(folder, capsys):
    main(["info", "good.odp", "--json"])
    facts = json.loads(capsys.readouterr().out)
    main(["info", "good.odp"])
    out, err = capsys.readouterr()
    words = [line.split(maxsplit=1) for line in out.splitlines()]
    groups = facts.pop("bits_per_group")
    assert err == "" and facts.pop("chunks") == {} and ["chunks", "none"] in words
    assert f"release   odpiece {facts.pop('release')} or later" in out
    assert all([name, str(value)] in words for name, value in facts.items())
    assert all([name, f"{bits:.1f}"] in words for name, bits in groups.items())


@pytest.mark.parametrize("width, height", [(1, 1), (1, 300), (300, 1), (65, 63), (64, 64)])
def test_odd_sizes(width, height, folder, capsys):
    Image.new("RGB", (width, height), (200, 100, 50)).save("odd.png")
    main(["encode", "odd.png"])
    main(["decode", "odd.odp", "-o", "back.png"])
    assert capsys.readouterr().err.endswith(f"back.png: {width}x{height}\n")
    assert read_pixels("back.png").shape == (height, width, 3)


@pytest.mark.parametrize(
    "convert, warning",
    [
        pytest.param(lambda p: picture_bytes(Image.fromarray(p).convert("L")), "", id="grey"),
        pytest.param(lambda p: picture_bytes(Image.fromarray(p).quantize(200)), "", id="palette"),
        pytest.param(lambda p: picture_bytes(np.dstack([p, p[..., :1]])), "", id="RGBA"),
        pytest.param(lambda p: picture_bytes(p[..., 0] * np.uint16(257)), "8 bits", id="16 bits"),
        pytest.param(lambda p: picture_bytes(Image.fromarray(p).convert("CMYK"), "JPEG"), "CMYK", id="CMYK"),
        pytest.param(lambda p: picture_bytes(p, icc_profile=b"broken"), "profile", id="broken profile"),
    ],
)
def test_odd_modes(convert, warning, folder, pixels, capsys):
    (folder / "odd").write_bytes(convert(pixels))
    main(["encode", "odd"])
    *warnings, result = capsys.readouterr().err.splitlines()
    assert len(warnings) == (warning != "")
    assert all(line.startswith("warning: odd: ") and warning in line for line in warnings)
    main(["decode", "odd.odp"])
    assert read_pixels("odd.odp.png").shape == pixels.shape


@pytest.mark.parametrize("orientation, turned", [(1, False), (3, False), (6, True), (8, True)])
def test_exif_rotation(orientation, turned, folder, pixels):
    exif = Image.Exif()
    exif[0x0112] = orientation
    (folder / "phone.jpg").write_bytes(picture_bytes(pixels, "JPEG", exif=exif))
    main(["encode", "phone.jpg"])
    main(["decode", "phone.odp"])
    assert read_pixels("phone.odp.png").shape == ((130, 90, 3) if turned else (90, 130, 3))


@pytest.mark.parametrize("command", ["decode", "info"])
@pytest.mark.parametrize(
    "damage, error",
    [
        pytest.param(lambda d: b"", errors.NotOdpError, id="empty"),
        pytest.param(lambda d: b"\x89PNG\r\n\x1a\n" + d, errors.NotOdpError, id="foreign"),
        pytest.param(lambda d: changed(d, 2, 0x60), errors.VersionError, id="newer version"),
        pytest.param(lambda d: changed(d, 4), errors.UnknownModelError, id="unknown model"),
        pytest.param(lambda d: changed(d, 7, 0x01), errors.UnknownModelError, id="unknown model, last byte"),
        pytest.param(lambda d: d[:9], errors.DamagedError, id="cut in the header"),
        pytest.param(lambda d: d[: len(d) // 2], errors.DamagedError, id="cut in the payload"),
        pytest.param(lambda d: changed(d, len(d) // 2), errors.DamagedError, id="damaged payload"),
        pytest.param(lambda d: changed(d, 3, 0x01), errors.DamagedError, id="damaged quality"),
        pytest.param(lambda d: changed(d[:11] + b"\x30" + d[11:], 2, 0x10), errors.VersionError, id="unknown flags"),
        pytest.param(lambda d: d[:8] + b"\xff\xff\x03\xff\xff\x03" + d[10:], errors.ImageError, id="65536x65536"),
    ],
)
def test_files_that_cannot_be_decoded(command, damage, error, folder, fails):
    (folder / "bad.odp").write_bytes(damage((folder / "good.odp").read_bytes()))
    assert fails(error, command, "bad.odp").startswith("odpiece: bad.odp: ")
    assert sorted(path.name for path in folder.iterdir()) == ["bad.odp", "good.odp", "photo.png"]


@pytest.mark.parametrize(
    "command", [["decode"], ["info"], ["truncate", "-q", "3", "-o", "out.odp"]], ids=lambda c: c[0]
)
@pytest.mark.parametrize("name", ["a", "file", "-"])
def test_errors_name_the_file(name, command, folder, fails, monkeypatch):
    """Also where the message has the name by chance, as that of `a`."""
    damaged = (folder / "good.odp").read_bytes()[:20]
    (folder / name).write_bytes(damaged)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(damaged)))
    shown = "standard input" if name == "-" else name
    assert fails(errors.DamagedError, *command, name).startswith(f"odpiece: {shown}: ")


@pytest.mark.parametrize("data", [b"", b"text", picture_bytes(np.eye(99, dtype=np.uint8))[:90]])
def test_unreadable_pictures(data, folder, fails):
    (folder / "bad.png").write_bytes(data)
    assert "bad.png" in fails(errors.ImageError, "encode", "bad.png")
    assert not (folder / "bad.odp").exists()


@pytest.mark.parametrize("command", ["encode", "decode", "info"])
@pytest.mark.parametrize("name", ["missing.png", "folder", ".", "/", "", "photo.png/inside"])
def test_inputs_that_are_no_files(command, name, folder, fails):
    (folder / "folder").mkdir()
    fails(errors.ImageError, command, name)


@pytest.mark.parametrize("command, name, suffix", [("encode", "photo.png", "odp"), ("decode", "good.odp", "png")])
class TestOutputs:
    @pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["", "quiet"])
    def test_existing(self, command, name, suffix, quiet, folder, fails):
        out = f"out.{suffix}"
        (folder / out).write_bytes(b"old")
        assert "--force" in fails(errors.OutputExistsError, command, name, "-o", out, *quiet)
        assert (folder / out).read_bytes() == b"old"

    def test_existing_default(self, command, name, suffix, folder, fails):
        for taken in ("photo.odp", "good.odp.png"):
            (folder / taken).write_bytes(b"old")
        fails(errors.OutputExistsError, command, name)
        assert {(folder / taken).read_bytes() for taken in ("photo.odp", "good.odp.png")} == {b"old"}

    @pytest.mark.parametrize("out", ["missing/out.", "folder.", "photo.png/out.", "x" * 300 + "."])
    @pytest.mark.parametrize("force", [[], ["--force"]], ids=["", "force"])
    def test_unwritable(self, command, name, suffix, out, force, folder, fails):
        (folder / f"folder.{suffix}").mkdir()
        fails(errors.OutputError, command, name, "-o", out + suffix, *force)
        assert sorted(path.name for path in folder.iterdir()) == [f"folder.{suffix}", "good.odp", "photo.png"]


def test_a_picture_is_safe_from_a_wrong_command(folder, fails):
    before = (folder / "photo.png").read_bytes()
    fails(errors.NotOdpError, "decode", "photo.png")
    fails(errors.NotOdpError, "decode", "photo.png", "--force")
    assert (folder / "photo.png").read_bytes() == before


@pytest.mark.parametrize("out", ["out.mov", "out", "out.odp"])
def test_output_suffixes_that_cannot_be_written(out, folder, fails):
    assert ".png" in fails(errors.OptionError, "decode", "good.odp", "-o", out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "photo.png", "-q", "0"],
        ["encode", "photo.png", "-q", "4097"],
        ["encode", "photo.png", "-q", "x"],
        ["decode", "good.odp", "--tokens", "0"],
        ["decode", "good.odp", "--tokens", "4097"],
        ["decode", "--no"],
        ["encode"],
        ["other"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments, folder, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    out, err = capsys.readouterr()
    assert (caught.value.code, out) == (2, "")
    assert "Usage: odpiece" in err and "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == ["good.odp", "photo.png"]


@pytest.mark.parametrize("library", ["torch", "onnx"])
@pytest.mark.parametrize(
    "command",
    [["tokenizer", "--val", ".", "--minutes", "0"], ["export", "--checkpoint", "photo.png", "--name", "x"]],
    ids=lambda c: c[0],
)
def test_training_without_its_extra(library, command, folder, fails, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    message = fails(errors.MissingExtraError, "train", *command, "--data", ".", "--out", ".")
    assert library in message and "odpiece[torch]" in message


def test_a_data_uri_is_the_file(folder, pixels):
    told = run("encode", "photo.png", "-q", "2", "--data-uri", "--quiet")
    kind, text = told.stdout.decode().split(",")
    assert kind == "data:image/x-odp;base64" and text.endswith("\n")
    assert base64.b64decode(text[:-1], validate=True) == encode(pixels, 2)
    assert not (folder / "photo.odp").exists()


@pytest.mark.parametrize("more", [["-o", "out.odp"], ["second.png"], ["-r"]])
def test_a_data_uri_is_of_one_file_and_printed(folder, more, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["encode", "photo.png", "--data-uri", *more])
    assert caught.value.code == 2 and "--data-uri" in capsys.readouterr().err


@pytest.mark.parametrize("raised, code", [(MemoryError, 1), (KeyboardInterrupt, 130), (errors.OdpieceError, 1)])
def test_other_ends(raised, code, folder, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise raised("said once")

    monkeypatch.setattr("odpiece.codec.batch.work.encode", stop)
    with pytest.raises(SystemExit) as caught:
        main(["encode", "photo.png"])
    assert caught.value.code == code
    assert [line for line in capsys.readouterr().err.splitlines() if line][-1].startswith("odpiece: ")
