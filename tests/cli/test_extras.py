"""Transparency, grey, metadata, segments and limits on the command line."""

import json

import numpy as np
import pytest
from PIL import Image, ImageCms

from odpiece.cli.main import main
from odpiece.codec import encode
from odpiece.formats import errors

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'


@pytest.fixture
def folder(tmp_path, monkeypatch, photo):
    """The working directory, with phone.jpg, which is to be turned and has EXIF, XMP and an ICC profile."""
    monkeypatch.chdir(tmp_path)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", 6
    Image.fromarray(photo).save("phone.jpg", exif=exif, icc_profile=SRGB, xmp=XMP)
    return tmp_path


def fails(error, *arguments):
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    assert caught.value.code == error.exit_code


def facts_of(name, capsys):
    capsys.readouterr()
    main(["info", name, "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_kept_metadata_returns_and_the_picture_is_turned_once(folder, suffix, capsys):
    main(["encode", "phone.jpg", "--keep", "all", "-o", "kept.odp"])
    main(["decode", "kept.odp", "-o", f"kept{suffix}"])
    assert facts_of("kept.odp", capsys)["chunks"].keys() == {"exif", "icc", "xmp"}
    with Image.open(f"kept{suffix}") as im:
        exif = im.getexif()
        assert im.size == (192, 256) and exif[0x010F] == "a maker" and exif.get(0x0112, 1) == 1
        assert im.info["icc_profile"] == SRGB
        xmp = im.info.get("xmp") or im.info["XML:com.adobe.xmp"].encode()
        assert b"xmpmeta" in xmp and xmp.count(b"Orientation") == xmp.count(b'Orientation="1"')


def test_nothing_is_kept_by_default(folder, capsys):
    main(["encode", "phone.jpg"])
    assert facts_of("phone.odp", capsys)["chunks"] == {}
    main(["encode", "phone.jpg", "--keep", "xmp,icc", "--force"])
    assert facts_of("phone.odp", capsys)["chunks"].keys() == {"xmp", "icc"}


def test_truncate_keeps_the_chunks(folder, capsys):
    main(["encode", "phone.jpg", "--keep", "exif"])
    main(["truncate", "phone.odp", "-q", "5", "-o", "short.odp"])
    assert facts_of("short.odp", capsys)["chunks"] == facts_of("phone.odp", capsys)["chunks"] != {}


def test_metadata_that_does_not_exist(folder):
    fails(errors.OptionError, "encode", "phone.jpg", "--keep", "exif,gps")


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_modes_return(folder, mode, photo, capsys):
    im = Image.fromarray(photo).convert(mode)
    if mode != "L":
        im.putalpha(Image.fromarray(np.where(photo[..., 0] > 110, 255, 0).astype(np.uint8)))
    im.save("in.png")
    main(["encode", "in.png"])
    main(["decode", "in.odp", "-o", "out.png"])
    assert "warning" not in capsys.readouterr().err
    with Image.open("out.png") as out:
        assert out.mode == mode
        assert mode == "L" or (np.asarray(out.getchannel("A")) == np.asarray(im.getchannel("A"))).all()
    assert facts_of("in.odp", capsys)["grey"] == (mode != "RGBA")


def test_jpeg_without_transparency_is_said(folder, photo, capsys):
    (folder / "clear.odp").write_bytes(encode(np.dstack([photo, photo[..., 0]]), 4))
    main(["decode", "clear.odp", "-o", "clear.jpg"])
    assert "laid on white" in capsys.readouterr().err


def test_limits(folder, photo):
    (folder / "photo.odp").write_bytes(encode(photo, 4))
    below = ["--max-pixels", str(photo.shape[0] * photo.shape[1] - 1)]
    for command in ("encode phone.jpg", "decode photo.odp", "info photo.odp", "truncate photo.odp -q 2 -o out.odp"):
        fails(errors.ImageError, *command.split(), *below)
    main(["decode", "photo.odp", "--max-pixels", str(photo.shape[0] * photo.shape[1])])


def test_a_damaged_segment_is_named_and_the_others_decode(folder, capsys):
    data = bytearray(encode(np.random.default_rng(0).integers(0, 256, (64, 1040), dtype=np.uint8), 65))
    data[-4] ^= 0xFF
    (folder / "two.odp").write_bytes(data)
    fails(errors.DamagedError, "decode", "two.odp")
    assert "segment 1 of 2" in capsys.readouterr().err
    main(["decode", "two.odp", "--allow-partial"])
    assert "1 of 2 segments are whole" in capsys.readouterr().err
