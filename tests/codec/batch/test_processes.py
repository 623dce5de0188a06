"""Work in several processes: the same bytes, processes that die, interruption, and threads that are shared out.

A named pipe in place of a picture holds the process that reads it until the test goes on.
"""

import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from PIL import Image

from odpiece.codec import decode
from odpiece.codec.batch import processes
from odpiece.codec.batch.processes import do_all
from odpiece.codec.batch.work import Decoding, Encoding, Job, do
from odpiece.formats.errors import ReaderGoneError
from odpiece.models import threads

ENCODING = Encoding("quality", 5)
PROGRAM = "from odpiece.cli.main import main; main()"


@pytest.fixture
def pictures(tmp_path, photo):
    """Three pictures of different sizes."""
    for i in range(3):
        Image.fromarray(photo[: 70 + i, : 80 - i]).save(tmp_path / f"{i}.png")
    return [tmp_path / f"{i}.png" for i in range(3)]


@pytest.fixture
def waiting(tmp_path):
    path = tmp_path / "waiting.png"
    os.mkfifo(path)
    return path


def jobs_for(inputs, folder, suffix=".odp"):
    return [Job(str(path), str(folder / path.with_suffix(suffix).name)) for path in inputs]


def without_time(records, folder):
    """The records by input, without what differs between runs."""
    return {r.input: replace(r, seconds=None, output=r.output.removeprefix(str(folder))) for r in records}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_process_and_two_give_the_same(tmp_path, pictures):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    jobs = {n: jobs_for([*pictures, tmp_path / "bad.png"], tmp_path / str(n)) for n in (1, 2)}
    first, second = (without_time(do_all(jobs[n], ENCODING, workers=n), tmp_path / str(n)) for n in (1, 2))
    assert first == second and len(first) == 4
    assert [Path(r.input).name for r in first.values() if r.error] == ["bad.png"]
    assert contents(tmp_path / "1") == contents(tmp_path / "2") and len(contents(tmp_path / "1")) == 3


def test_decoding(tmp_path, pictures):
    assert not any(r.error for r in do_all(jobs_for(pictures, tmp_path / "odp"), ENCODING, workers=1))
    jobs = jobs_for(sorted((tmp_path / "odp").iterdir()), tmp_path / "png", ".png")
    records = list(do_all(jobs, Decoding(), workers=1))
    assert [(r.width, r.height, r.q) for r in records] == [(80, 70, 5), (79, 71, 5), (78, 72, 5)]
    with Image.open(tmp_path / "png" / "2.png") as im:
        assert (decode((tmp_path / "odp" / "2.odp").read_bytes()) == im).all()


def test_a_process_that_is_killed_is_an_error_of_its_file(tmp_path, pictures, waiting, monkeypatch):
    """Both are killed, so the files after theirs need new ones."""
    workers, real = [], processes._start
    monkeypatch.setattr(processes, "_start", lambda *args: workers.append(real(*args)) or workers[-1])
    held = tmp_path / "held.png"
    os.mkfifo(held)

    def kill_both():
        with open(waiting, "wb"), open(held, "wb"):
            for worker in workers[:2]:
                worker.process.kill()

    killer = Thread(target=kill_both)
    killer.start()
    records = {
        Path(r.input).name: r
        for r in do_all(jobs_for([waiting, held, *pictures], tmp_path / "out"), ENCODING, workers=2)
    }
    killer.join()
    assert "SIGKILL" in records.pop("waiting.png").error and "SIGKILL" in records.pop("held.png").error
    assert {name: r.error for name, r in records.items()} == dict.fromkeys(["0.png", "1.png", "2.png"])
    assert sorted(contents(tmp_path / "out")) == ["0.odp", "1.odp", "2.odp"]
    assert len(workers) == 4 and not any(worker.process.is_alive() for worker in workers)


