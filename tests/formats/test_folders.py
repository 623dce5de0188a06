"""What is found in folders: hidden names, links, circles, folders that cannot be read, the folder left out."""

import os

import pytest

from odpiece.formats import folders
from odpiece.formats.folders import ignores_case, is_folder, join, list_folder, read_names


@pytest.fixture
def tree(tmp_path):
    """b.txt, a.png, inner/c.png, inner/deep/d.png, and hidden ones."""
    (tmp_path / "inner" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("b.txt", "a.png", "inner/c.png", "inner/deep/d.png", ".e.png", ".hidden/f.png"):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_files_are_relative_sorted_and_not_hidden(tree):
    listing = list_folder(str(tree))
    assert listing.files == ["a.png", "b.txt", "inner/c.png", "inner/deep/d.png"]
    assert (listing.links, listing.errors) == (0, [])


def test_a_file_url_is_the_local_folder(tree):
    assert list_folder(tree.as_uri()) == list_folder(str(tree))
    assert is_folder(tree.as_uri()) and not is_folder((tree / "a.png").as_uri())


def test_the_folder_left_out_is_not_searched(tree):
    assert list_folder(str(tree), str(tree / "inner" / "." / "deep")).files == ["a.png", "b.txt", "inner/c.png"]
    assert list_folder(str(tree), str(tree)).files == list_folder(str(tree)).files


def test_links_to_folders_are_counted_and_not_followed(tree):
    (tree / "inner" / "circle").symlink_to(tree)
    (tree / "link.png").symlink_to(tree / "a.png")
    listing = list_folder(str(tree))
    assert listing.files == ["a.png", "b.txt", "inner/c.png", "inner/deep/d.png", "link.png"]
    assert listing.links == 1


def test_a_folder_that_cannot_be_read_is_named_and_the_rest_is_listed(tree, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    listing = list_folder(str(tree))
    assert listing.files == ["a.png", "b.txt", "inner/c.png"]
    assert listing.errors == [(str(tree / "inner" / "deep"), "Permission denied")]


def test_names_that_are_no_unicode(tree):
    (tree / os.fsdecode(b"\xff.png")).write_bytes(b"")
    assert os.fsencode(list_folder(str(tree)).files[-1]) == b"\xff.png"


def test_case_is_asked_of_the_file_system(tree, monkeypatch):
    assert ignores_case(str(tree / "not" / "there")) == ignores_case(str(tree)) == (tree / "A.PNG").exists()
    monkeypatch.setattr(folders.os.path, "exists", lambda path: True)
    assert ignores_case(str(tree))


NAMES = ["a.png", "in/b c.png", "é.png"]


@pytest.mark.parametrize(
    "between", ["\n", "\r\n", "\n\n", "\0"], ids=["lines", "Windows' lines", "empty lines", "zeros"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-sig"])
def test_lists_of_names(between, encoding, tmp_path):
    """As find writes them, and as editors and shells on Windows do."""
    text = between.join([*NAMES, ""])
    data = b"\xfe\xff" + text.encode("utf-16-be") if encoding == "utf-16-be-sig" else text.encode(encoding)
    (tmp_path / "list").write_bytes(data)
    assert read_names(tmp_path / "list") == NAMES


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\n\r\n", b"\0"])
def test_lists_of_nothing(data, tmp_path):
    (tmp_path / "list").write_bytes(data)
    assert read_names(tmp_path / "list") == []


def test_lists_of_bytes(tmp_path):
    """Names need not be text; a list in UTF-16 that is cut gives what it can."""
    (tmp_path / "list").write_bytes(b"\xff.png\n")
    assert read_names(tmp_path / "list") == [os.fsdecode(b"\xff.png")]
    (tmp_path / "list").write_bytes("a.png\n".encode("utf-16")[:-1])
    assert read_names(tmp_path / "list")[0].startswith("a.png")


def test_join():
    assert join("out", "a/b.png") == "out/a/b.png"
    assert join("s3://bucket/out/", "a/b.png") == "s3://bucket/out/a/b.png"
