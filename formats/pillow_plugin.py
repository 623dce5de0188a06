"""Pillow reads and writes .odp files once this module is imported, or `register_odp_opener()` is called.

`Image.open` parses header and chunks and no more; the picture is decoded, and the model loaded, when its pixels are
first asked for. `im.save("photo.odp", q=64)` encodes. The codec, which is above this layer and imports it, is
imported when it is needed: opening a file stays light, and neither waits for the other.
"""

import io

import numpy as np
from PIL import Image, ImageCms, ImageFile

from odpiece.formats.chunks import ChunkType, metadata_of
from odpiece.formats.container import MAGIC, unpack
from odpiece.formats.errors import NotOdpError, OdpieceError
from odpiece.formats.images import NAMES
from odpiece.formats.scales import shown_scale

FORMAT = "ODP"
MIME = "image/x-odp"
EXTENSIONS = [".odp", ".odpi"]
GREY_MODES = ("1", "L", "LA")
MODES = (*GREY_MODES, "RGB", "RGBA", "CMYK", "YCbCr", "P", "PA")  # what can be saved: modes of at most 8 bits


class OdpImageFile(ImageFile.ImageFile):
    """An .odp file; `info["q"]` is its quality, `info["scale"]` 1, 1/2 or 1/4.

    Damage raises OSError: of the header when opened, else by load().
    """

    format = FORMAT
    format_description = "odpiece picture"
    _data = None  # the file's bytes until they are decoded

    def _open(self):
        self._data = self.fp.read()
        try:
            header, chunks, _ = unpack(self._data)
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

    def load(self):
        if self._data is not None:
            decoded = _decode(self._data)
            self.im, self._mode, self._data = decoded.im, decoded.mode, None
            if self.fp and self._exclusive_fp:
                self.fp.close()
            self.fp = None
        return super().load()


def _decode(data):
    """The Image in the bytes of an .odp file."""
    from odpiece.codec import decode

    try:
        return Image.fromarray(decode(data))
    except OdpieceError as error:
        raise OSError(str(error)) from error


def _save(im, fp, filename):
    """Write `im` to the open file `fp`; the options `q` (default 64) and `scale` are those of `encode`.

    Raises OptionError, a ValueError, for a wrong one, and OSError for a mode that cannot be kept.
    """
    from odpiece.codec import encode

    if im.mode not in MODES:
        raise OSError(f"cannot write mode {im.mode} as ODP: convert the picture to L or RGB first")
    options = {name: im.encoderinfo[name] for name in ("q", "scale") if name in im.encoderinfo}
    fp.write(encode(_to_pixels(im), **options))


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
