"""URLs: fsspec's memory file system, and a bucket of a local object store."""

import os

import fsspec
import pytest

from odpiece.formats import files, remote
from odpiece.formats.errors import ImageError, MissingExtraError, OptionError, OutputError, OutputExistsError
from odpiece.formats.folders import is_folder, list_folder


@pytest.fixture
def memory():
    """fsspec's file system memory://, empty before and after."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_whole_files_return(memory):
    files.write_bytes("memory://a/b.odp", b"data")
    assert files.read_bytes("memory://a/b.odp") == b"data"
    with pytest.raises(OutputExistsError, match="memory://a/b.odp exists"):
        files.write_bytes("memory://a/b.odp", b"other")
    files.write_bytes("memory://a/b.odp", b"other", force=True)
    assert files.read_bytes("memory://a/b.odp") == b"other"


def test_folders(memory):
    for name in ("a/x.png", "a/b/y.odp", "a/.hidden/z.png", "a/out/old.png", "c.png"):
        memory.pipe_file(name, b"")
    assert is_folder("memory://a") and not is_folder("memory://c.png")
    assert list_folder("memory://a", leave_out="memory://a/out/").files == ["b/y.odp", "x.png"]
    urls = ["memory://a/x.png", "memory://a/y.odp", "memory://a/b/y.odp", "memory://nowhere/x.png"]
    assert remote.existing(urls) == {"memory://a/x.png", "memory://a/b/y.odp"}
    files.make_folder("memory://new")
    assert not memory.exists("/new")


def test_a_file_url_is_a_local_file(tmp_path):
    url = (tmp_path / "a b.odp").as_uri()
    files.write_bytes(url, b"data")
    assert (tmp_path / "a b.odp").read_bytes() == files.read_bytes(url) == b"data"
    with pytest.raises(OutputExistsError):
        files.check_output(url, force=False)
    files.make_folder((tmp_path / "new").as_uri())
    assert (tmp_path / "new").is_dir()


@pytest.mark.parametrize(
    "path, result",
    [
        ("s3://b/dir.x/photo.png", "s3://b/dir.x/photo.odp"),
        ("s3://b/dir.x/photo", "s3://b/dir.x/photo.odp"),
        ("file:///a/b%20c.png", os.path.join(os.sep, "a", "b c.odp")),
        ("./photo.v1.png", "photo.v1.odp"),
    ],
)
def test_suffixes(path, result):
    assert files.with_suffix(path, ".odp") == result


@pytest.mark.parametrize("path, expected", [("s3://b/x", True), ("file:///x", False), ("a:b", False), ("c://x", False)])
def test_what_is_remote(path, expected):
    assert files.is_remote(path) == expected


def test_errors_are_ours_and_one_line(memory, monkeypatch):
    with pytest.raises(ImageError, match="cannot read memory://missing"):
        files.read_bytes("memory://missing")
    with pytest.raises(OptionError, match="cannot be used"):
        files.read_bytes("nosuch://b/x")

    def fail(*args, **kwargs):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(type(memory), "pipe_file", fail)
    with pytest.raises(OutputError) as caught:
        files.write_bytes("memory://x", b"")
    assert str(caught.value) == "cannot write memory://x: first line"


def test_a_missing_client_is_named(monkeypatch):
    def missing(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(MissingExtraError, match=r"s3fs.*odpiece\[remote\]"):
        files.read_bytes("s3://b/x")
