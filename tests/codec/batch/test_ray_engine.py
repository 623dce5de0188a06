"""A folder on a Ray cluster of several nodes on this machine, one of which is killed while it works."""

import json
import os
import select
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image

from odpiece.codec.batch import ray_engine
from odpiece.codec.batch.processes import do_all
from odpiece.codec.batch.work import Encoding, Job
from odpiece.formats.errors import OptionError

pytest.importorskip("ray.data", reason="needs odpiece[ray]")

QUALITY = 3
PROGRAM = "from odpiece.cli.main import main; main()"
# Prints the address of a cluster: a head without work and two nodes of one actor each. For each name that it reads it
# kills the node on which a process has that file open.
CLUSTER = """
import os, sys
from pathlib import Path
from ray.cluster_utils import Cluster

def readers(name):
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) == name for link in process.glob("fd/*")):
                yield int(process.name)
        except OSError:
            pass

def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

options = {"include_dashboard": False, "_system_config": {"health_check_period_ms": 500}}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0} | options)
nodes = [cluster.add_node(wait=False, num_cpus=1) for _ in range(2)]
nodes = {node.all_processes["raylet"][0].process.pid: node for node in nodes}
cluster.wait_for_nodes(timeout=3600)
print(cluster.address, flush=True)
for line in sys.stdin:
    raylets = {parent(pid) for pid in readers(line.strip())} & nodes.keys()
    for raylet in raylets:
        cluster.remove_node(nodes[raylet], allow_graceful=False)
    print(len(raylets), flush=True)
cluster.shutdown()
"""


@pytest.fixture
def cluster():
    """A function that kills the node which reads a file, and tells how many nodes that were; `.address`."""
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", CLUSTER], text=True, env=environment, **pipes) as process:

        def kill_reader_of(path):
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        kill_reader_of.address = process.stdout.readline().strip()
        yield kill_reader_of
        process.stdin.close()


@contextmanager
def odpiece(*arguments, waiting_for):
    """A running command; when it ends, nobody waits any longer to write to the named pipe `waiting_for`."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:

        def release():
            process.wait()
            os.close(os.open(waiting_for, os.O_RDONLY | os.O_NONBLOCK))

        Thread(target=release, daemon=True).start()
        yield process


def test_a_killed_node_loses_nothing_and_doubles_nothing(tmp_path, photo, cluster):
    source, output, one = (tmp_path / name for name in ("in", "out", "one"))
    source.mkdir()
    names = [f"{i}.png" for i in range(6)]
    for i, name in enumerate(names):
        Image.fromarray(photo[i : i + 64, : 64 + i]).save(source / name)
    (source / "bad.png").write_bytes(b"no picture")
    jobs = [Job(str(source / name), str((one / name).with_suffix(".odp"))) for name in names]
    assert not any(record.error for record in do_all(jobs, Encoding("quality", QUALITY), workers=1))
    waiting = source / "waiting.png"  # its reader waits until there is a writer
    os.mkfifo(waiting)

    inputs = [*(source / name for name in names), source / "bad.png", waiting]
    options = ["-q", QUALITY, "-o", output, "--json", "--engine", "ray", "--ray-address", cluster.address]
    with odpiece("encode", *inputs, *options, waiting_for=waiting) as process:
        with open(waiting, "wb", buffering=0) as first:  # waits for a reader
            assert cluster(waiting) == 1
            poll = select.poll()
            poll.register(first, 0)
            assert poll.poll()[0][1] & select.POLLERR  # the reader is gone
            with open(waiting, "wb", buffering=0) as second:  # waits for the second try
                second.write((source / names[0]).read_bytes())
        records = [json.loads(line) for line in process.stdout]
        errors = process.stderr.read()
    assert process.returncode == 11, errors
    assert sorted(r["input"] for r in records) == sorted(map(str, inputs))
    failed = {Path(r["input"]).name: r["error"] for r in records if "error" in r}
    assert failed == {"bad.png": f"{source}/bad.png is not a picture, give a PNG, JPEG, WebP, TIFF or the like"}
    expected = {path.name: path.read_bytes() for path in one.iterdir()}
    expected["waiting.odp"] = expected["0.odp"]
    assert {path.name: path.read_bytes() for path in output.iterdir()} == expected


def test_where_no_cluster_is():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OptionError, match=f"no Ray cluster at {address}"):
            next(ray_engine.do_all([Job("a", "b")], Encoding("quality", QUALITY), address=address))
