"""Picture files of every kind to pixels and back, against numpy."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from odpiece.formats.container import MAX_PIXELS
from odpiece.formats.errors import ImageError, OptionError
from odpiece.formats.images import WRITERS, read_image, suffix_of, write_image

DEEP = "more than 8 bits a channel are reduced to 8"
CMYK = "CMYK colours are converted to sRGB"
PROFILE = "the colour profile cannot be used and is ignored"
FRAMES = "only the first of 2 frames is kept"
GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6  # PNG colour types
# What is shown of stored pixels under each EXIF orientation
SHOWN = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.fixture(scope="module")
def colours():
    """uint8 (5, 7, 3) of any colours."""
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def save(im, form="PNG", **options):
    """The bytes of a picture file of a Pillow image or an array."""
    out = io.BytesIO()
    (im if isinstance(im, Image.Image) else Image.fromarray(im)).save(out, form, **options)
    return out.getvalue()


def png(samples, colour_type, transparency=b"", size=None):
    """A 16-bit PNG of uint16 (H, W) or (H, W, channels) samples, by the specification; `size` may lie."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", *(size or (width, height)), 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = [(b"IHDR", header), (b"tRNS", transparency), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
        if body or name != b"tRNS"
    )


def profile(columns=(0, 1, 2), gamma=1.0, grey=False):
    """A minimal ICC profile: sRGB's primaries in the order `columns`, or grey, and a power law for a curve."""
    primaries = [(0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139)]
    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {b"wtpt": xyz(0.9642, 1.0, 0.8249), b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)}
    if grey:
        tags[b"kTRC"] = curve
    for letter, column in zip((b"r", b"g", b"b"), () if grey else columns):
        tags |= {letter + b"XYZ": xyz(*primaries[column]), letter + b"TRC": curve}
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value
    head = struct.pack(">I4xI4s4s4s", start + len(body), 0x02100000, b"mntr", b"GRAY" if grey else b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * v) for v in values))


