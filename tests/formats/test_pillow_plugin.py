"""The Pillow plugin: what opens, what loads, what is saved, and the errors that Pillow's users expect."""

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

from odpiece.codec import decode, encode
from odpiece.codec.files import read_partial
from odpiece.codec.targets import encode_to_size
from odpiece.formats.container import unpack
from odpiece.formats.errors import DamagedError, OdpieceError, OptionError, VersionError
from odpiece.formats.pillow_plugin import register_odp_opener

pytestmark = pytest.mark.usefixtures("odp_in_pillow")
GOLDEN = Path(__file__).parents[1] / "golden" / "photo-static.odp"


@pytest.fixture(scope="module")
def pixels(photo):
    """uint8 (70, 90, 3)."""
    return np.ascontiguousarray(photo[90:160, 100:190])


@pytest.fixture(scope="module")
def data(pixels):
    return encode(pixels, 30)


def saved(im, **options):
    out = io.BytesIO()
    im.save(out, "ODP", **options)
    return out.getvalue()


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_open_and_load_give_what_decode_gives(data, pixels):
    with Image.open(io.BytesIO(data)) as im:
        assert (im.format, im.mode, im.size, im.info["q"]) == ("ODP", "RGB", (90, 70), 30)
        assert im.get_format_mimetype() == "image/x-odp"
        np.testing.assert_array_equal(np.asarray(im), decode(data))


def test_opening_loads_neither_codec_nor_model():
    """In a process of its own: the pixels need them, the size does not."""
    program = f"""
import sys
import odpiece.formats.pillow_plugin
from PIL import Image

def heavy():
    return sorted({{"odpiece.codec", "odpiece.models", "onnxruntime", "constriction"}} & sys.modules.keys())

with Image.open({str(GOLDEN)!r}) as im:
    print(im.format, *im.size, heavy())
    im.load()
    print("onnxruntime" in heavy())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "ODP 200 160 []\nTrue\n"


@pytest.mark.parametrize("suffix", [".odp", ".odpi", ".ODP"])
def test_save_by_suffix(suffix, tmp_path, pixels):
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(pixels).save(path, q=30)
    assert path.read_bytes() == encode(pixels, 30)
    with Image.open(path) as im:
        im.load()
        assert (im.format, im.size) == ("ODP", (90, 70))


def test_the_name_does_not_matter_for_opening(tmp_path, data):
    (tmp_path / "photo.png").write_bytes(data)
    with Image.open(tmp_path / "photo.png") as im:
        assert im.format == "ODP"


def test_the_default_quality_is_64(pixels):
    assert saved(Image.fromarray(pixels)) == encode(pixels, 64)


def test_loaded_pictures_can_be_copied_pickled_and_changed(data):
    with Image.open(io.BytesIO(data)) as im:
        pictures = [im, im.copy(), copy.copy(im), pickle.loads(pickle.dumps(im))]
        for picture in pictures:
            np.testing.assert_array_equal(np.asarray(picture), decode(data))
        im.putpixel((1, 2), (9, 8, 7))
        assert im.getpixel((1, 2)) == (9, 8, 7)
        np.testing.assert_array_equal(np.asarray(pictures[1]), decode(data))


def test_files_are_closed_as_pillow_does(tmp_path, data):
    """After load() the plugin holds no file that Pillow opened, and leaves those open that the caller did."""
    (tmp_path / "photo.odp").write_bytes(data)
    im = Image.open(tmp_path / "photo.odp")
    opened = im.fp
    im.load()
    assert opened.closed
    with open(tmp_path / "photo.odp", "rb") as file:
        Image.open(file).load()
        assert not file.closed


@pytest.mark.parametrize(
    "mode, kept",
    [("1", "L"), ("L", "L"), ("LA", "LA"), ("RGBA", "RGBA"), ("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB")],
)
def test_other_modes_are_saved_as_grey_or_colours_with_their_alpha(mode, kept, pixels):
    im = Image.fromarray(pixels).convert(mode)
    if "A" in mode:
        im.putalpha(Image.fromarray(np.where(pixels[..., 0] > 150, 255, 0).astype(np.uint8)))
    with Image.open(io.BytesIO(saved(im))) as back:
        assert back.mode == kept
        np.testing.assert_array_equal(np.asarray(back), decode(encode(np.asarray(im.convert(kept)), 64)))
        assert back.mode == kept  # as before it was decoded


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_what_would_be_lost_is_refused(mode, tmp_path):
    with pytest.raises(OSError, match="cannot write"):
        Image.new(mode, (5, 5)).save(tmp_path / "out.odp")
    assert list(tmp_path.iterdir()) == []


def test_a_transparent_colour_is_kept():
    im = Image.new("P", (5, 5))
    im.info["transparency"] = 0
    assert np.asarray(Image.open(io.BytesIO(saved(im))).convert("RGBA"))[..., 3].max() == 0


def test_kept_metadata_is_seen_on_opening(pixels):
    exif = Image.Exif()
    exif[0x010E] = "a hill"
    data = encode(pixels, 8, metadata={"exif": exif.tobytes(), "xmp": b"<x/>"})
    with Image.open(io.BytesIO(data)) as im:
        assert im.info["exif"] == exif.tobytes() and im.info["xmp"] == b"<x/>"
        assert im.getexif()[0x010E] == "a hill"


def test_colours_are_converted_by_their_profile(pixels):
    """sRGB with the primaries of red and green swapped; ImageCms is the oracle, and itself held to the swap."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = srgb.replace(b"rXYZ", b"tmp.").replace(b"gXYZ", b"rXYZ").replace(b"tmp.", b"gXYZ")
    im = Image.fromarray(pixels)
    converted = ImageCms.profileToProfile(im, io.BytesIO(icc), ImageCms.createProfile("sRGB"), outputMode="RGB")
    np.testing.assert_allclose(np.asarray(converted), pixels[..., [1, 0, 2]], atol=2)
    assert saved(im, icc_profile=icc) == encode(np.asarray(converted), 64)
    im.info["icc_profile"] = icc
    assert saved(im) == encode(np.asarray(converted), 64)
    for unusable in (b"broken", icc[:200], None):
        assert saved(im, icc_profile=unusable) == encode(pixels, 64)


