"""What training runs share: the clock, parts of a run, the log, when it saves and looks."""

import io
import json
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="odpiece[torch]")

from odpiece.models.training import runs  # noqa: E402

ALONE = SimpleNamespace(first=True, agree=lambda seconds: seconds)


class Clock:
    """In place of the module time: each look at it is `pace` seconds later."""

    def __init__(self, pace):
        self.now, self.pace = 1000.0, pace

    def monotonic(self):
        self.now += self.pace
        return self.now


class Counted:
    """A run that counts its steps, and notes how far it was told to be."""

    def __init__(self):
        self.step, self.seconds, self.progress = 0, 0.0, []

    def update(self, batch, progress):
        self.step += 1
        self.progress.append(progress)
        return {"loss": float(batch)}


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(2.0)
    monkeypatch.setattr(runs, "time", clock)
    return clock


def go(run, minutes, **options):
    """Train `run`; gives (the lines of its log, how often it saved)."""
    log, saved = io.StringIO(), []
    batches = iter(range(10_000))
    runs.train(run, batches, ALONE, log, lambda: saved.append(run.step), minutes=minutes, **options)
    return [json.loads(line) for line in log.getvalue().splitlines()], saved


def test_a_run_ends_after_its_minutes(clock):
    run = Counted()
    lines, saved = go(run, 2)
    assert 120 <= run.seconds < 123 and run.step == 60
    assert run.progress == sorted(run.progress) and run.progress[0] == 0 and 0.95 < run.progress[-1] < 1
    assert saved == [60]
    assert [line["step"] for line in lines] == list(range(8, 61, 8))
    assert lines[0] == {"step": 8, "minutes": 0.27, "seconds_a_step": 2.0, "loss": 3.5}


def test_parts_add_up_to_the_run(clock):
    """The rates, which follow the progress, go on where the part before ended."""
    whole, parts = Counted(), Counted()
    go(whole, 3)
    for _ in range(3):
        go(parts, 3, part=1)
    assert parts.step == whole.step
    assert parts.progress == pytest.approx(whole.progress)
    go(parts, 3, part=1)
    assert parts.step == whole.step, "nothing is left to train"


def test_a_long_run_saves_on_its_way(clock):
    _, saved = go(Counted(), 10)
    assert saved[:2] == [runs.SAVE_SECONDS // 2, runs.SAVE_SECONDS] and saved[-1] == 300


def test_looking_takes_no_time_of_the_run(clock):
    run, looked = Counted(), []

    def watch():
        clock.now += 500
        looked.append(run.step)

    go(run, 2, watch=watch, watch_seconds=40)
    assert looked == [20, 39, 58]
    assert run.step in (58, 59, 60)


def test_other_processes_write_nothing(clock):
    run, log = Counted(), io.StringIO()
    others = SimpleNamespace(first=False, agree=lambda seconds: seconds)
    runs.train(run, iter(range(10_000)), others, log, lambda: pytest.fail("saved"), minutes=1)
    assert run.step == 30 and log.getvalue() == ""
