"""What a run of training has written is never overwritten without a word."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from odpiece.cli.main import main
from odpiece.formats.errors import OutputExistsError

COMMANDS = {
    "train tokenizer --data photos --val photos --minutes 1 --out run": "run/checkpoint.pt",
    "train one-d-piece --preset tiny --data photos --minutes 1 --out run": "run/checkpoint.pt",
    "train prior --checkpoint start.pt --data photos --minutes 1 --out run/prior.pt": "run/prior.pt",
    "train look --checkpoint start.pt --data photos --minutes 1 --out run/look.pt": "run/look.pt",
    "train average start.pt --out run/mean.pt": "run/mean.pt",
    "train export --checkpoint start.pt --data photos --name mine --out run": "run/mine.safetensors",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a folder `photos` that is empty, a file start.pt and a folder `run`."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "start.pt").write_bytes(b"start")
    return tmp_path


@pytest.mark.parametrize("command, output", COMMANDS.items(), ids=[" ".join(c.split()[:2]) for c in COMMANDS])
def test_what_is_there_is_refused(command, output, folder, capsys):
    """Also where one of its inputs is what it would overwrite, and before anything is read."""
    if "look" in command:
        pytest.importorskip("stlpips_pytorch")
    (folder / output).write_bytes(b"hours of training")
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        main(command.split())
    assert caught.value.code == OutputExistsError.exit_code
    assert f"{output} exists" in capsys.readouterr().err
    assert (folder / output).read_bytes() == b"hours of training" and sorted(folder.rglob("*")) == before
