"""Kept metadata belongs to the pixels that are kept: their orientation, their colours; and what can be written back."""

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, TiffImagePlugin

from odpiece.formats.chunks import MAX_CHUNK, metadata_chunks, metadata_of
from odpiece.formats.images import fitting_metadata, read_image, write_image
from odpiece.formats.metadata import MOST, orientation_of, upright_exif, upright_xmp

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
UNUSABLE = "the colour profile cannot be used and is ignored"
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:{0}="http://ns.adobe.com/tiff/1.0/">{1}</x:xmpmeta>'
SIGNED = struct.pack(">6i", -33, 1, -51, 1, 0, 1)


def saved(pixels=PIXELS, form="PNG", **options):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def exif(orientation, order=">", extra=()):
    """EXIF bytes of an orientation and of other entries (tag, type, count, bytes), which Pillow may not write."""
    entries = sorted([(0x112, 3, 1, struct.pack(f"{order}H", orientation)), *extra])
    at, table, data = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, value in entries:
        if len(value) > 4:
            value, data = struct.pack(f"{order}I", at + len(data)), data + value
        table += struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}IH", 8, len(entries))
    return b"Exif\0\0" + head + table + bytes(4) + data


UNWRITABLE = {
    "signed resolution": (0x11A, 10, 1, struct.pack(">2i", -1, 0)),
    "signed latitude": (0x0002, 10, 3, SIGNED),
    "text as a number": (0x0132, 3, 9, b"2024:01:01 00:00:0"),
    "unknown type": (0x9286, 77, 8, b"whatever"),
    "beyond the end": (0x010F, 2, 60_000, struct.pack(">I", 60_000)),
}


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("fault", UNWRITABLE)
def test_a_tag_that_cannot_be_written_does_not_hide_the_orientation(form, fault):
    """The picture is upright, and what is kept of its tags does not turn it again."""
    tags = exif(6, extra=[UNWRITABLE[fault]])
    if form in ("TIFF", "AVIF"):  # Pillow writes these by tags
        tags = exif(6)
    picture = read_image(saved(form=form, exif=tags), keep=("exif",))
    assert picture.pixels.shape == (9, 6, 3)
    if "exif" in picture.metadata:
        assert orientation_of(picture.metadata["exif"]) in (None, 1)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_made_upright_in_place(orientation, order):
    extra = [(0x9286, 7, 8, b"whatever"), (0x010F, 2, 7, b"a maker")]
    assert upright_exif(exif(orientation, order, extra)) == exif(1, order, extra)
    assert upright_exif(exif(orientation, order)[6:]) == exif(1, order)[6:]


@pytest.mark.parametrize(
    "data", [b"", b"Exif\0\0", b"Exif\0\0garbage", b"MM\0*", b"II*\0\xff\xff\xff\xff", exif(6)[:20]]
)
def test_broken_exif_stays_as_it_is(data):
    assert upright_exif(data) == data


@pytest.mark.parametrize(
    "text",
    ['<a tiff:Orientation="6"/>', "<a tiff:Orientation = '8'/>", "<tiff:Orientation>3</tiff:Orientation>"],
)
@pytest.mark.parametrize("prefix", ["tiff", "ns1"])
def test_xmp_is_made_upright(text, prefix):
    text = XMP.format(prefix, text.replace("tiff:", f"{prefix}:")).encode()
    upright = upright_xmp(text)
    assert len(upright) == len(text) and sum(a != b for a, b in zip(upright, text)) == 1
    assert upright_xmp(upright) == upright


def test_other_orientations_in_xmp_stay():
    text = XMP.format("tiff", '<a other:Orientation="6" tiff:OrientationNote="6"/>').encode()
    assert upright_xmp(text) == text


@pytest.mark.parametrize("in_exif", [None, 1, 3, 6])
@pytest.mark.parametrize("in_xmp", [1, 8])
@pytest.mark.parametrize("keep", [("xmp",), ("exif",), ("exif", "xmp")])
def test_what_is_written_back_is_shown_as_the_source(in_exif, in_xmp, keep):
    options = {"exif": exif(in_exif)} if in_exif else {}
    data = saved(form="JPEG", xmp=XMP.format("tiff", f'<a tiff:Orientation="{in_xmp}"/>').encode(), **options)
    with Image.open(io.BytesIO(data)) as im:
        shown = np.asarray(ImageOps.exif_transpose(im))
    picture = read_image(data, keep=keep)
    with Image.open(io.BytesIO(write_image(picture.pixels, ".png", picture.metadata))) as im:
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(im)), shown)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
@pytest.mark.parametrize("keep", [(), ("icc",)])
def test_a_profile_of_colours_is_not_kept_for_grey(form, mode, keep):
    im = Image.fromarray(PIXELS[..., 0] * np.uint16(257)) if mode == "I;16" else Image.fromarray(PIXELS).convert(mode)
    out = io.BytesIO()
    if form == "JPEG":
        im = im.convert("L")
    im.save(out, form, icc_profile=SRGB)
    picture = read_image(out.getvalue(), keep=keep)
    assert picture.metadata == {} and UNUSABLE in picture.notes
    assert picture.pixels.ndim == 2 or picture.pixels.shape[2] == 2


def test_grey_pixels_in_a_file_of_colours_keep_the_profile():
    picture = read_image(saved(np.dstack([PIXELS[..., :1]] * 3), icc_profile=SRGB), keep=("icc",))
    assert picture.pixels.shape == (6, 9, 3) and picture.metadata == {"icc": SRGB}


