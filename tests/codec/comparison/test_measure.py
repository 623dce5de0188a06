"""Measuring: what is kept, what is scored, what is reported."""

import csv
import io
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from odpiece.codec import encode
from odpiece.codec.comparison import report
from odpiece.codec.comparison.measure import Original, Trial, default_cache, measure, worth_scoring
from odpiece.codec.comparison.metrics import METRICS
from odpiece.codec.comparison.peers import ODPIECE, PEERS, find_peer
from odpiece.codec.comparison.report import Measured
from odpiece.codec.comparison.tasks import Outcome, Task, collect, comparable_pixels, run_tasks
from odpiece.codec.targets import psnr
from odpiece.formats.errors import MissingExtraError, OutputError

FEW = (0, 20, 60)
NO_PICTURE = "b.png is not a picture, give a PNG, JPEG, WebP, TIFF or the like"


@pytest.fixture
def webp():
    """WebP at few qualities and scales."""
    return replace(find_peer("webp"), qualities=FEW, scales=(2, 4))


def trial(size, decibels, scale=1, codec="webp", quality=0):
    return Trial(codec, quality, scale, size, 0.1, 0.2, {"psnr": decibels})


def test_trials_are_what_the_codec_makes(webp, photo, tmp_path):
    trials = measure(Original(photo), webp, ("psnr",), tmp_path)
    assert [(t.quality, t.scale) for t in trials] == [(q, s) for s in (2, 4) for q in FEW]
    data = webp.encode(photo, 20, 4)
    assert trials[4].size == len(data)
    assert trials[4].scores == {"psnr": psnr(photo, webp.decode(data, photo.shape))}


def test_a_second_run_encodes_nothing(webp, photo, tmp_path):
    first = measure(Original(photo), webp, ("psnr",), tmp_path)
    broken = replace(webp, pack=None, unpack=None)
    assert measure(Original(photo), broken, ("psnr",), tmp_path) == first


def test_a_second_run_adds_metrics_qualities_and_pictures(webp, photo, tmp_path, monkeypatch):
    measure(Original(photo), webp, ("psnr",), tmp_path)
    packed = []
    counting = replace(webp, pack=lambda pixels, quality: packed.append(quality) or webp.pack(pixels, quality))
    measure(Original(photo), replace(counting, qualities=(*FEW, 80)), ("psnr",), tmp_path)
    assert packed == [80, 80]
    measure(Original(photo[:, ::-1]), counting, ("psnr",), tmp_path)
    assert len(packed) == 2 + 6
    red = replace(METRICS["psnr"], scorer=lambda original: lambda decoded: float(decoded[..., 0].mean()))
    monkeypatch.setitem(METRICS, "red", red)
    scored = measure(Original(photo), webp, ("psnr", "red"), tmp_path)
    near = [t for t in scored if "red" in t.scores]
    assert near and all(0 < t.scores["red"] < 255 for t in near)
    assert measure(Original(photo), replace(webp, pack=None), ("psnr", "red"), tmp_path) == scored


def test_another_version_of_a_codec_is_measured_anew(webp, photo, tmp_path):
    measure(Original(photo), webp, ("psnr",), tmp_path)
    with pytest.raises(TypeError):
        measure(Original(photo), replace(webp, pack=None, version=lambda: "later"), ("psnr",), tmp_path)


def test_a_damaged_cache_is_measured_anew(webp, photo, tmp_path):
    first = measure(Original(photo), webp, ("psnr",), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:50])
    again = measure(Original(photo), webp, ("psnr",), tmp_path)
    assert [(t.size, t.scores) for t in again] == [(t.size, t.scores) for t in first]


def test_peers_stop_above_the_range(photo):
    jpeg = replace(find_peer("jpeg"), scales=(1, 2), qualities=(1, 10, 20, 40, 60, 90))
    original = Original(photo)
    budgets = original.budgets()
    assert budgets[0] == pytest.approx(0.003 * 192 * 256 / 8)
    assert budgets[-1] == pytest.approx(0.2 * 192 * 256 / 8)
    sizes = [t.size for t in measure(original, jpeg, ("psnr",)) if t.scale == 1]
    assert len(sizes) < 6
    assert max(sizes[:-1], default=0) <= 1.3 * budgets[-1] < sizes[-1]


