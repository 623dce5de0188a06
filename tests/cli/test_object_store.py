"""A bucket of an object store on this machine: pictures in it to .odp files in it, and back."""

import io
import json
import subprocess
import sys

import pytest
from PIL import Image

from odpiece.codec import decode, encode

PROGRAM = "from odpiece.cli.main import main; main()"
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://{}:{}".format(*server.get_host_and_port()), flush=True)
sys.stdin.read()
server.stop()
"""
pytest.importorskip("moto", reason="needs moto's server")
pytest.importorskip("s3fs", reason="needs odpiece[remote]")

PATIENCE = {"connect_timeout": 3600, "read_timeout": 3600}  # seconds


@pytest.fixture
def bucket(monkeypatch):
    """boto's client of the empty bucket "pictures", which the environment leads to."""
    import boto3
    from botocore.config import Config

    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", SERVER], text=True, **pipes) as process:
        monkeypatch.setenv("AWS_ENDPOINT_URL", process.stdout.readline().strip())
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "none")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("FSSPEC_S3", json.dumps({"config_kwargs": PATIENCE}))
        bucket = boto3.resource("s3", config=Config(**PATIENCE)).Bucket("pictures")
        bucket.create()
        yield bucket
        process.stdin.close()


def run(*arguments):
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_a_folder_of_a_bucket_and_back(bucket, photo, tmp_path):
    pixels = photo[:64, :80]
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    for name in ("in/a.png", "in/deep/b.png"):
        bucket.put_object(Key=name, Body=out.getvalue())
    bucket.put_object(Key="in/bad.png", Body=b"no picture")
    bucket.put_object(Key="in/done.png", Body=b"not read")
    bucket.put_object(Key="out/done.odp", Body=b"kept")
    source, target = "s3://pictures/in", "s3://pictures/out"
    code, records, errors = run("encode", source, "-r", "-o", target, "-q", "5", "-j", "1", "--json", "--skip-existing")
    assert code == 11 and "failed: s3://pictures/in/bad.png is not a picture" in errors
    assert [r["input"] for r in records] == [
        f"{source}/{name}" for name in ("done.png", "a.png", "bad.png", "deep/b.png")
    ]
    written = {o.key: o.get()["Body"].read() for o in bucket.objects.filter(Prefix="out/")}
    assert written == {"out/a.odp": encode(pixels, 5), "out/deep/b.odp": encode(pixels, 5), "out/done.odp": b"kept"}

    code, _, errors = run("decode", f"{target}/deep/b.odp", "-o", str(tmp_path / "b.png"))
    assert code == 0, errors
    with Image.open(tmp_path / "b.png") as picture:
        assert (decode(encode(pixels, 5)) == picture).all()