def srgb_curve(linear):
    """sRGB values, 0..1, of linear light, 0..1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def check(data, pixels, notes=(), within=0):
    """read_image gives these pixels, up to `within` levels, and these notes."""
    picture = read_image(data)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape == pixels.shape
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= within
    assert picture.notes == tuple(notes)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_grey(form, colours):
    grey = colours[..., 0]
    check(save(grey, form), grey)


def test_black_and_white(colours):
    bits = colours[..., 0] > 127
    check(save(bits), bits * np.uint8(255))


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM"])
@pytest.mark.parametrize("height, width", [(5, 7), (1, 7), (5, 1), (1, 1)])
def test_rgb(form, height, width, colours):
    check(save(colours[:height, :width], form), colours[:height, :width])


def palette_image(colours):
    """A palette image whose pixel number i has the colour `colours[i]`."""
    count = colours.shape[0] * colours.shape[1]
    im = Image.frombytes("P", colours.shape[1::-1], bytes(range(count)))
    im.putpalette(colours.tobytes())
    return im


def test_palette(colours):
    check(save(palette_image(colours)), colours)


@pytest.mark.parametrize("alpha", [[255, 0], [0, 255], list(range(0, 35 * 7, 7))])
def test_palette_with_alpha(alpha, colours):
    """Entries beyond the end of `alpha` are opaque."""
    data = save(palette_image(colours), transparency=bytes(alpha))
    alpha = np.array(alpha + [255] * (35 - len(alpha))).reshape(5, 7)
    check(data, np.dstack([colours, alpha]))


def test_key_colours(colours):
    grey = colours[..., 0]
    data = save(grey, transparency=int(grey[2, 3]))
    check(data, np.dstack([grey, np.where(grey == grey[2, 3], 0, 255)]))
    alpha = np.full((5, 7), 255)
    alpha[2, 3] = 0
    check(save(colours, transparency=tuple(int(v) for v in colours[2, 3])), np.dstack([colours, alpha]))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_every_value_at_every_alpha_is_read(form):
    value, alpha = np.mgrid[0:256, 0:256].astype(np.uint8)
    pixels = np.dstack([value, 255 - value, value // 2, alpha])
    check(save(pixels, form, **({"lossless": True, "exact": True} if form == "WEBP" else {})), pixels)


def test_grey_with_alpha():
    value, alpha = np.mgrid[0:256, 0:256].astype(np.uint8)
    data = save(Image.merge("LA", [Image.fromarray(value), Image.fromarray(alpha)]))
    check(data, np.dstack([value, alpha]))


def test_alpha_that_is_opaque_everywhere_is_no_loss(colours):
    check(save(np.dstack([colours, np.full((5, 7), 255, np.uint8)])), colours)


@pytest.mark.parametrize("colour_type, channels", [(GREY, 1), (RGB, 3), (GREY_ALPHA, 2), (RGBA, 4)])
def test_16_bits(colour_type, channels):
    samples = np.random.default_rng(1).integers(0, 65536, (6, 5, channels), dtype=np.uint16)
    check(png(samples, colour_type), (samples / 257).squeeze(), [DEEP], within=1)


@pytest.mark.parametrize("colour_type, channels", [(GREY, 1), (RGB, 3)])
def test_16_bits_with_a_key_colour(colour_type, channels):
    samples = np.random.default_rng(1).integers(0, 65536, (6, 5, channels), dtype=np.uint16)
    alpha = np.full((6, 5), 255)
    alpha[3, 4] = 0
    key = samples[3, 4].astype(">u2").tobytes()
    check(png(samples, colour_type, transparency=key), np.dstack([samples / 257, alpha]), [DEEP], within=1)


@pytest.mark.parametrize(
    "values, top",
    [(np.float32([[0, 0.25, 1]]), 1), (np.float32([[0, 60, 255]]), 255), (np.int32([[0, 700, 65535]]), 65535)],
)
def test_tiff_of_floats_and_wide_integers(values, top):
    check(save(values, "TIFF"), np.rint(values * (255.0 / top)), [DEEP])


def test_cmyk_jpeg():
    ink = (30, 100, 200, 40)
    expected = [(255 - ink[c]) * (255 - ink[3]) / 255 for c in range(3)]
    data = save(Image.merge("CMYK", [Image.new("L", (16, 9), v) for v in ink]), "JPEG", quality=100)
    check(data, np.broadcast_to(expected, (9, 16, 3)), [CMYK], within=3)


@pytest.mark.parametrize("form, options", [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_first_frame_of_an_animation(form, options):
    first, second = (Image.new("RGB", (4, 3), c) for c in ("red", "blue"))
    red = np.broadcast_to([255, 0, 0], (3, 4, 3))
    check(save(first, form, **options), red)
    check(save(first, form, save_all=True, append_images=[second], **options), red, [FRAMES])


@pytest.mark.parametrize("form, options", [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
@pytest.mark.parametrize("orientation", SHOWN)
def test_exif_orientation(orientation, form, options, colours):
    exif = Image.Exif()
    exif[0x0112] = orientation
    check(save(colours, form, exif=exif, **options), SHOWN[orientation](colours))


def test_exif_orientation_of_16_bits_and_of_alpha(colours):
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = colours[..., 0]
    check(save(grey * np.uint16(257), exif=exif), np.rot90(grey, -1), [DEEP])
    pixels = np.dstack([colours, colours[..., 1] // 2])
    check(save(pixels, exif=exif), np.rot90(pixels, -1))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_broken_exif_does_not_hide_the_picture(form, exif):
    data = save(Image.new("RGB", (9, 8), (10, 200, 30)), form, exif=exif)
    check(data, np.broadcast_to([10, 200, 30], (8, 9, 3)), within=3)


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_srgb_profile_changes_nothing(mode, colours):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    im = palette_image(colours) if mode == "P" else Image.fromarray(colours).convert(mode)
    if mode == "RGBA":
        im.putpixel((0, 0), (*map(int, colours[0, 0]), 0))
        colours = np.asarray(im)
    check(save(im, icc_profile=icc), colours, within=2)


@pytest.mark.parametrize("form, options", [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_profile_is_converted_to_srgb(form, options, colours):
    """Linear light with red and green exchanged: the oracle is sRGB's own curve."""
    expected = 255 * srgb_curve(colours[..., [1, 0, 2]] / 255)
    check(save(colours, form, icc_profile=profile([1, 0, 2]), **options), expected, within=2)