def test_peers_go_on_where_higher_qualities_are_compared(photo):
    jpeg, original = replace(find_peer("jpeg"), scales=(1,)), Original(photo)
    assert original.budgets(4096)[:8] == original.budgets(64) == original.budgets()
    most = [trials[-1].size for q in (64, 4096) if (trials := measure(original, jpeg, ("psnr",), q=q))]
    assert most[1] > 1.3 * original.budgets(4096)[-1] > 1.2 * 192 * 256 / 8 > most[0]


def test_scales_at_which_a_file_cannot_hold_the_picture_are_left_out(webp):
    wide = Original(np.zeros((1, 40000, 3), np.uint8))
    assert {t.scale for t in measure(wide, replace(webp, scales=(1, 2, 3)), ("psnr",))} == {3}


def test_peers_go_down_to_a_sixteenth_of_large_pictures():
    webp, scales = find_peer("webp"), (1, 2, 3, 4, 6, 8)
    for side, expected in ((512, scales), (1280, (*scales, 12)), (2048, (*scales, 12, 16))):
        assert tuple(webp.scales_of(np.zeros((100, side, 3), np.uint8))) == expected
    assert replace(webp, scales=(16,), least=0).scales_of(np.zeros((100, 512, 3), np.uint8)) == [16]


def test_worth_scoring_is_the_best_by_psnr_near_a_size_and_what_is_beside_it():
    trials = [trial(100, 20 - abs(scale - 3), scale) for scale in (1, 2, 3, 4, 6)]
    scales = {m: sorted(t.scale for t in worth_scoring(trials, [110], m)) for m in METRICS}
    every, seconds = [1, 2, 3, 4, 6], {"st-lpips": [2, 3], "wasserstein": [2, 3]}
    assert scales == {"psnr": every, "ms-ssim": every, "ssimulacra2": [2, 3, 4]} | seconds
    assert worth_scoring(trials, [200], "psnr") == []


def test_a_file_that_a_smaller_one_beats_is_not_worth_scoring():
    good, beaten, larger = trial(95, 25.0), trial(100, 20.0), trial(300, 30.0)
    assert worth_scoring([good, beaten, larger], [100], "st-lpips") == [good]
    assert worth_scoring([good, beaten, larger], [100, 290], "st-lpips") == [good, larger]


def test_all_files_of_a_codec_of_one_scale_are_scored(photo):
    trials = measure(Original(photo), replace(ODPIECE, qualities=(1, 8)), ("psnr",))
    assert [t.quality for t in trials] == [1, 8] and trials[0].size < trials[1].size


