"""Effort at encoding and looks at decoding, on the command line."""

import numpy as np
import pytest
from PIL import Image

from odpiece.cli.main import main
from odpiece.codec import decode, encode
from odpiece.codec.files import read
from odpiece.codec.targets import encode_to_psnr, encode_to_size


@pytest.fixture(scope="module")
def detail(example):
    """uint8 (128, 128, 3): the middle of the example."""
    return np.ascontiguousarray(example[64:192, 64:192])


@pytest.fixture
def folder(tmp_path, monkeypatch, detail):
    """The working directory, with photo.png and photo.odp, which is encoded at q = 30."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(detail).save("photo.png")
    (tmp_path / "photo.odp").write_bytes(encode(detail, 30, effort=0))
    return tmp_path


def pixels_of(path):
    with Image.open(path) as im:
        return np.asarray(im)


def usage_error(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return caught.value.code == 2


@pytest.mark.parametrize("option", ["-e", "--effort"])
@pytest.mark.parametrize("effort", [0, 4])
def test_effort(option, effort, folder, detail):
    main(["encode", "photo.png", "-q", "200", option, str(effort), "-o", "out.odp"])
    assert (folder / "out.odp").read_bytes() == encode(detail, 200, effort=effort)


def test_efforts_differ_and_the_default_is_that_of_the_library(folder, detail):
    main(["encode", "photo.png", "-q", "200", "-o", "out.odp"])
    files = [encode(detail, 200, effort=effort) for effort in (0, 4)]
    assert (folder / "out.odp").read_bytes() == encode(detail, 200)
    assert files[0] != files[1]


def test_tune(folder, detail):
    main(["encode", "photo.png", "-q", "200", "--tune", "ssim", "-o", "out.odp"])
    tuned = encode(detail, 200, tune="ssim")
    assert (folder / "out.odp").read_bytes() == tuned != encode(detail, 200, tune="psnr") == encode(detail, 200)
    assert usage_error("encode", "photo.png", "--tune", "vmaf")


@pytest.mark.parametrize(
    "option, value, expected",
    [
        ("--size", "100", lambda pixels: encode_to_size(pixels, 100, effort=0)),
        ("--bpp", "0.05", lambda pixels: encode_to_size(pixels, 102, effort=0)),
        ("--psnr", "20", lambda pixels: encode_to_psnr(pixels, 20.0, effort=0)),
    ],
)
def test_targets_take_the_effort(option, value, expected, folder, detail):
    main(["encode", "photo.png", option, value, "-e", "0", "-o", "out.odp"])
    assert (folder / "out.odp").read_bytes() == expected(detail)


@pytest.mark.parametrize("effort", ["-1", "10", "1.5", "most"])
def test_efforts_that_do_not_exist(effort, folder):
    assert usage_error("encode", "photo.png", "-e", effort, "-o", "out.odp")
    assert not (folder / "out.odp").exists()


@pytest.mark.parametrize("look", ["faithful", "natural"])
def test_looks(look, folder):
    main(["decode", "photo.odp", "--look", look, "-o", "out.png"])
    data = (folder / "photo.odp").read_bytes()
    np.testing.assert_array_equal(pixels_of("out.png"), decode(data, look=look))


def test_looks_differ_and_faithful_is_the_default(folder):
    data = (folder / "photo.odp").read_bytes()
    main(["decode", "photo.odp", "-o", "out.png"])
    np.testing.assert_array_equal(pixels_of("out.png"), decode(data, look="faithful"))
    assert not np.array_equal(pixels_of("out.png"), decode(data, look="natural"))


def test_the_steps_of_progressive_have_the_look_and_the_tokens_too(folder):
    main(["decode", "photo.odp", "--look", "natural", "--tokens", "9", "-o", "out.png", "--progressive", "steps"])
    data = (folder / "photo.odp").read_bytes()
    last = max((folder / "steps").iterdir())
    np.testing.assert_array_equal(pixels_of(last), decode(data, look="natural"))
    np.testing.assert_array_equal(pixels_of("out.png"), decode(data, look="natural", tokens=9))


def test_a_look_that_does_not_exist(folder, capsys):
    assert usage_error("decode", "photo.odp", "--look", "pretty", "-o", "out.png")
    message = capsys.readouterr().err
    assert "faithful" in message and "natural" in message and not (folder / "out.png").exists()


@pytest.mark.parametrize("arguments", [["--ssim", "0.5"], ["--lpips", "0.5"]])
def test_targets_by_other_metrics(arguments, tmp_path, monkeypatch, example):
    pytest.importorskip("pytorch_msssim")
    pytest.importorskip("stlpips_pytorch")
    monkeypatch.chdir(tmp_path)
    Image.fromarray(example).save("photo.png")
    main(["encode", "photo.png", *arguments, "-e", "0", "--quiet"])
    assert 20 < len((tmp_path / "photo.odp").read_bytes()) < 500


def test_one_target_at_a_time(folder):
    assert usage_error("encode", "photo.png", "--ssim", "0.5", "--psnr", "20")


def test_fixed_keeps_every_token(folder, detail):
    lengths = {}
    for name, options in (("fixed", ["--fixed"]), ("free", [])):
        main(["encode", "photo.png", "--coder", "static", "-q", "300", *options, "-o", f"{name}.odp", "--quiet"])
        lengths[name] = read((folder / f"{name}.odp").read_bytes()).tokens.lengths
    assert (lengths["fixed"] == 300).all()
    assert (lengths["free"] <= 300).all() and lengths["free"].min() < 300
