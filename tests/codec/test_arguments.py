"""Whatever is given to the codec's functions: either it is taken, or the error is one of ours, of one line."""

import io
import mmap
import pickle
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from odpiece.codec import decode, decode_tokens, encode, encode_tokens, load_model, read_tokens, truncate
from odpiece.codec.channels import split_channels
from odpiece.codec.targets import encode_to_psnr, encode_to_size
from odpiece.formats.errors import DamagedError, ImageError, OdpieceError, OptionError, UnknownModelError

PIXELS = np.full((20, 30, 3), 90, np.uint8)
TOKENS = np.zeros((1, 1, 4, 3), int)
ODD = {
    "none": None,
    "text": "text",
    "number": 3,
    "float": 1.0,
    "nan": float("nan"),
    "array": np.arange(3),
    "texts": np.array(["a", "b"]),
    "list": [1, [2, 3]],
    "dict": {"a": 1},
    "object": object(),
    "set": {1, "a"},
    "class": int,
}
CALLS = {
    "encode pixels": lambda odd: encode(odd),
    "encode q": lambda odd: encode(PIXELS, odd),
    "encode effort": lambda odd: encode(PIXELS, 2, effort=odd),
    "encode coder": lambda odd: encode(PIXELS, 2, effort=0, coder=odd),
    "encode fixed": lambda odd: encode(PIXELS, 2, effort=0, fixed=odd),
    "encode model": lambda odd: encode(PIXELS, 2, effort=0, model=odd),
    "encode overlap": lambda odd: encode(PIXELS, 2, effort=0, overlap=odd),
    "encode metadata": lambda odd: encode(PIXELS, 2, effort=0, metadata=odd),
    "encode exif": lambda odd: encode(PIXELS, 2, effort=0, metadata={"exif": odd}),
    "encode_to_size effort": lambda odd: encode_to_size(PIXELS, 100, effort=odd),
    "encode_to_psnr pixels": lambda odd: encode_to_psnr(odd, 20, effort=0),
    "decode data": lambda odd: decode(odd),
    "decode tokens": lambda odd: decode(data(), tokens=odd),
    "decode look": lambda odd: decode(data(), look=odd),
    "decode model": lambda odd: decode(data(), model=odd),
    "decode max_pixels": lambda odd: decode(data(), max_pixels=odd),
    "truncate data": lambda odd: truncate(odd, 1),
    "truncate tokens": lambda odd: truncate(data(), odd),
    "encode_tokens pixels": lambda odd: encode_tokens(odd),
    "read_tokens data": lambda odd: read_tokens(odd),
    "decode_tokens tokens": lambda odd: decode_tokens(odd, 4),
    "decode_tokens q": lambda odd: decode_tokens(TOKENS, odd),
    "decode_tokens size": lambda odd: decode_tokens(TOKENS, 4, size=odd),
    "decode_tokens height": lambda odd: decode_tokens(TOKENS, 4, size=(odd, 64)),
    "decode_tokens look": lambda odd: decode_tokens(TOKENS, 4, look=odd),
    "decode_tokens model": lambda odd: decode_tokens(TOKENS, 4, model=odd),
    "load_model name": lambda odd: load_model(odd),
    "load_model backend": lambda odd: load_model(backend=odd),
    "load_model device": lambda odd: load_model(device=odd),
}
TAKEN = {  # what of the odd is right
    *((call, "none") for call in CALLS if call.split()[1] in ("coder", "model", "overlap", "metadata", "exif", "name")),
    *((f"decode{call}", "none") for call in (" tokens", "_tokens size")),
    *((call, "number") for call in ("encode q", "encode fixed", "truncate tokens", "decode tokens", "decode_tokens q")),
    *((call, "number") for call in ("encode effort", "encode_to_size effort")),
    ("decode_tokens height", "number"),
}


def data():
    return encode(PIXELS, 2, effort=0)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("call", CALLS)
def test_every_error_is_ours(call, odd):
    if (call, odd) in TAKEN:
        CALLS[call](ODD[odd])
        return
    with pytest.raises(OdpieceError) as caught:
        CALLS[call](ODD[odd])
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "wrap", [bytearray, memoryview, lambda d: np.frombuffer(d, np.uint8), lambda d: memoryview(d * 2)[: len(d)]]
)
def test_bytes_of_any_kind_are_decoded(wrap):
    np.testing.assert_array_equal(decode(wrap(data())), decode(data()))
    np.testing.assert_array_equal(read_tokens(wrap(data())), read_tokens(data()))
    assert truncate(wrap(data()), 1) == truncate(data(), 1)


def test_bytes_that_are_gone():
    view, memory = memoryview(data()), mmap.mmap(-1, 100)
    view.release()
    memory.close()
    for gone in (view, memory):
        with pytest.raises(OptionError, match="give the bytes"):
            decode(gone)


@pytest.mark.parametrize("size", [np.array([20, 30]), [20, 30], (np.int64(20), np.uint8(30))])
def test_sizes_of_any_kind_of_whole_numbers(size):
    assert decode_tokens(TOKENS, 4, size=size).shape == (20, 30, 3)


