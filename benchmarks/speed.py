"""Megapixels per second of encoding and decoding, beside other codecs, and what each part takes.

    python benchmarks/speed.py FOLDER [MEGAPIXELS ...]

Pictures are mosaics of the photographs in FOLDER, of the sizes nearest to MEGAPIXELS (default: all of SIZES), kept as
PNG. First whole commands by turns, from process start to finished file: START, odpiece, and cwebp -m 6, avifenc -s 4
and -s 6, cjxl -e 7 (at their own qualities; Debian: webp, libavif-bin, libjxl-tools), each decoded to PNG; and
odpiece's speed as a multiple of theirs. Then the parts of odpiece inside one process whose networks are loaded. Last
the networks' rate of multiplications and additions beside that of a product of large matrices. Needs odpiece[torch]
for ONNX. Parts of the start: benchmarks/start.py.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from mosaics import mosaic, read_folder
from onnx import helper

from odpiece.codec.bands.coders import coder_of
from odpiece.codec.bands.quantization import source
from odpiece.codec.bands.segments import encode_segments
from odpiece.codec.bands.windows import analyze, synthesize
from odpiece.codec.files import read
from odpiece.codec.range_coder import Reader, Writer
from odpiece.formats.container import CoderId, Header, pack
from odpiece.formats.files import read_bytes, write_bytes
from odpiece.formats.images import read_image, write_image
from odpiece.models.interface import LOOKS
from odpiece.models.library import load_model
from odpiece.models.prior import Predictor

SIZES = {0.07: (256, 256), 0.4: (768, 512), 2: (1664, 1216), 12: (4000, 3000), 48: (8000, 6000)}
Q = 64
SCALES = {"pixels": 1, "band0": 64, "band1": 32, "band2": 16, "noise4": 4, "noise2": 2, "noise1": 1}
WEIGHTS = Path(__file__).parent.parent / "models" / "weights"
RUNS = 3  # of which the median counts; one of pictures above MANY megapixels
MANY = 20
START = "python -c 'import numpy, onnxruntime'"
COMMANDS = {  # encode, decode
    START: (START, START),
    "odpiece -e 0": ("odpiece encode IN -o OUT.odp -e 0", "odpiece decode IN -o OUT.png"),
    "odpiece": ("odpiece encode IN -o OUT.odp", "odpiece decode IN -o OUT.png --look natural"),
    "cwebp -m 6": ("cwebp -quiet -mt -m 6 IN -o OUT.webp", "dwebp -quiet -mt IN -o OUT.png"),
    "avifenc -s 4": ("avifenc -s 4 -j all IN OUT.avif", "avifdec -j all IN OUT.png"),
    "avifenc -s 6": ("avifenc -s 6 -j all IN OUT.avif", "avifdec -j all IN OUT.png"),
    "cjxl -e 7": ("cjxl --quiet -e 7 IN OUT.jxl", "djxl --quiet IN OUT.png"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("megapixels", type=float, nargs="*", default=list(SIZES))
    options = parser.parse_args()
    pictures = read_folder(options.folder)
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in options.megapixels:
            size = SIZES[min(SIZES, key=lambda known: abs(known - megapixels))]
            png = Path(folder, "picture.png")
            png.write_bytes(write_image(mosaic(pictures, *size)))
            print(f"\n{size[0]}x{size[1]}, {size[0] * size[1] / 1e6:.2f} megapixels\n")
            show_commands(png, size[0] * size[1] / 1e6)
            show_parts(png, size[0] * size[1] / 1e6)
    show_peak(mosaic(pictures, *SIZES[2]))


def show_commands(png, megapixels):
    programs = {name: found for name, commands in COMMANDS.items() if (found := [installed(c) for c in commands])[0]}
    for missing in COMMANDS.keys() - programs.keys():
        print(f"{missing} is not installed")
    runs = [
        {name: times_and_bytes(commands, png) for name, commands in programs.items()} for _ in range(rounds(megapixels))
    ]
    times = {name: [statistics.median(run[name][i] for run in runs) for i in (0, 1)] for name in programs}
    print("| command | encode s | MP/s | to START | bytes | decode s | MP/s | to START |\n" + "|---" * 8 + "|")
    for name, seconds in times.items():
        cells = [f"{s:.3f} | {megapixels / s:.2f} | {s / t:.2f}" for s, t in zip(seconds, times[START])]
        print(f"| {name} | {cells[0]} | {runs[0][name][2]} | {cells[1]} |")
    show_ratios({name: seconds for name, seconds in times.items() if name != START})


def show_ratios(times):
    """Print how many times as fast as each peer odpiece encodes and decodes; `times` are pairs of seconds by name."""
    ours, peers = ([name for name in times if name.startswith("odpiece") == kind] for kind in (True, False))
    print("\nodpiece's speed as a multiple of a peer's\n\n| | encode | decode |\n|---|---|---|")
    for name, peer in product(ours, peers):
        ratios = [f"{theirs / seconds:.2f}" for seconds, theirs in zip(times[name], times[peer])]
        print(f"| {name} / {peer} | {ratios[0]} | {ratios[1]} |", flush=True)


def installed(command):
    """The words of a command with the path of its program, None where it is not there."""
    program, *words = shlex.split(command)
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return found and [found, *words]


def times_and_bytes(commands, png):
    """(seconds to encode, to decode, bytes) of the two commands, each as `installed` gives it."""
    seconds, sizes, given = [], [], png
    for command in commands:
        suffix = next((Path(word).suffix for word in command if word.startswith("OUT")), "")
        made = png.with_name("made" + suffix)
        words = [str(given) if word == "IN" else str(made) if word.startswith("OUT") else word for word in command]
        seconds.append(timed_process(words, made))
        sizes.append(made.stat().st_size if made.exists() else 0)
        given = made
    return *seconds, sizes[0]


def timed_process(command, made):
    """Seconds from the start of a process to its end; it writes the file `made`."""
    made.unlink(missing_ok=True)
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def rounds(megapixels):
    """How often everything is timed."""
    return 1 if megapixels > MANY else RUNS


def show_parts(png, megapixels):
    encode_parts(png)
    decode_parts(png)  # by now the networks are loaded
    for name, function in (("encode -e 0", encode_parts), ("decode", decode_parts)):
        runs = [function(png) for _ in range(rounds(megapixels))]
        parts = {part: statistics.median(run[part] for run in runs) for part in runs[0]}
        text = ", ".join(f"{part} {seconds:.3f}" for part, seconds in parts.items())
        print(f"\n{name}, s: {text}; together {sum(parts.values()):.2f}, {megapixels / sum(parts.values()):.2f} MP/s")


def encode_parts(png):
    """{part: seconds} of `encode -e 0`; writes a file beside `png`."""
    model, parts, lap = load_model(), {}, Lap()
    pixels = read_image(read_bytes(png)).pixels
    parts["read"] = lap()
    latents = analyze(model.transform, pixels, Q)
    parts["analysis"] = lap()
    header = Header(*pixels.shape[1::-1], Q, CoderId.LEARNED, model.fingerprint)
    coder, table = coder_of(CoderId.LEARNED, model), model.static_tables["latents"]
    with Shares() as shares:
        segments, tokens = encode_segments(lambda s: source(s.crop(latents), Q, coder, table), coder, header)
    parts |= shares.of(lap())
    write_bytes(png.with_suffix(".odp"), pack(header, segments), force=True)
    parts["write"] = lap()
    return parts


def decode_parts(png):
    """{part: seconds} of decoding the file beside `png`."""
    parts, data = {}, read_bytes(png.with_name("made.odp"))
    lap = Lap()
    with Shares() as shares:
        contents = read(data)
    parts |= shares.of(lap())
    size = contents.header.height, contents.header.width
    pixels = synthesize(contents.model.transform, contents.tokens, contents.header.q, LOOKS[0], size)
    parts["synthesis"] = lap()
    write_bytes(png.with_name("parts.png"), write_image(pixels), force=True)
    parts["write"] = lap()
    return parts


class Lap:
    """A call gives the seconds since the last one."""

    def __init__(self):
        self._last = time.perf_counter()

    def __call__(self):
        last, self._last = self._last, time.perf_counter()
        return self._last - last


class Shares:
    """Counts the processor time that all threads spend inside it in the prior and in the range coder."""

    METHODS = {(Predictor, "predict"): "prior"} | {
        (channel, name): "coder" for channel in (Writer, Reader) for name in ("symbols", "uniform")
    }

    def __enter__(self):
        self._spent, self._lock = Counter(), threading.Lock()
        self._began = time.process_time()
        self._kept = {(owner, name): getattr(owner, name) for owner, name in self.METHODS}
        for (owner, name), method in self._kept.items():
            setattr(owner, name, self._counted(method, self.METHODS[owner, name]))
        return self

    def __exit__(self, *error):
        self._all = time.process_time() - self._began
        for (owner, name), method in self._kept.items():
            setattr(owner, name, method)

    def _counted(self, method, part):
        def counted(*arguments):
            started = time.thread_time()
            try:
                return method(*arguments)
            finally:
                with self._lock:
                    self._spent[part] += time.thread_time() - started

        return counted

    def of(self, seconds):
        """{part: seconds} of the wall time: parts share it as they share the processor time."""
        prior, coder = (self._spent[part] / self._all * seconds for part in ("prior", "coder"))
        return {"tokens": seconds - prior - coder, "prior": prior, "coder": coder}


def show_peak(pixels):
    """Print the rates of the networks on `pixels`, and of a product of matrices, in GFLOP/s."""
    model, side = load_model(), 2048
    a = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    session = product_session(side)
    rates = [2e-9 * side**3 / fastest(run) for run in (lambda: a @ a, lambda: session.run(None, {"a": a}))]
    peak = max(rates)
    print(f"\nfloat32 matrices of {side}x{side}: {rates[0]:.0f} GFLOP/s by numpy, {rates[1]:.0f} by onnxruntime")
    latents = model.transform.analyze(pixels)
    runs = {"analysis": lambda: model.transform.analyze(pixels)}
    runs |= {look: lambda look=look: model.transform.synthesize(latents, Q, look) for look in LOOKS}
    for name, run in runs.items():
        work = macs_a_pixel(model, name)
        rate = 2e-9 * work * pixels[..., 0].size / fastest(run)
        print(f"{name}: {work:.0f} multiplications and additions a pixel, {rate:.0f} GFLOP/s, {rate / peak:.0%}")


def product_session(side):
    """A session of onnxruntime that multiplies a matrix "a" by itself."""
    a, b = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [side, side]) for name in "ab")
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "a"], ["b"])], "product", [a], [b])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def fastest(function):
    """The seconds of the fastest of five calls."""
    lap = Lap()
    return min((function(), lap())[1] for _ in range(6))


def macs_a_pixel(model, name):
    """Multiplications, each with an addition, of the convolutions of a graph, for each pixel of the picture."""
    graph = onnx.load(WEIGHTS / f"{model.name}.{name}.onnx", load_external_data=False).graph
    shapes, total = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}, 0.0
    scale = {value.name: SCALES.get(value.name) for value in graph.input}  # pixels a place, along a side
    for node in graph.node:
        here = next((scale[name] for name in node.input if scale.get(name)), None)
        factor = next((a.i for a in node.attribute if a.name == "blocksize"), 1)
        if node.op_type == "DequantizeLinear":  # of integer weights
            shapes[node.output[0]] = shapes.get(node.input[0])
        if node.op_type == "Conv":
            here *= next((a.ints[0] for a in node.attribute if a.name == "strides"), 1)
            total += np.prod(shapes[node.input[1]]) / here**2
        scale |= {output: here / factor if here else None for output in node.output}
    return total


if __name__ == "__main__":
    main()