def test_garbage_is_no_profile_to_keep():
    picture = read_image(saved(icc_profile=b"garbage" * 30), keep=("icc",))
    assert picture.metadata == {} and picture.notes == (UNUSABLE,)


def test_what_an_odp_file_cannot_hold_is_left_out_and_said():
    long = b"<x>" + b"y" * MAX_CHUNK + b"</x>"
    picture = read_image(saved(form="WEBP", xmp=long, exif=exif(1)), keep=("xmp", "exif"))
    assert picture.metadata.keys() == {"exif"}
    assert picture.notes == (f"the xmp is not kept: it has {len(long)} bytes, at most {MOST} are kept",)


def test_the_longest_that_is_kept_returns():
    noise = np.random.default_rng(0).bytes(MOST)
    assert metadata_of(metadata_chunks({"xmp": noise})) == {"xmp": noise}


def test_what_jpeg_cannot_hold_is_said_when_it_is_kept():
    picture = read_image(saved(exif=exif(1, extra=[(0x10E, 2, 100_000, b"d" * 100_000)])), keep=("exif",))
    assert picture.notes == ("the exif is kept, but does not fit .jpg files",)


@pytest.mark.parametrize("suffix, held", [(".png", {"exif", "icc", "xmp"}), (".jpg", {"icc"}), (".bmp", set())])
def test_what_a_file_cannot_hold_is_left_out(suffix, held):
    kept = {"exif": exif(1, extra=[(0x10E, 2, 99_999, b"d" * 99_999)]), "icc": SRGB, "xmp": b"x" * 99_999}
    fitting, lines = fitting_metadata(kept, suffix, grey=False)
    assert fitting.keys() == held and len(lines) == 3 - len(held)
    assert all("is left out" in line for line in lines)
    assert read_image(write_image(PIXELS, suffix, fitting), keep=tuple(kept)).metadata.keys() == held


def test_a_profile_of_other_colours_is_not_written():
    assert fitting_metadata({"icc": SRGB}, ".png", grey=True)[0] == {}
    assert fitting_metadata({"icc": SRGB}, ".webp", grey=False) == ({"icc": SRGB}, [])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif"])
def test_exif_without_its_prefix_is_written(suffix):
    bare = exif(1, extra=[(0x010F, 2, 7, b"a maker")])[6:]
    fitting, lines = fitting_metadata({"exif": bare}, suffix, grey=False)
    with Image.open(io.BytesIO(write_image(PIXELS, suffix, fitting))) as im:
        assert lines == [] and im.getexif()[0x010F] == "a maker"


TAKEN, PLACE = {0x9003: "2023:01:01 00:00:00", 0x829A: 0.02}, {1: "N", 2: (1.0, 2.0, 3.5)}
TIFF_TAGS = {0x010F: "a maker", 0x0112: 6, 0x8769: TAKEN, 0x8825: PLACE}


def tiff(compression, tags):
    return saved(form="TIFF", compression=compression, tiffinfo=tags)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif"])
def test_the_exif_of_tiff_is_kept(suffix):
    """All that describes the picture, and nothing of how the file held its pixels."""
    picture = read_image(tiff(None, TIFF_TAGS), keep=("exif",))
    assert picture.pixels.shape == (9, 6, 3) and picture.notes == ()
    fitting, lines = fitting_metadata(picture.metadata, suffix, grey=False)
    with Image.open(io.BytesIO(write_image(picture.pixels, suffix, fitting))) as im:
        tags = im.getexif()
        assert lines == [] and im.size == (6, 9)
        assert tags.get_ifd(ExifTags.IFD.Exif) == TAKEN and tags.get_ifd(ExifTags.IFD.GPSInfo) == PLACE
        assert {tag: tags[tag] for tag in tags if tag not in (0x8769, 0x8825)} == {0x010F: "a maker"}


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_exif_of_compressed_tiff_is_kept(compression, suffix):
    """Of the first directory: Pillow writes no others there."""
    picture = read_image(tiff(compression, {0x010F: "a maker", 0x0112: 6}), keep=("exif",))
    with Image.open(io.BytesIO(write_image(picture.pixels, suffix, picture.metadata))) as im:
        assert im.getexif()[0x010F] == "a maker" and im.getexif().get(0x0112, 1) == 1 and im.size == (6, 9)


def test_tiff_whose_tags_describe_nothing_has_no_exif():
    assert read_image(tiff(None, {}), keep=("exif",)).metadata == {}
    assert read_image(tiff(None, {}), keep=("exif",)).notes == ()
    assert read_image(tiff(None, TIFF_TAGS)).metadata == {}


def test_broken_tags_of_tiff_are_left_out_and_said():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x010F], tags[0x0110] = "a maker", "a model"
    data = tiff(None, tags)
    assert data.count(struct.pack("<HHII", 0x010F, 2, 8, data.index(b"a maker"))) == 1
    broken = data.replace(struct.pack("<HH", 0x010F, 2), struct.pack("<HH", 0x010F, 5))  # text as a rational number
    picture = read_image(broken, keep=("exif",))
    assert Image.open(io.BytesIO(data)).getexif()[0x010F] == "a maker"
    assert picture.notes == ("1 EXIF tags are broken and not kept",)
    assert b"a model" in picture.metadata["exif"] and b"a maker" not in picture.metadata["exif"]
