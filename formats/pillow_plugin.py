"""Pillow reads and writes .odp files once this module is imported, or `register_odp_opener()` is called.

`Image.open` parses header and chunks and no more; the picture is decoded, and the model loaded, when its pixels are
first asked for. `im.save("photo.odp", q=64)` encodes. Where
ImageFile.LOAD_TRUNCATED_IMAGES is set, cut files load, too. The codec, which is above this layer and imports it, is
imported when it is needed: opening a file stays light, and neither waits for the other.
"""

import io

import numpy as np
from PIL import Image, ImageCms, ImageFile

from odpiece.formats.chunks import ChunkType, metadata_of
from odpiece.formats.container import MAGIC, unpack
from odpiece.formats.errors import NotOdpError, OdpieceError, OptionError
from odpiece.formats.metadata import NAMES
from odpiece.formats.scales import shown_scale

FORMAT = "ODP"
MIME = "image/x-odp"
EXTENSIONS = [".odp", ".odpi"]
GREY_MODES = ("1", "L", "LA")
NO_LIMIT = float("inf")  # of pixels: Image.open has one
LOOK = "faithful"  # as the codec's, which is not imported before it is needed
OPTIONS = ("q", "size", "effort", "scale", "tune", "icc_profile", "exif", "xmp")  # of im.save
MODES = (*GREY_MODES, "RGB", "RGBA", "CMYK", "YCbCr", "P", "PA")  # what can be saved: modes of at most 8 bits


class OdpImageFile(ImageFile.ImageFile):
    """An .odp file; `info["q"]` is its quality, `info["scale"]` 1, 1/2 or 1/4.

    Damage raises OSError: of the header when opened, else by load().
    """

    format = FORMAT
    format_description = "odpiece picture"
    _data = None  # the file's bytes until they are decoded
    _look = None  # that of the decoded pixels

    def _open(self):
        self._data = self.fp.read()
        try:
            header, chunks, _ = unpack(self._data, max_pixels=NO_LIMIT, partial=ImageFile.LOAD_TRUNCATED_IMAGES)
            metadata = metadata_of(chunks)
        except NotOdpError as error:
            raise SyntaxError(str(error)) from None  # Pillow tries its other plugins
        except OdpieceError as error:
            raise OSError(str(error)) from error
        alpha = any(chunk.type == ChunkType.ALPHA for chunk in chunks)
        self._size = header.width, header.height
        self._mode = ("L" if header.grey else "RGB") + alpha * "A"
        self.info |= {"q": header.quality, "scale": shown_scale(header.scale)} | {
            NAMES[name]: value for name, value in metadata.items()
        }

    def load(self, look=None):
        """Decode the pixels, if they are not yet: with `look` "natural" they have grain where texture is missing.

        Raises OptionError, a ValueError, for another look than "faithful" and "natural", or than the pixels have.
        """
        if self._data is not None:
            decoded = _decode(self._data, look or LOOK)
            self.im, self._mode, self._data, self._look = decoded.im, decoded.mode, None, look or LOOK
            self._close()
        elif look not in (None, self._look):
            raise OptionError(f"the pixels are loaded with look {self._look}: open the file again")
        return super().load()

    def verify(self):
        """Raise OSError where the file is damaged: its checksums are tried, but no pixels are made of it."""
        if self._data is not None:
            _contents(self._data)
        self._close()

    def _close(self):
        if self.fp and self._exclusive_fp:
            self.fp.close()
        self.fp = None


def _decode(data, look):
    """The Image in the bytes of an .odp file, of what is certain of it where Pillow is told to load cut files."""
    contents = _contents(data, partial=ImageFile.LOAD_TRUNCATED_IMAGES)
    try:
        return Image.fromarray(contents.picture(contents.tokens, look))
    except OptionError:
        raise
    except OdpieceError as error:
        raise OSError(str(error)) from error


def _contents(data, partial=False):
    """The codec's Contents of the bytes of an .odp file."""
    from odpiece.codec.files import read, read_partial

    try:
        return (read_partial if partial else read)(data, max_pixels=NO_LIMIT)
    except OdpieceError as error:
        raise OSError(str(error)) from error


def _save(im, fp, filename):
    """Write `im` to the open file `fp`.

    Options: `q`, the most tokens that 64x64 pixels keep (default 64), or `size`, the most bytes; `effort` 0..9; `scale`
    and `tune` as of `encode`; `exif` and `xmp`, metadata to keep; `icc_profile`, that of the colours, made sRGB.
    Raises OptionError, a ValueError, for other options and wrong values, and OSError for a mode that cannot be kept.
    """
    options = dict(im.encoderinfo)
    if unknown := options.keys() - OPTIONS:
        raise OptionError(f"ODP has no option {', '.join(sorted(unknown))}: give some of {', '.join(OPTIONS)}")
    if "q" in options and "size" in options:
        raise OptionError("give q or size, not both")
    if im.mode not in MODES:
        raise OSError(f"cannot write mode {im.mode} as ODP: convert the picture to L or RGB first")
    metadata = {name: options.pop(name) for name in ("exif", "xmp") if options.get(name)}
    if isinstance(metadata.get("exif"), Image.Exif):
        metadata["exif"] = metadata["exif"].tobytes()
    taken = {name: options[name] for name in ("q", "size", "effort", "scale", "tune") if name in options}
    fp.write(_encoder(taken)(_to_pixels(im), **taken, metadata=metadata))


def _encoder(options):
    """The function of the codec that takes these options."""
    if "size" in options:
        from odpiece.codec.targets import encode_to_size

        return encode_to_size
    from odpiece.codec import encode

    return encode


def _to_pixels(im):
    """uint8 pixels as the codec takes them: grey stays grey, transparency alpha."""
    colours = np.asarray(_to_srgb(im).convert("L" if im.mode in GREY_MODES else "RGB"))
    if not im.has_transparency_data:
        return colours
    return np.dstack([colours, im.convert("RGBA").getchannel("A")])


def _to_srgb(im):
    """`im` in mode L or RGB, its colours converted to sRGB by its ICC profile if there is a usable one."""
    profile = im.encoderinfo.get("icc_profile", im.info.get("icc_profile"))
    if im.mode != "CMYK":
        im = im.convert("L" if im.mode in GREY_MODES else "RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(im, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a profile that cannot be used says nothing about the colours
    return im


def register_odp_opener():
    """Make Pillow know .odp files; the import of this module has done so already."""
    Image.register_open(FORMAT, OdpImageFile, lambda prefix: prefix.startswith(MAGIC))
    Image.register_save(FORMAT, _save)
    Image.register_extensions(FORMAT, EXTENSIONS)
    Image.register_mime(FORMAT, MIME)


register_odp_opener()
