"""Training of One-D-Piece networks: lengths, start, steps, resuming, several processes."""

import io
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from click.testing import CliRunner  # noqa: E402
from PIL import Image  # noqa: E402

from odpiece.cli.train import train  # noqa: E402
from odpiece.formats.errors import OptionError  # noqa: E402
from odpiece.models.nets.one_d_piece.architecture import Architecture  # noqa: E402
from odpiece.models.nets.one_d_piece.network import OneDPiece  # noqa: E402
from odpiece.models.training.data import middle_squares  # noqa: E402
from odpiece.models.training.one_d_piece import loop  # noqa: E402
from odpiece.models.training.one_d_piece.start import initialise  # noqa: E402
from odpiece.models.training.processes import Processes  # noqa: E402

SMALL = Architecture(32, 1, 2, hidden=4, groups=1, proxy_width=16)
WORKER = f"""
import os, sys
from pathlib import Path
import torch
from odpiece.models.nets.one_d_piece.architecture import Architecture
from odpiece.models.training.one_d_piece import loop

data, out = map(Path, sys.argv[1:])
loop.PRESETS["tiny"] = {SMALL!r}
runs, whole = [], loop._train
def _train(run, *rest):
    runs.append(run)
    whole(run, *rest)
loop._train = _train
table = loop.train_one_d_piece(loop.OneDPieceOptions(data, out, 0.01, "tiny", cache=out, batch=1))
(run,) = runs
state = run.state_dict() | {{"table": table}}
torch.save(state, out / f"process{{os.environ['RANK']}}.pt")
"""


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(loop.PRESETS, "tiny", SMALL)
    monkeypatch.setattr(loop, "SHOWN", 1)
    monkeypatch.setattr(loop, "START_PICTURES", 3)
    monkeypatch.setattr(loop, "WARMUP_STEPS", 2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, photo, example):
    """A folder of three pictures: a photo, a larger one, a flat one."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, pixels in (("a", photo), ("b", example), ("c", np.full((300, 260, 3), (200, 90, 30), np.uint8))):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def images(pictures):
    return loop.to_unit(middle_squares(pictures, 3))


@pytest.fixture
def network(images):
    torch.manual_seed(0)
    network = OneDPiece(SMALL)
    initialise(network, images)
    return network


def options(pictures, out, minutes=0.0, **fields):
    return loop.OneDPieceOptions(pictures, out, minutes, "tiny", cache=out, batch=1, **fields)


def test_lengths_are_even_from_1_to_256():
    lengths = loop.draw_lengths(100_000, True, torch.Generator().manual_seed(0))
    counts = torch.bincount(lengths)
    assert lengths.min() == 1 and lengths.max() == 256
    assert abs(lengths.float().mean() - 128.5) < 1.5 and counts[1:].min() > 300 and counts[1:].max() < 500


def test_without_drop_all_tokens_are_kept():
    assert loop.draw_lengths(3, False, torch.Generator()).tolist() == [256] * 3


def test_middle_squares_are_evenly_spaced_middles(pictures, photo, example):
    a, b, c = middle_squares(pictures, 3)
    cut = Image.fromarray(photo[:, 32:224]).resize((256, 256), Image.Resampling.LANCZOS)
    assert np.array_equal(a, np.asarray(cut)) and np.array_equal(b, example) and (c == (200, 90, 30)).all()
    assert np.array_equal(middle_squares(pictures, 99), [a, b, c])
    assert np.array_equal(middle_squares(pictures, 1), [a])


def test_tokens_tell_pictures_apart_from_the_start(network, images):
    """Of a network that starts from noise, most tokens of these pictures are the same."""
    first, second, _ = network.encode(images)
    assert (first != second).float().mean() > 0.6
    torch.manual_seed(0)
    first, second, _ = OneDPiece(SMALL).encode(images)
    assert (first != second).float().mean() < 0.4


def test_the_first_patches_are_whitened_by_half(network, images):
    """The oracle: half-whitened principal components have spreads that fall, and none is correlated with another."""
    x = network.encoder.patch_embed(images).flatten(2).transpose(1, 2).flatten(0, 1)[:, :24]
    covariance = x.T @ x / len(x)
    spread = covariance.diagonal()
    assert x.mean(dim=0).abs().max() < 1e-3
    assert (spread[:-1] >= spread[1:] - 1e-6).all()
    assert (covariance - covariance.diagonal().diag()).abs().max() < 1e-3 * spread[0]


def test_the_first_head_sees_the_first_token(network):
    """Changing token 0 changes the picture at the start far more than changing the last one."""
    ids = torch.arange(256)[None] * 16
    pictures = []
    for at in (0, 255):
        other = ids.clone()
        other[0, at] = 4095
        pictures.append((network.decode(other) - network.decode(ids)).abs().mean().item())
    assert pictures[0] > 3 * pictures[1]


def test_steps_lower_the_error(network, images):
    run = loop.Run(network, Processes())
    errors = [run.update(images, torch.tensor([256, 30, 1]), 0.0) for _ in range(12)]
    assert errors[-1] < 0.7 * errors[0]
    assert run.step == 12


def test_the_rate_warms_up_and_falls_to_zero():
    assert loop.rate_factor(0, 0.0) == 0.5
    assert loop.rate_factor(50, 0.0) == 1.0
    assert loop.rate_factor(50, 0.5) == pytest.approx(0.5)
    assert loop.rate_factor(50, 1.0) == loop.rate_factor(50, 1.1) == 0.0


def test_only_matrices_of_layers_decay(network):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed = [names[id(p)] for group in loop._groups(network) if group["weight_decay"] for p in group["params"]]
    assert "encoder.transformer.0.attn.in_proj_weight" in decayed and "pixel_decoder.conv_in.weight" in decayed
    assert [n for n in decayed if "embedding" in n or "token" in n or "ln_" in n or n.endswith("bias")] == []
    assert sum(len(group["params"]) for group in loop._groups(network)) == len(names)


def test_a_resumed_run_goes_on_as_if_never_stopped(network, images):
    run, lengths = loop.Run(network, Processes()), torch.tensor([256, 30, 1])
    run.update(images, lengths, 0.0)
    state = {key: value for key, value in run.state_dict().items()}
    again = loop.Run.from_state_dict(torch.load(_bytes(state), weights_only=True), Processes())
    for each in (run, again):
        each.update(images, lengths, 0.5)
    for name in ("network", "averaged"):
        for key, tensor in run.state_dict()[name].items():
            assert torch.equal(tensor, again.state_dict()[name][key]), key


def _bytes(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_command_trains_resumes_and_writes_published_names(pictures, tmp_path):
    command = ["one-d-piece", "--preset", "tiny", "--data", pictures, "--out", tmp_path, "--overfit", 2, "--batch", 2]
    done = CliRunner().invoke(train, [*map(str, command), "--minutes", "0"], catch_exceptions=False)
    assert done.exit_code == 0 and done.output.count(" dB") == len(loop.PREFIXES)
    untrained = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    done = CliRunner().invoke(train, [*map(str, command), "--minutes", "0.005", "--resume"], catch_exceptions=False)
    trained = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert untrained["step"] == 0 < trained["step"] and trained["seconds"] >= 0.3
    weights = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    OneDPiece(SMALL).load_state_dict(weights, strict=True)
    network = loop.load_averaged(tmp_path / "checkpoint.pt")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())
    table = loop.psnr_by_prefix(network, middle_squares(pictures, 2))
    assert f"256 tokens  {table[256]:.2f} dB" in done.output


def test_the_table_is_the_psnr_of_the_decoded_prefix(network, images, pictures):
    square = middle_squares(pictures, 1)
    with torch.no_grad():
        x = loop.to_unit(square)
        decoded = network.decode(network.encode(x)[:, :8])[0].clamp(0, 1).permute(1, 2, 0).numpy()
    error = np.square(np.rint(decoded * 255) - square[0].astype(float)).mean()
    assert loop.psnr_by_prefix(network, square)[8] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)


def test_log_and_checkpoints_are_written_by_the_clock(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "LOG_SECONDS", 0)
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0)
    steps, save = [], loop.save
    monkeypatch.setattr(loop, "save", lambda state, path: (steps.append(state.get("step")), save(state, path)))
    loop.train_one_d_piece(options(pictures, tmp_path, 0.01))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1)) == steps[: len(lines)]
    assert all(0 < line["psnr"] < 60 for line in lines)


def test_another_preset_does_not_resume(pictures, tmp_path, monkeypatch):
    loop.train_one_d_piece(options(pictures, tmp_path))
    monkeypatch.setitem(loop.PRESETS, "tiny", Architecture(48, 1, 3, hidden=4, groups=1, proxy_width=16))
    with pytest.raises(OptionError, match="not of the preset tiny"):
        loop.train_one_d_piece(options(pictures, tmp_path, resume=True))


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(OptionError, match="no pictures in"):
        loop.train_one_d_piece(options(tmp_path, tmp_path / "out"))


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_all(processes):
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed package")
def test_two_processes_keep_the_same_weights(pictures, tmp_path):
    """Their pictures differ, so that only shared gradients can keep their weights equal."""
    (tmp_path / "worker.py").write_text(WORKER)
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "OMP_NUM_THREADS": "1"}
    shared |= {"GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(tmp_path / "worker.py"), str(pictures), str(tmp_path)]
    running = [subprocess.Popen(command, env=os.environ | shared | {"RANK": str(i)}) for i in range(2)]

    def exit_code(process):
        """Waits; a process that fails would leave the other waiting for it."""
        if process.wait():
            end_all(running)
        return process.returncode

    try:
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(exit_code, running)) == [0, 0]
    finally:
        end_all(running)
    first, second = (torch.load(tmp_path / f"process{i}.pt", weights_only=True) for i in (0, 1))
    assert first["step"] == second["step"] > 0 and first["seconds"] == second["seconds"]
    for part in ("network", "averaged"):
        assert all(torch.equal(tensor, second[part][name]) for name, tensor in first[part].items())
    assert set(first["table"]) == set(loop.PREFIXES) and second["table"] is None
