"""What fuzzing found and was mended stays mended."""

from pathlib import Path

import pytest

FINDINGS = sorted((Path(__file__).parent / "findings").iterdir())
MEMORY = 256 << 20  # bytes


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.name)
def test_findings(path, attempt, limited):
    with limited(MEMORY):
        attempt(path.read_bytes())
