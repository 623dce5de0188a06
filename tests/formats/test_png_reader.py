"""PNG files with faults that do not concern their pixels, and with faults that do."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from odpiece.formats.errors import ImageError
from odpiece.formats.images import read_image
from odpiece.formats.png import SIGNATURE, pack_chunk, pack_png, unpack_chunks

HEADER_END = len(SIGNATURE) + 25
LONG = b'{"node": 1} ' * 120_000  # more than Pillow takes


@pytest.fixture(scope="module")
def colours():
    return np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)


def with_chunk(data, chunk, end=False):
    """A PNG file with one more chunk, before or after its pixels."""
    at = len(data) - 12 if end else HEADER_END
    return data[:at] + chunk + data[at:]


def wrong(chunk):
    """A chunk with another checksum."""
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


TEXTS = {
    "zTXt": pack_chunk(b"zTXt", b"workflow\0\0" + zlib.compress(LONG)),
    "iTXt": pack_chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(LONG)),
    "tEXt": pack_chunk(b"tEXt", b"workflow\0" + LONG),
}


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("end", [False, True])
def test_a_long_text_is_left_out(kind, end, colours):
    picture = read_image(with_chunk(pack_png(colours), TEXTS[kind], end))
    np.testing.assert_array_equal(picture.pixels, colours)
    assert picture.notes == ("its text 'workflow' is too long and left out",)


@pytest.mark.parametrize("kind", ["tEXt", "pHYs", "tIME", "gAMA", "iCCP", "tRNS", "eXIf", "abCd"])
def test_a_damaged_chunk_that_can_be_missed_is_left_out(kind, colours):
    picture = read_image(with_chunk(pack_png(colours), wrong(pack_chunk(kind.encode(), bytes(9)))))
    np.testing.assert_array_equal(picture.pixels, colours)
    assert picture.notes == (f"its {kind} chunk is damaged and left out",)


@pytest.mark.parametrize("body", [b"", b"x", b"name\0\1nothing", b"name\0\0nothing"])
@pytest.mark.parametrize(
    "kind", ["iCCP", "zTXt", "iTXt", "pHYs", "sRGB", "gAMA", "cHRM", "tRNS", "fcTL", "acTL", "eXIf"]
)
def test_chunks_of_nonsense_do_not_hide_the_picture(kind, body, colours):
    assert read_image(with_chunk(pack_png(colours), pack_chunk(kind.encode(), body))).pixels.shape[:2] == (9, 11)


def test_a_long_profile_is_used(colours):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = srgb + bytes(2_000_000)
    data = with_chunk(pack_png(colours), pack_chunk(b"iCCP", b"p\0\0" + zlib.compress(profile)))
    picture = read_image(data, keep=("icc",))
    assert picture.metadata == {"icc": profile}
    assert np.abs(read_image(data).pixels.astype(int) - colours).max() <= 2


def test_a_profile_beyond_all_measure_is_left_out(colours):
    data = with_chunk(pack_png(colours), pack_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(17 << 20))))
    assert read_image(data, keep=("icc",)).notes == ("its icc profile is too long and left out",)


def test_long_xmp_is_kept(colours):
    xmp = b"<x:xmpmeta>" + bytes(2_000_000).replace(b"\0", b"y") + b"</x:xmpmeta>"
    data = with_chunk(pack_png(colours), pack_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp)))
    assert read_image(data, keep=("xmp",)).metadata == {"xmp": xmp}


def test_exif_as_imagemagick_writes_it_turns_the_picture(colours):
    tags = Image.Exif()
    tags[0x112] = 6
    digits = tags.tobytes().hex()
    text = f"\nexif\n{len(digits) // 2:8}\n{digits}\n".encode()
    data = with_chunk(pack_png(colours), pack_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)))
    np.testing.assert_array_equal(read_image(data).pixels, np.rot90(colours, -1))


@pytest.mark.parametrize("kind", ["IHDR", "PLTE"])
def test_damage_of_what_the_pixels_need_is_said(kind):
    im = Image.new("P", (5, 5))
    im.putpalette([1, 2, 3])
    out = io.BytesIO()
    im.save(out, "PNG")
    parts = [(wrong if name == kind.encode() else bytes)(pack_chunk(name, body)) for name, body in _chunks(out)]
    with pytest.raises(ImageError, match=f"^a.png is a damaged PNG: the checksum of its {kind} chunk"):
        read_image(b"".join([SIGNATURE, *parts]), "a.png")


def _chunks(out):
    return unpack_chunks(out.getvalue())


def test_a_wrong_checksum_of_pixels_is_said(colours):
    parts = [
        (wrong if name == b"IDAT" else bytes)(pack_chunk(name, body)) for name, body in unpack_chunks(pack_png(colours))
    ]
    picture = read_image(b"".join([SIGNATURE, *parts]))
    np.testing.assert_array_equal(picture.pixels, colours)
    assert picture.notes == ("the checksum of its pixels does not match, they may be wrong",)


def test_a_file_sent_as_text_is_said(colours):
    with pytest.raises(ImageError, match="^a.png is a damaged PNG: its first bytes are changed"):
        read_image(pack_png(colours).replace(b"\r\n", b"\n"), "a.png")


def test_a_missing_header_is_said(colours):
    with pytest.raises(ImageError, match="does not begin with its header"):
        read_image(SIGNATURE + pack_png(colours)[HEADER_END:])


@pytest.mark.parametrize("missing", [1, 4, 11, 12, 15])
def test_the_end_can_be_missed(missing, colours):
    np.testing.assert_array_equal(read_image(pack_png(colours)[:-missing]).pixels, colours)


@pytest.mark.parametrize("default_image", [False, True])
def test_frames_are_counted_as_pillow_does(default_image):
    frames = [Image.new("RGB", (4, 3), c) for c in ("red", "blue", "green")]
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:], default_image=default_image)
    picture = read_image(out.getvalue())
    assert tuple(picture.pixels[0, 0]) == (255, 0, 0)
    assert picture.notes == ("only the first of 3 frames is kept",)


def test_texts_of_usual_length_are_passed_over(colours):
    info, out = PngImagePlugin.PngInfo(), io.BytesIO()
    for zipped in (False, True):
        info.add_text("Comment", "a hill", zip=zipped)
        info.add_itxt("Comment", "ein Hügel", zip=zipped)
    Image.fromarray(colours).save(out, "PNG", pnginfo=info)
    assert read_image(out.getvalue()).notes == ()


def test_a_length_beyond_the_file_is_no_hang(colours):
    data = with_chunk(pack_png(colours), struct.pack(">I", 0xFFFFFFFF) + b"tEXt")
    with pytest.raises(ImageError):
        read_image(data)