def test_a_closed_image(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as lazy:
        pass
    loaded = Image.fromarray(PIXELS)
    loaded.close()
    for image in (lazy, loaded):
        with pytest.raises(ImageError, match="cannot be read: ."):
            encode(image, 2)


WRITABLE = ["AVIF", "BMP", "DDS", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI"]
WRITABLE += ["SGI", "SPIDER", "TGA", "TIFF", "WEBP", "XBM"]


@pytest.mark.filterwarnings("ignore")  # Pillow's, about the damage
@pytest.mark.parametrize("form", WRITABLE)
def test_damaged_images_of_every_kind(form, photo):
    """Opened by Pillow, read only by `encode`: a picture, or an ImageError."""
    image = Image.fromarray(photo[:64, :64]).convert({"XBM": "1", "SPIDER": "F"}.get(form, "RGB"))
    if form not in Image.SAVE:
        Image.init()
    out = io.BytesIO()
    try:
        image.save(out, form)
    except (KeyError, OSError) as error:
        pytest.skip(f"this Pillow does not write {form}: {error}")
    whole, rng, opened = out.getvalue(), np.random.default_rng(0), 0
    for number in range(24):
        damaged = bytearray(whole[: rng.integers(8, len(whole))] if number % 2 else whole)
        for at in rng.integers(8, len(damaged), 1 + number % 4) if number % 3 else ():
            damaged[at] ^= 1 << number % 8
        try:
            im = Image.open(io.BytesIO(damaged))
        except Exception:  # the program's own affair
            continue
        if im.width * im.height > 1 << 20:
            continue
        opened += 1
        try:
            split_channels(im)  # with which encode begins
        except OdpieceError as error:
            assert len(str(error).splitlines()) == 1
    assert opened


def copied(folder, name, tensors=None, without=()):
    """A weights file of this name with the graphs of the installed model, and its tensors unless others are given."""
    source = load_model().path
    for graph in source.parent.glob(f"{source.stem}.*.onnx"):
        shutil.copy(graph, folder / graph.name.replace(source.stem, name))
    with safe_open(source, "numpy") as f:
        found = {key: f.get_tensor(key) for key in f.keys() if not key.startswith(tuple(without))}
        save_file(found if tensors is None else tensors, folder / f"{name}.safetensors", metadata=f.metadata())
    return folder / f"{name}.safetensors"


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("without", ["prior.", "static.", "analysis.", "prior.tables"])
def test_models_that_lack_something(without, backend, tmp_path):
    if backend == "torch":
        pytest.importorskip("torch")
    model = load_model(copied(tmp_path, "part", without=[without]), backend=backend)
    with pytest.raises(DamagedError):
        encode(PIXELS, 2, effort=0, model=model)


def test_models_of_other_files(tmp_path):
    (tmp_path / "plain.safetensors").write_bytes(b"text" * 99)
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    path = copied(tmp_path, "graphs")
    (tmp_path / "graphs.analysis.onnx").write_bytes(b"text" * 99)
    for name in ("plain", "other", "graphs"):
        with pytest.raises(DamagedError):
            encode(PIXELS, 2, effort=0, model=load_model(path.with_stem(name)))


def test_models_whose_file_is_gone(tmp_path):
    path = copied(tmp_path, "gone")
    model = load_model(path)
    path.unlink()
    with pytest.raises(DamagedError, match="gone"):
        encode(PIXELS, 2, effort=0, model=model)


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "/", "nowhere/at all.safetensors"])
def test_names_of_no_model(name):
    with pytest.raises(OdpieceError):
        load_model(name)


def test_tokens_of_tiles_are_no_tokens_of_bands(tiny):
    with pytest.raises(OptionError, match="tiny"):
        decode_tokens(TOKENS, 4, model=tiny)


def test_models_are_pickled_by_name_and_hash(tiny_copy, monkeypatch, tmp_path):
    for model in (load_model(), tiny_copy):
        packed = pickle.dumps(model)
        assert len(packed) < 500 and pickle.loads(packed) is model
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "models", elsewhere)
    with pytest.raises(UnknownModelError, match=f"tiny .*{tiny_copy.sha256}"):
        pickle.loads(packed)
    (elsewhere / "tiny").rename(elsewhere / "renamed")
    monkeypatch.setenv("ODPIECE_MODELS", str(elsewhere))
    assert (pickle.loads(packed).name, pickle.loads(packed).sha256) == ("renamed", tiny_copy.sha256)


def test_a_model_of_another_hash_is_not_taken_for_the_pickled_one(tiny_copy):
    packed = pickle.dumps(tiny_copy)
    record = tiny_copy.path.parent / "model.json"
    record.write_text(record.read_text().replace(tiny_copy.sha256, "0" * 64))
    tiny_copy.path.write_bytes(b"other weights")
    with pytest.raises(UnknownModelError):
        pickle.loads(packed)


def test_models_by_path_are_pickled(tmp_path):
    path = copied(tmp_path, "mine", without=["scales."])
    model = load_model(path, backend="onnx")
    again = pickle.loads(pickle.dumps(model))
    assert (again.name, again.path, again.backend) == ("mine", path, "onnx")