@pytest.mark.parametrize("deep", [False, True])
def test_grey_profile_is_converted(deep, colours):
    grey = colours[..., 0]
    expected = 255 * srgb_curve((grey / 255) ** 1.5)
    data = save(grey * np.uint16(257) if deep else grey, icc_profile=profile(gamma=1.5, grey=True))
    check(data, expected, [DEEP] if deep else [], within=2)


@pytest.mark.parametrize("alpha", [False, True])
def test_profile_of_a_palette_and_of_alpha(alpha, colours):
    shown = srgb_curve(colours[..., [1, 0, 2]] / 255) * 255
    im = palette_image(colours)
    if alpha:
        im.info["transparency"] = 0
        shown = np.dstack([shown, np.full((5, 7), 255)])
        shown[0, 0, 3] = 0
    check(save(im, icc_profile=profile([1, 0, 2])), shown, within=2)


@pytest.mark.parametrize(
    "icc", [b"garbage", profile()[:200], profile(grey=True)], ids=["garbage", "cut", "of another mode"]
)
def test_unusable_profile_is_noted(icc, colours):
    check(save(colours, icc_profile=icc), colours, [PROFILE])


def metadata(orientation=1):
    """EXIF and XMP, both with an orientation, as bytes."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", orientation
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="{orientation}"/></x:xmpmeta>'
    return exif.tobytes(), xmp.encode()


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_metadata_is_kept_where_asked_for(form, orientation, colours):
    exif, xmp = metadata(orientation)
    icc = profile([1, 0, 2])
    data = save(colours, form, exif=exif, xmp=xmp, icc_profile=icc)
    assert read_image(data).metadata == {}
    assert read_image(data, keep=("icc",)).metadata == {"icc": icc}
    kept = read_image(data, keep=("exif", "xmp", "icc")).metadata
    read = Image.Exif()
    read.load(kept["exif"])
    assert read[0x010F] == "a maker" and read.get(0x0112, 1) == 1
    assert b"xmpmeta" in kept["xmp"] and b'Orientation="6"' not in kept["xmp"]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_a_kept_profile_leaves_the_colours_as_they_are(mode, colours):
    icc = profile([1, 0, 2], grey=mode == "L")
    im = palette_image(colours) if mode == "P" else Image.fromarray(colours).convert(mode)
    picture = read_image(save(im, icc_profile=icc), keep=("icc",))
    expected = colours if mode in ("P", "RGBA") else np.asarray(im)
    assert np.array_equal(picture.pixels, expected) and picture.metadata == {"icc": icc}


def test_the_profile_of_cmyk_is_never_kept():
    data = save(Image.new("CMYK", (9, 9), (10, 20, 30, 40)), "JPEG", icc_profile=profile())
    picture = read_image(data, keep=("icc",))
    assert picture.metadata == {} and "the CMYK profile is not kept" in picture.notes


@pytest.mark.parametrize("suffix", WRITERS)
def test_metadata_is_written(suffix, colours):
    exif, xmp = metadata()
    kept = {"exif": exif, "icc": profile([1, 0, 2]), "xmp": xmp}
    read = read_image(write_image(colours, suffix, kept), keep=tuple(kept)).metadata
    assert {name: value.removeprefix(b"Exif\0\0") for name, value in read.items()} == {
        name: value.removeprefix(b"Exif\0\0") for name, value in kept.items()
    }


@pytest.mark.parametrize("data", [b"", b"\n", b"this is text, not a picture\n" * 9, b"\x9dP\x04?" + bytes(20)])
def test_other_bytes_are_no_picture(data):
    with pytest.raises(ImageError, match="^photo.png is not a picture") as error:
        read_image(data, "photo.png")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_every_cut_of_a_picture_is_an_error_or_the_picture(form):
    pixels = np.random.default_rng(2).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    data = save(pixels, form)
    whole = read_image(data).pixels
    for size in [*range(0, 200, 7), *range(200, len(data) - 40, 97)]:
        with pytest.raises(ImageError):
            read_image(data[:size])
    for size in range(len(data) - 40, len(data)):
        with contextlib.suppress(ImageError):
            assert np.array_equal(read_image(data[:size]).pixels, whole)


@given(
    form=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF"]),
    place=st.floats(0, 1, exclude_max=True),
    change=st.integers(1, 255),
)
def test_damaged_pictures_raise_nothing_but_image_errors(form, place, change):
    data = bytearray(save(np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3), form))
    data[int(place * len(data))] ^= change
    try:
        assert read_image(bytes(data)).pixels.dtype == np.uint8
    except ImageError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("size", [(50_000, 50_000), (14_000, 14_000), (MAX_PIXELS + 1, 1)])
def test_too_many_pixels(size):
    with pytest.raises(ImageError, match=f"at most {MAX_PIXELS}"):
        read_image(png(np.zeros((1, 1), np.uint16), GREY, size=size))


def test_the_limit_of_pixels_is_the_last_that_is_read():
    data = save(np.zeros((9, 11), np.uint8))
    assert read_image(data, max_pixels=99).pixels.shape == (9, 11)
    with pytest.raises(ImageError, match="has 11x9 pixels, at most 98.*--max-pixels"):
        read_image(data, max_pixels=98)


def test_the_limit_can_be_raised_above_pillow_s(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ImageError, match="at most 40"):
        read_image(save(np.zeros((9, 11), np.uint8)), max_pixels=40)
    assert read_image(save(np.zeros((9, 11), np.uint8)), max_pixels=99).pixels.shape == (9, 11)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize("suffix", WRITERS)
def test_written_pictures_are_read_back(suffix):
    lossless = suffix in (".png", ".webp")
    y, x = np.mgrid[0:37, 0:61]
    smooth = np.stack([x * 4, y * 6, 255 - x * 2], axis=-1).astype(np.uint8)
    noise = np.random.default_rng(3).integers(0, 256, (37, 61, 3), dtype=np.uint8)
    alpha = np.dstack([noise, 1 + smooth[..., 0] % 255])
    shapes = [smooth, noise, smooth[:1, :1], smooth[:1], smooth[:, :1], alpha, noise[..., 0], alpha[..., 2:]]
    for pixels in shapes if lossless else [smooth, smooth[..., 0]]:
        check(write_image(pixels, suffix), pixels, within=0 if lossless else 8)


@pytest.mark.parametrize("channels", [2, 4])
def test_jpeg_lays_a_picture_on_white(channels):
    clear = np.zeros((16, 16, channels), np.uint8)
    check(write_image(clear, ".jpg"), np.full((16, 16), 255))


@pytest.mark.parametrize("suffix, form", [(".png", "PNG"), (".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP")])
def test_the_suffix_names_the_format(suffix, form, colours):
    with Image.open(io.BytesIO(write_image(colours, suffix))) as im:
        assert im.format == form


@pytest.mark.parametrize("suffix, side", [(".jpg", 65_536), (".webp", 16_384)])
@pytest.mark.parametrize("wide", [False, True])
def test_pictures_too_long_for_their_format(suffix, side, wide, capfd):
    """The libraries below print nothing of their own."""
    pixels = np.zeros((1, side, 3) if wide else (side, 1, 3), dtype=np.uint8)
    with pytest.raises(OptionError, match=f"fit a {suffix} file") as error:
        write_image(pixels, suffix)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["photo.png", "photo.JPG", "a.b/photo.jpeg", "photo.odp.WebP"])
def test_suffixes_that_can_be_written(name, tmp_path):
    assert suffix_of(tmp_path / name) == "." + name.rpartition(".")[2].lower()


@pytest.mark.parametrize("name", ["photo", "photo.mov", "photo.odp", ".png", "photo.png.", "png"])
def test_suffixes_that_cannot(name, tmp_path):
    with pytest.raises(OptionError, match=".jpeg, .jpg, .png, .webp"):
        suffix_of(tmp_path / name)