def test_whoever_stops_early_stops_the_processes(tmp_path, pictures, waiting):
    records = do_all(jobs_for([pictures[0], waiting, pictures[1]], tmp_path / "out"), ENCODING, workers=2)
    assert next(records).error is None
    with open(waiting, "wb") as pipe:
        records.close()
        with pytest.raises(BrokenPipeError):  # nobody reads any more
            os.write(pipe.fileno(), b"x")


def interrupted(tmp_path, pictures, waiting, interrupt):
    """(process, its rest of standard output, its errors) of encoding to tmp_path/out, to which `interrupt` was done
    while it waited for one of its files. By its end nobody reads that file any more.
    """
    command = [sys.executable, "-c", PROGRAM, "encode", *pictures, waiting, "-o", tmp_path / "out", "-j", "2", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, "-q", "5"], text=True, preexec_fn=default_signals, **pipes) as process:
        for _ in pictures:
            process.stdout.readline()
        with open(waiting, "wb") as pipe:
            interrupt(process)
            rest, errors = process.communicate()
            poll = select.poll()
            poll.register(pipe, 0)
            assert poll.poll()[0][1] & select.POLLERR  # its reader is gone, or this never ends
    return process, rest, errors


def default_signals():
    """As it is where tests do not run in the background or without a terminal."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def whole_files(pictures):
    return {p.with_suffix(".odp").name: ENCODING.encode(ENCODING.read(p.read_bytes(), ""))[0] for p in pictures}


@pytest.mark.parametrize(
    "number, message",
    [
        (signal.SIGINT, "odpiece: interrupted"),
        (signal.SIGTERM, "odpiece: ended by SIGTERM"),
        (signal.SIGHUP, "odpiece: ended by SIGHUP"),
    ],
)
def test_signals_end_all_processes_and_leave_only_whole_files(number, message, tmp_path, pictures, waiting):
    process, rest, errors = interrupted(tmp_path, pictures, waiting, lambda process: process.send_signal(number))
    assert (process.returncode, rest, errors.strip()) == (128 + number, "", message)
    assert contents(tmp_path / "out") == whole_files(pictures)


def test_processes_end_with_a_command_that_is_killed(tmp_path, pictures, waiting):
    """It cannot end them, so they see to it themselves."""
    process, _, _ = interrupted(tmp_path, pictures, waiting, lambda process: process.kill())
    assert process.returncode == -signal.SIGKILL
    assert contents(tmp_path / "out") == whole_files(pictures)


def test_a_reader_that_goes_away_ends_the_work_quietly(tmp_path, pictures, waiting):
    """As `odpiece ... --json | head -1`."""
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        "encode",
        pictures[0],
        waiting,
        "-o",
        tmp_path / "out",
        "-j",
        "2",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        waiting.write_bytes(pictures[0].read_bytes())
        assert process.stderr.read() == b""
    assert process.returncode == ReaderGoneError.exit_code


@pytest.mark.parametrize("cores, workers, files, each", [(8, 2, 9, 4), (8, 3, 9, 2), (2, 9, 9, 1), (8, None, 2, 4)])
def test_cores_are_divided(monkeypatch, cores, workers, files, each):
    given = []
    monkeypatch.setattr(processes, "available_cores", lambda: cores)
    monkeypatch.setattr(processes, "_start", lambda job, arguments: given.append(arguments[1]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(do_all([Job("a", "b")] * files, ENCODING, workers=workers))
    assert given == [each]


def test_a_process_keeps_to_its_threads(monkeypatch):
    """`_serve` in this process: what it sets for itself is put back."""
    monkeypatch.setattr(processes.signal, "signal", lambda *args: None)
    monkeypatch.setattr(threads, "_limit", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")

    class Pipe:
        sent, jobs = [], iter([Job("/nowhere", "/nowhere.odp")])

        def recv(self):
            return next(self.jobs, None) or self.end()

        def end(self):
            raise EOFError

        def send(self, record):
            self.sent.append((record.exit_code, threads.thread_limit(), os.environ["OMP_NUM_THREADS"]))

    processes._serve(Pipe(), partial(do, work=ENCODING), 3)
    assert Pipe.sent == [(3, 3, "3")]
