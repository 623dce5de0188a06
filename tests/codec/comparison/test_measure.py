"""Measuring: what is kept, what is scored, what is reported."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from odpiece.codec.comparison import report
from odpiece.codec.comparison.measure import Original, Trial, measure, worth_scoring
from odpiece.codec.comparison.metrics import METRICS
from odpiece.codec.comparison.peers import ODPIECE, find_peer
from odpiece.codec.comparison.report import Measured
from odpiece.codec.comparison.tasks import Task, collect, run_tasks
from odpiece.codec.targets import psnr

FEW = (0, 20, 60)


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
    assert original.budgets[0] == pytest.approx(0.003 * 192 * 256 / 8)
    assert original.budgets[-1] == pytest.approx(0.2 * 192 * 256 / 8)
    sizes = [t.size for t in measure(original, jpeg, ("psnr",)) if t.scale == 1]
    assert len(sizes) < 6
    assert max(sizes[:-1], default=0) <= 1.3 * original.budgets[-1] < sizes[-1]


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
    assert scales == {"psnr": [1, 2, 3, 4, 6], "ms-ssim": [1, 2, 3, 4, 6], "ssimulacra2": [2, 3, 4], "st-lpips": [2, 3]}
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
    tasks = [Task(tmp_path / name, webp, ("psnr",), None) for name in ("b.png", "a.png")]
    measured, errors = collect(run_tasks(tasks, jobs))
    assert [picture.pixels for picture in measured] == [photo.size // 3]
    assert [t.quality for t in measured[0].trials["webp"]] == [*FEW, *FEW]
    assert len(errors) == 1 and errors[0].startswith("b.png is not a picture")


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
