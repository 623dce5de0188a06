"""How much survives: counted at the bytes of odpiece, by size, for both looks, and kept for the next time."""

from dataclasses import replace

import pytest
from PIL import Image

from odpiece.codec.comparison import subjects
from odpiece.codec.comparison.measure import Original, measure
from odpiece.codec.comparison.peers import Codec, find_peer, odpiece
from odpiece.codec.comparison.recognition import Survival, View, run_view, run_views, survival_cells, tally
from odpiece.codec.comparison.report import Measured
from odpiece.codec.comparison.subjects import Finding, Subject, find_subject
from odpiece.formats.errors import MissingExtraError, OptionError

WEBP = replace(find_peer("webp"), qualities=(0, 40), scales=(4,))
DOTS = Subject("dots", "dots seen", None, "numpy", ("numpy",), (8, 16), 3)


@pytest.fixture
def observed(photo, monkeypatch):
    """The pixels that were looked at, by a subject that only WebP's smallest file lacks: dots of 5, 8 and 20 pixels."""
    looked, worst = [], WEBP.decode(WEBP.encode(photo, 0, 4), photo.shape).tobytes()

    def observer(original):
        def findings(decoded):
            looked.append(decoded)
            return [Finding(size, 2, 10, 4 if decoded.tobytes() == worst else 10) for size in (5, 8, 20)]

        return findings

    monkeypatch.setitem(subjects.SUBJECTS, "dots", replace(DOTS, observer=observer))
    return looked


@pytest.fixture
def view(photo, tmp_path):
    """Of one picture, by odpiece at two qualities with both looks, and by WebP."""
    path = tmp_path / "a.png"
    Image.fromarray(photo).save(path)
    codecs = {look: replace(odpiece(look), qualities=(4, 256)) for look in ("faithful", "natural")} | {"WebP": WEBP}
    trials = {codec.name: measure(Original(photo), codec, ("psnr",)) for codec in (codecs["faithful"], WEBP)}
    return View(Measured(str(path), photo.size // 3, trials), codecs, ("dots",), tmp_path / "cache")


def test_shares_are_counted_at_the_bytes_of_odpiece(view, observed):
    total, messages = tally(run_views([view, view], jobs=1))
    assert messages == []
    assert total["dots", 256, 0, "WebP"] == Survival(4, 20, 8)
    assert total["dots", 256, 1, "natural"] == total["dots", 4, 2, "faithful"] == Survival(4, 20, 20)
    assert ("dots", 4, 0, "WebP") not in total  # it has no file so small


def test_ladders_go_on_up_to_the_bytes_of_odpiece(view, observed, photo):
    """Where its files are larger than those that are usually compared, too."""
    webp = replace(WEBP, qualities=(0, 40, 80, 90), scales=(1,))
    usual = measure(Original(photo), webp, ("psnr",))
    ours = [replace(trial, size=10**6) for trial in view.picture.trials["odpiece"]]
    picture = replace(view.picture, trials={"odpiece": ours, "webp": usual})
    assert len(usual) < 4
    found = replace(view, picture=picture, codecs={"WebP": webp}).completed(Original(photo))
    assert found.best_files(webp) == {4: (90, 1), 256: (90, 1)}


def test_what_was_seen_is_kept(view, observed, monkeypatch):
    first = run_view(view)[1]
    assert len(observed) == 5  # two files with two looks, and WebP's best at the larger's bytes
    monkeypatch.setattr(Codec, "encode", None)
    assert run_view(view)[1] == first and len(observed) == 5
    assert isinstance(first["WebP", 256]["dots"][0], Finding)


def test_looking_for_more_keeps_what_was_seen(view, observed, monkeypatch):
    run_view(view)
    more = replace(subjects.SUBJECTS["dots"], name="more", observer=lambda original: None)
    monkeypatch.setitem(subjects.SUBJECTS, "more", more)
    seen = run_view(replace(view, subjects=("dots", "more")))[1]
    assert len(observed) == 5 and seen["WebP", 256]["more"] == [] and len(seen["WebP", 256]["dots"]) == 3


def test_without_a_cache(view, observed):
    assert run_view(replace(view, cache=None))[1] == run_view(view)[1]


def test_a_picture_that_fails_is_told_and_left_out(view, observed, tmp_path):
    lost = replace(view, picture=replace(view.picture, name=str(tmp_path / "gone.png")))
    total, messages = tally(run_views([lost, view], jobs=1))
    assert total["dots", 256, 0, "WebP"].count == 2
    assert len(messages) == 1 and messages[0].startswith("left out of the tasks: ") and "gone.png" in messages[0]


def test_the_table_has_a_line_for_each_size_and_quality():
    total = {
        ("dots", 256, 0, "a"): Survival(4, 20, 10),
        ("dots", 4, 1, "a"): Survival(3, 3, 1),
        ("dots", 256, 1, "b"): Survival(2, 9, 9),
        ("dots", 4, 2, "b"): Survival(9, 9, 9),
        ("other", 4, 0, "a"): Survival(9, 9, 9),
    }
    assert survival_cells(total, DOTS, ["a", "b"], {256: 0.25}) == [
        ["dots seen", "bpp", "a", "b"],
        ["under 8 px, -q 256", "0.2500", "50 % (4)", "-"],
        ["8 to 16 px, -q 4", "-", "33 % (3)", "-"],
        ["8 to 16 px, -q 256", "0.2500", "-", "- (2)"],
        ["from 16 px, -q 4", "-", "-", "100 % (9)"],
    ]


def test_a_subject_without_sizes_has_a_line_for_each_quality():
    total = {("dots", 4, 0, "a"): Survival(4, 4, 3)}
    assert survival_cells(total, replace(DOTS, limits=()), ["a"], {}) == [
        ["dots seen", "bpp", "a"],
        ["-q 4", "-", "75 % (4)"],
    ]


def test_a_subject_of_another_name():
    with pytest.raises(OptionError, match="no task objects, give classes,text,faces or all"):
        find_subject("objects")


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(MissingExtraError, match=r"dots seen needs more packages: pip install 'odpiece\[tasks\]'"):
        replace(DOTS, packages=("numpy", "no_such_package")).require()