@pytest.mark.parametrize("jobs", [1, 2])
def test_tasks_report_pictures_that_cannot_be_read(jobs, webp, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    codecs = replace(ODPIECE, qualities=(1,)), webp
    tasks = [Task(tmp_path / name, codec, ("psnr",), None) for name in ("b.png", "a.png") for codec in codecs]
    measured, messages = collect(run_tasks(tasks, jobs))
    assert [picture.pixels for picture in measured] == [photo.size // 3]
    assert [t.quality for t in measured[0].trials["webp"]] == [*FEW, *FEW]
    assert len(messages) == 1 and messages[0].startswith("skipped: b.png is not a picture")


def kinds_of(photo):
    """{name: (a Pillow image, the uint8 (H, W, 3) that is to be compared)}."""
    colours, grey = photo[:48, :64], np.ascontiguousarray(photo[:48, :64, 0])
    alpha = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    on_white = Image.alpha_composite(Image.new("RGBA", (64, 48), "white"), Image.fromarray(np.dstack([colours, alpha])))
    return {
        "colour": (Image.fromarray(colours), colours),
        "grey": (Image.fromarray(grey), np.dstack([grey] * 3)),
        "equal channels": (Image.fromarray(np.dstack([grey] * 3)), np.dstack([grey] * 3)),
        "two levels": (Image.fromarray(grey > 128), np.dstack([(grey > 128) * np.uint8(255)] * 3)),
        "transparent": (Image.fromarray(np.dstack([colours, alpha])), np.asarray(on_white.convert("RGB"))),
        "grey, clear": (Image.new("LA", (64, 48), (9, 0)), np.full((48, 64, 3), 255, np.uint8)),
    }


@pytest.mark.parametrize("kind", ["colour", "grey", "equal channels", "two levels", "transparent", "grey, clear"])
def test_pictures_of_every_kind_are_compared(kind, photo, tmp_path):
    im, expected = kinds_of(photo)[kind]
    im.save(tmp_path / "a.png")
    pixels, notes = comparable_pixels(tmp_path / "a.png")
    assert pixels.dtype == np.uint8 and pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    assert bool(notes) == (im.mode in ("LA", "RGBA"))
    peers = [replace(codec, qualities=codec.qualities[3:4], scales=(1,)) for codec in (ODPIECE, *PEERS)]
    available = [codec for codec in peers if is_installed(codec)]
    measured, messages = collect(run_tasks([Task(tmp_path / "a.png", c, ("psnr",), None) for c in available], 1))
    assert measured[0].trials.keys() == {c.name for c in available}
    assert all(trial.scores["psnr"] > 5 for trials in measured[0].trials.values() for trial in trials)
    assert messages == [f"a.png: {note}" for note in notes]


def is_installed(codec):
    try:
        codec.require()
    except MissingExtraError:
        return False
    return True


def test_grey_files_are_what_the_encoder_makes_of_grey(photo):
    grey = np.ascontiguousarray(photo[..., 0])
    assert ODPIECE.encode(np.dstack([grey] * 3), 8) == encode(grey, 8)


def fails_on(width, codec):
    """The Codec, which cannot encode pictures of this width (None: of any)."""

    def pack(pixels, quality):
        if width in (None, pixels.shape[1]):
            raise ZeroDivisionError("a defect")
        return codec.pack(pixels, quality)

    return replace(codec, pack=pack)


@pytest.fixture
def two(photo, tmp_path):
    """A folder with a.png, 60 wide, and b.png, 50 wide."""
    for name, width in (("a.png", 60), ("b.png", 50)):
        Image.fromarray(photo[:40, :width]).save(tmp_path / name)
    return tmp_path


def collected(folder, codecs):
    tasks = [Task(folder / name, codec, ("psnr",), None) for name in ("a.png", "b.png") for codec in codecs]
    measured, messages = collect(run_tasks(tasks, 1))
    return {Path(picture.name).name: list(picture.trials) for picture in measured}, messages


def test_a_codec_that_fails_on_one_picture_ends_nothing(two, webp):
    ours = replace(ODPIECE, qualities=(1,))
    assert collected(two, (ours, fails_on(50, replace(webp, scales=(1,))))) == (
        {"a.png": ["odpiece", "webp"]},
        ["skipped: b.png: ZeroDivisionError: a defect"],
    )
    assert collected(two, (fails_on(60, ours), webp))[0] == {"b.png": ["odpiece", "webp"]}


def test_a_codec_that_fails_on_all_pictures_is_left_out(two, webp):
    (two / "b.png").write_bytes(b"no picture")
    assert collected(two, (replace(ODPIECE, qualities=(1,)), fails_on(None, webp))) == (
        {"a.png": ["odpiece"]},
        ["WebP is left out: a.png: ZeroDivisionError: a defect", "skipped: " + NO_PICTURE],
    )


def test_a_process_that_dies_ends_nothing(two, webp):
    ours, deadly = replace(ODPIECE, qualities=(1,)), replace(webp, version=partial(os._exit, 9))
    codecs = [("a.png", ours), ("a.png", webp), ("b.png", ours), ("b.png", deadly)]
    measured, messages = collect(run_tasks([Task(two / name, codec, ("psnr",), None) for name, codec in codecs], 2))
    assert [Path(picture.name).name for picture in measured] == ["a.png"]
    assert messages == ["skipped: b.png: the process that worked on it ended by exit code 9"]


def test_notes_are_told_once(photo, tmp_path):
    outcomes = [(Task(tmp_path / f"{i}.png", ODPIECE, (), None), Outcome(9, (), ("a note",))) for i in range(3)]
    assert collect(outcomes)[1] == ["0.png (and 2 more): a note"]


@pytest.mark.parametrize("content", [b"[]", b'{"a": 3}', b'{"a": {"b": 1}}', b"\xff", b"null"])
def test_a_cache_of_other_contents_is_measured_anew(content, webp, photo, tmp_path):
    first = measure(Original(photo), webp, ("psnr",), tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    again = measure(Original(photo), webp, ("psnr",), tmp_path)
    assert [(t.size, t.scores) for t in again] == [(t.size, t.scores) for t in first]


def test_a_cache_that_cannot_be_written_is_no_error(webp, photo, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert measure(Original(photo), webp, ("psnr",), tmp_path / "file" / "cache")


@pytest.mark.parametrize("variables", [{"XDG_CACHE_HOME": "/dev/null/x"}, {"XDG_CACHE_HOME": "", "HOME": "/dev/null"}])
def test_no_place_for_a_cache(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OutputError):
        default_cache()


def test_no_home_for_a_cache(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", failing_home)
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        default_cache()


def failing_home():
    raise RuntimeError("Could not determine home directory.")


@pytest.fixture
def measured():
    """Two pictures of 8000 pixels; the peer needs twice the bytes on the first and is never small on the second."""
    ours = [trial(100, 20.0, codec="odpiece", quality=1), trial(200, 23.0, codec="odpiece", quality=4)]
    peer = [trial(200, 20.0, 2), trial(400, 23.0, 1), trial(300, 10.0, 1)]
    late = [trial(900, 30.0, 2)]
    return [Measured("a", 8000, {"odpiece": ours, "webp": peer}), Measured("b", 8000, {"odpiece": ours, "webp": late})]


def test_rows_compare_at_the_bytes_of_the_reference(measured):
    found = report.rows(measured, ("psnr",))
    shown = [(row.codec, row.quality, row.pictures, row.size, row.scores["psnr"]) for row in found]
    assert shown == [("odpiece", 1, 2, 100, 20), ("odpiece", 4, 2, 200, 23), ("webp", 4, 1, 200, 20)]
    assert found[0].bpp == 0.1 and found[0].encode_seconds == 0.1


def test_a_codec_without_larger_files_has_one_row(measured):
    tiny = [Measured(m.name, m.pixels, m.trials | {"thumbhash": [trial(24, 10.0)]}) for m in measured]
    found = report.rows(tiny, ("psnr",))
    assert [(row.quality, row.size) for row in found if row.codec == "thumbhash"] == [(1, 24)]


def test_bd_rates_are_medians_over_pictures_with_scores_in_common(measured):
    assert report.bd_rates(measured, ("psnr",)) == {"webp": {"psnr": (pytest.approx(-50), 1)}}


def test_the_tables_are_aligned(measured):
    lines = report.aligned(report.row_cells(report.rows(measured, ("psnr",)), ("psnr",), 2))
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["odpiece", "q=1", "100", "0.1000", "20.00", "0.100", "0.200", "2", "of", "2"]
    assert report.rate_cells(report.bd_rates(measured, ("psnr",)), ("psnr",))[1] == ["WebP", "-50.0 % (1)"]


def test_the_bench_has_the_schema_of_compressai(measured):
    ours, peer = json.loads(report.bench(report.rows(measured, ("psnr",)), ("psnr",), "two"))
    assert ours.keys() == {"name", "description", "results"} and ours["description"] == "two"
    assert ours["results"] == {
        "bpp": [0.1, 0.2],
        "psnr": [20, 23],
        "encoding_time": [0.1] * 2,
        "decoding_time": [0.2] * 2,
    }
    assert peer["name"] == "webp" and peer["results"]["psnr"] == [20]


def test_the_csv_has_every_file(measured):
    lines = list(csv.DictReader(io.StringIO(report.trial_csv(measured, ("psnr", "ms-ssim")).decode())))
    assert len(lines) == 8
    assert lines[2]["picture"] == "a" and lines[2]["codec"] == "webp" and float(lines[2]["bpp"]) == 0.2
    assert lines[2]["ms-ssim"] == "" and np.isclose(float(lines[2]["psnr"]), 20)
