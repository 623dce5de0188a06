"""The plan: where results go, and what is refused before any work begins."""

import os
from dataclasses import dataclass

import pytest

from odpiece.codec.batch import plan as plans
from odpiece.codec.batch.plan import make_plan
from odpiece.codec.batch.work import Job
from odpiece.formats.errors import ImageError, OptionError, OutputExistsError
from odpiece.formats.files import encoded_name


@dataclass
class Work:
    """What a plan asks of the work."""

    candidates = frozenset({".png", ".jpg"})
    candidates_are = "pictures"
    output_name = staticmethod(encoded_name)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """The working directory, with in/a.png, in/sub/b.JPG, in/note.txt and in/none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.JPG", "note.txt", "none"):
        (tmp_path / "in" / name).write_bytes(b"")
    return tmp_path


def pairs(*args, **kwargs):
    return [(job.input, job.output) for job in make_plan(Work(), *args, **kwargs).jobs]


def test_the_tree_is_kept(tree):
    assert pairs(["in"], output="out", recursive=True) == [("in/a.png", "out/a.odp"), ("in/sub/b.JPG", "out/sub/b.odp")]
    assert pairs(["in/"], recursive=True) == [("in/a.png", "in/a.odp"), ("in/sub/b.JPG", "in/sub/b.odp")]


def test_named_files_go_under_their_own_name_whatever_their_suffix(tree):
    assert pairs(["in/note.txt", "in/sub/b.JPG"], output="out/") == [
        ("in/note.txt", "out/note.odp"),
        ("in/sub/b.JPG", "out/b.odp"),
    ]


def test_listed_files_keep_their_folders(tree):
    absolute = str(tree / "in" / "a.png")
    assert pairs([], ["./in/sub/b.JPG", absolute], output="out") == [
        ("./in/sub/b.JPG", "out/in/sub/b.odp"),
        (absolute, "out" + absolute.replace(".png", ".odp")),
    ]
    assert pairs([], ["in/sub"], output="out", recursive=True) == [("in/sub/b.JPG", "out/in/sub/b.odp")]
    assert pairs([], ["in/a.png"]) == [("in/a.png", "in/a.odp")]


def test_a_listed_name_cannot_lead_out_of_the_folder(tree):
    with pytest.raises(OptionError, match="leads out"):
        make_plan(Work(), [], ["in/../../a.png"], output="out")
    assert pairs([], ["in/sub/../a.png"], output="out") == [("in/sub/../a.png", "out/in/a.odp")]


def test_what_is_passed_over_is_counted(tree):
    plan = make_plan(Work(), ["in"], recursive=True)
    assert plan.passed_over == {".txt": 1, "no suffix": 1}
    assert plan.summary("done") == "2 files done; 2 passed over (no suffix 1, .txt 1)"


def test_pipes_and_broken_links_are_passed_over(tree):
    os.mkfifo(tree / "in" / "pipe.png")
    (tree / "in" / "broken.png").symlink_to("nowhere")
    assert make_plan(Work(), ["in"], recursive=True).passed_over["pipes, devices and broken links"] == 2
    assert len(pairs([(tree / "in").as_uri()], recursive=True)) == 2


def test_a_folder_needs_r(tree):
    with pytest.raises(ImageError, match="in is a folder, give -r"):
        make_plan(Work(), ["in", "in/a.png"])


def test_nothing_to_do_is_an_error(tree):
    (tree / "in" / "a.png").unlink()
    (tree / "in" / "sub" / "b.JPG").unlink()
    with pytest.raises(ImageError, match=r"no pictures were found; 2 passed over"):
        make_plan(Work(), ["in"], recursive=True)


def test_two_inputs_with_one_output_are_refused(tree):
    (tree / "in" / "a.jpg").write_bytes(b"")
    with pytest.raises(OptionError, match="in/a.jpg and in/a.png would both become out/a.odp"):
        make_plan(Work(), ["in"], output="out", recursive=True)


def test_a_file_given_twice_is_done_once(tree):
    inputs = ["in", "./in/a.png", str(tree / "in" / "a.png")]
    assert pairs(inputs, output="out", recursive=True) == [("in/a.png", "out/a.odp"), ("in/sub/b.JPG", "out/sub/b.odp")]


@pytest.mark.parametrize("other", ["A.png", "Ä.png"])
def test_outputs_that_differ_only_in_case(tree, other, monkeypatch):
    (tree / "in" / other).write_bytes(b"")
    (tree / "in" / "ä.png").write_bytes(b"")
    arguments = (["in"],), {"output": "out", "recursive": True}
    monkeypatch.setattr(plans, "ignores_case", lambda folder: False)
    assert len(pairs(*arguments[0], **arguments[1])) == 4
    monkeypatch.setattr(plans, "ignores_case", lambda folder: True)
    with pytest.raises(OptionError, match="would both become"):
        make_plan(Work(), *arguments[0], **arguments[1])


def test_what_exists_is_refused_skipped_or_replaced(tree):
    (tree / "in" / "a.odp").write_bytes(b"")
    with pytest.raises(OutputExistsError, match="1 of 2 outputs exist, the first is in/a.odp"):
        make_plan(Work(), ["in"], recursive=True)
    skipping = make_plan(Work(), ["in"], recursive=True, existing="skip")
    assert skipping.skipped == [Job("in/a.png", "in/a.odp")] and skipping.jobs == [Job("in/sub/b.JPG", "in/sub/b.odp")]
    assert len(pairs(["in"], recursive=True, existing="replace")) == 2


def test_a_folder_in_the_place_of_an_output_is_no_output_to_skip(tree):
    (tree / "in" / "a.odp").mkdir()
    assert len(make_plan(Work(), ["in"], recursive=True, existing="skip").jobs) == 2


def test_the_output_folder_is_not_searched(tree):
    (tree / "in" / "out").mkdir()
    (tree / "in" / "out" / "x.png").write_bytes(b"")
    assert len(pairs(["in"], output="in/out", recursive=True)) == 2


def test_folders_that_cannot_be_read_are_records(tree, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    plan = make_plan(Work(), ["in"], recursive=True)
    assert [job.input for job in plan.jobs] == ["in/a.png"]
    assert [(r.input, r.error, r.exit_code) for r in plan.failed] == [
        ("in/sub", "cannot read the folder in/sub: Permission denied", 3)
    ]