@pytest.mark.parametrize("q", [0, 4097, 1.5, "64"])
def test_a_wrong_quality_is_a_value_error_and_leaves_no_file(q, tmp_path):
    with pytest.raises(OptionError) as caught:
        Image.new("RGB", (5, 5)).save(tmp_path / "out.odp", q=q)
    assert isinstance(caught.value, ValueError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("foreign", [b"", b"\x9d", b"PK\x03\x04" + bytes(60), b"\x9dQ" + bytes(60)])
def test_other_files_are_unidentified(foreign):
    """PK: OpenDocument presentations are zip archives."""
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(foreign))


@pytest.mark.parametrize(
    "damage, cause",
    [
        pytest.param(lambda d: d[:3], DamagedError, id="cut header"),
        pytest.param(lambda d: d[:2] + b"\xff" + d[3:], VersionError, id="version 7"),
    ],
)
def test_a_header_that_cannot_be_read_is_an_error_of_opening(damage, cause, data):
    with pytest.raises(OSError) as caught:
        Image.open(io.BytesIO(damage(data)))
    assert not isinstance(caught.value, UnidentifiedImageError)
    assert isinstance(caught.value.__cause__, cause)


def test_damage_of_the_payload_is_an_error_of_loading(data):
    """Each time: a second load() must not give an empty picture."""
    im = Image.open(io.BytesIO(flipped(data, len(data) - 3)))
    assert im.size == (90, 70)
    for _ in range(2):
        with pytest.raises(OSError) as caught:
            im.load()
        assert isinstance(caught.value.__cause__, DamagedError)


def test_an_unknown_model_is_an_error_of_loading(data):
    im = Image.open(io.BytesIO(flipped(data, 4)))
    with pytest.raises(OSError, match="update odpiece") as caught:
        im.load()
    assert isinstance(caught.value.__cause__, OdpieceError)


def test_a_picture_larger_than_pillow_allows_is_not_decoded(data, monkeypatch):
    header = unpack(data)[0]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", header.width * header.height // 2 - 1)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", header.width * header.height - 1)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(data))


