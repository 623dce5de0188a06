"""Where the time goes from the start of a process to the picture of a 256x256 file, part by part.

    python benchmarks/start.py PICTURE

Prints milliseconds and a bar of each part, medians of RUNS processes, one part after another as a single thread takes
them: `odpiece decode` loads the network in a thread meanwhile.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 7
SIDE = 256  # pixels
WIDTH = 40  # characters of the longest bar
PARTS = {
    "numpy, onnxruntime": "import numpy, onnxruntime",
    "command line": "import odpiece.cli.main, odpiece.cli.decode",
    "codec": "import odpiece.codec.batch.work, odpiece.codec.bands.picture, odpiece.models.onnx_backend",
    "tokens": "from odpiece.codec.files import read; contents = read(open(sys.argv[1], 'rb').read())",
    "network": "contents.model.transform.prepare_for('faithful', 64, 16); join()",
    "pixels": "pixels = contents.colours()",
    "PNG": "from odpiece.formats.png import pack_png; pack_png(pixels)",
}
PROGRAM = """
import json, sys, threading, time
def join():
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join()
times = []
for part in json.loads(sys.argv[2]):
    started = time.perf_counter()
    exec(part)
    times.append(time.perf_counter() - started)
print(json.dumps(times))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "small.odp")
        file.write_bytes(small_file(options.picture))
        runs = [timed(file) for _ in range(RUNS)]
    times = {name: 1000 * statistics.median(run[name] for run in runs) for name in runs[0]}
    print("| part | ms | |\n|---|---|---|")
    for name, milliseconds in times.items():
        print(f"| {name} | {milliseconds:.0f} | {'#' * round(WIDTH * milliseconds / max(times.values()))} |")


def small_file(path):
    """The bytes of an .odp file of the middle of the picture `path`, at q = 64."""
    from odpiece.codec import encode
    from odpiece.formats.images import read_image

    pixels = read_image(path.read_bytes()).pixels
    top, left = ((n - SIDE) // 2 for n in pixels.shape[:2])
    return encode(pixels[top : top + SIDE, left : left + SIDE], 64, effort=0)


def timed(file):
    """{part: seconds} of a process that decodes `file`; what remains of its time is Python's own."""
    command = [sys.executable, "-c", PROGRAM, str(file), json.dumps(list(PARTS.values()))]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(zip(PARTS, json.loads(made.stdout)))


if __name__ == "__main__":
    main()
