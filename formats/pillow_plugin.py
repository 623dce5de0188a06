"""Pillow reads and writes .odp files once this module is imported, or `register_odp_opener()` is called.

`Image.open` parses the header and no more; the picture is decoded, and the model loaded, when its pixels are
first asked for. `im.save("photo.odp", q=64)` encodes. The codec, which is above this layer and imports it, is
imported when it is needed: opening a file stays light, and neither waits for the other.
"""

import io

import numpy as np
from PIL import Image, ImageCms, ImageFile

from odpiece.formats.container import MAGIC, unpack
from odpiece.formats.errors import NotOdpError, OdpieceError

FORMAT = "ODP"
MIME = "image/x-odp"
EXTENSIONS = [".odp", ".odpi"]
MODES = ("1", "L", "RGB", "CMYK", "YCbCr", "P")  # what can be saved: 8-bit modes, all without transparency


class OdpImageFile(ImageFile.ImageFile):
    """An .odp file; `info["q"]` is its quality. Damage raises OSError: of the header when opened, else by load()."""

    format = FORMAT
    format_description = "odpiece picture"
    _data = None  # the file's bytes until they are decoded

    def _open(self):
        self._data = self.fp.read()
        try:
            header = unpack(self._data)[0]
        except NotOdpError as error:
            raise SyntaxError(str(error)) from None  # Pillow tries its other plugins
        except OdpieceError as error:
            raise OSError(str(error)) from error
        self._size, self._mode = (header.width, header.height), "RGB"
        self.info["q"] = header.q

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
    """Write `im` to the open file `fp`; the option `q` (default 64) is the most tokens a 64x64 piece keeps.

    Raises OptionError, a ValueError, for a wrong `q`, and OSError for a mode that cannot be kept.
    """
    from odpiece.codec import encode

    if im.mode not in MODES or im.has_transparency_data:
        what = "transparency" if im.has_transparency_data else f"mode {im.mode}"
        raise OSError(f"cannot write {what} as ODP: convert the picture to RGB first")
    options = {"q": im.encoderinfo["q"]} if "q" in im.encoderinfo else {}
    fp.write(encode(np.asarray(_to_srgb(im)), **options))


def _to_srgb(im):
    """`im` in mode RGB, its colours converted to sRGB by its ICC profile if there is a usable one."""
    profile = im.encoderinfo.get("icc_profile", im.info.get("icc_profile"))
    if im.mode not in ("L", "CMYK"):
        im = im.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(im, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a profile that cannot be used says nothing about the colours
    return im.convert("RGB")


def register_odp_opener():
    """Make Pillow know .odp files; the import of this module has done so already."""
    Image.register_open(FORMAT, OdpImageFile, lambda prefix: prefix.startswith(MAGIC))
    Image.register_save(FORMAT, _save)
    Image.register_extensions(FORMAT, EXTENSIONS)
    Image.register_mime(FORMAT, MIME)


register_odp_opener()