def test_registering_again_changes_nothing():
    before = list(Image.ID), dict(Image.EXTENSION), dict(Image.MIME)
    register_odp_opener()
    assert before == (list(Image.ID), dict(Image.EXTENSION), dict(Image.MIME))
    assert {Image.EXTENSION[suffix] for suffix in (".odp", ".odpi")} == {"ODP"}
    assert Image.MIME["ODP"] == "image/x-odp"


def test_the_natural_look(data):
    with Image.open(io.BytesIO(data)) as im:
        im.load(look="natural")
        np.testing.assert_array_equal(np.asarray(im), decode(data, look="natural"))
        im.load("natural")
        with pytest.raises(OptionError, match="loaded with look natural"):
            im.load(look="faithful")


@pytest.mark.parametrize("look", ["blurred", 3])
def test_a_wrong_look(look, data):
    im = Image.open(io.BytesIO(data))
    with pytest.raises(OptionError, match="look"):
        im.load(look=look)
    np.testing.assert_array_equal(np.asarray(im), decode(data))


def test_effort_and_size(pixels):
    im = Image.fromarray(pixels)
    for effort in (0, 4):
        assert saved(im, q=30, effort=effort) == encode(pixels, 30, effort=effort)
    assert saved(im, effort=0) != saved(im, effort=4)
    assert saved(im, size=200) == encode_to_size(pixels, 200)
    assert saved(im, q=500, tune="ssim") == encode(pixels, 500, tune="ssim") != encode(pixels, 500)
    assert saved(im, size=200, effort=0) == encode_to_size(pixels, 200, effort=0)


@pytest.mark.parametrize(
    "options, named",
    [
        ({"quality": 80}, "quality"),
        ({"q": 8, "optimize": True}, "optimize"),
        ({"look": "natural"}, "look"),
        ({"q": 8, "size": 200}, "size"),
        ({"effort": 10}, "effort"),
        ({"effort": "9"}, "effort"),
        ({"size": 1}, "at least"),
        ({"exif": "text"}, "exif"),
    ],
)
def test_wrong_options_are_no_silence(options, named, pixels, tmp_path):
    with pytest.raises(ValueError, match=named) as caught:
        Image.fromarray(pixels).save(tmp_path / "out.odp", **options)
    assert isinstance(caught.value, OptionError)
    assert list(tmp_path.iterdir()) == []


def test_metadata_that_is_given_is_kept(pixels):
    exif = Image.Exif()
    exif[0x010E] = "a hill"
    for given in (exif, exif.tobytes()):
        with Image.open(io.BytesIO(saved(Image.fromarray(pixels), q=4, effort=0, exif=given, xmp=b"<x/>"))) as im:
            assert im.getexif()[0x010E] == "a hill" and im.info["xmp"] == b"<x/>"
    assert saved(Image.fromarray(pixels), q=4, exif=None, xmp=None, icc_profile=None) == encode(pixels, 4)


def test_verify_finds_damage_without_pixels(data, monkeypatch):
    im = Image.open(io.BytesIO(data))
    with monkeypatch.context() as patch:
        patch.setattr("odpiece.codec.family.Contents.picture", None)
        im.verify()
    assert im.fp is None
    for at in range(20, len(data) - 4):
        with pytest.raises(OSError) as caught:
            Image.open(io.BytesIO(flipped(data, at))).verify()
        assert isinstance(caught.value.__cause__, DamagedError)
    with pytest.raises(OSError):
        Image.open(io.BytesIO(data[:-5])).verify()


def test_verify_closes_the_file_it_opened(tmp_path, data):
    (tmp_path / "photo.odp").write_bytes(data)
    im = Image.open(tmp_path / "photo.odp")
    opened = im.fp
    im.verify()
    assert opened.closed


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
def test_cut_files_load_where_pillow_is_told_so(share, data, monkeypatch):
    cut = data[: int(share * len(data))]
    with pytest.raises(OSError):
        Image.open(io.BytesIO(cut)).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    contents = read_partial(cut)
    with Image.open(io.BytesIO(cut)) as im:
        np.testing.assert_array_equal(np.asarray(im), contents.picture(contents.tokens))
    with Image.open(io.BytesIO(data)) as im:
        np.testing.assert_array_equal(np.asarray(im), decode(data))
