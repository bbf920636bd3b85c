"""The fuzz suite, short in `make test-slow` and ten minutes in `make test-all`: no hang, no crash, no way out of a folder, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_RUN = Path(__file__).with_name("run_fuzz.py")


def fuzz(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    out = tmp_path / "tally.json"
    done = subprocess.run(
        [sys.executable, str(_RUN), "--json", str(out), *arguments],
        cwd=_RUN.parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-2000:]}"
    tallies: dict[str, Any] = json.loads(out.read_text())
    return tallies


@pytest.mark.slow
def test_a_few_of_everything(tmp_path: Path) -> None:
    tallies = fuzz(tmp_path, "--most", "8", "--seconds", "60")
    assert set(tallies) == {"headers", "weights", "studies", "saved files", "media", "archives"}
    for kind, tally in tallies.items():
        # Damage must be seen: a suite whose every case is accepted tests nothing.
        assert tally["tried"] == 8 and tally["kinds"].get("refused", 0) >= 3, kind


@pytest.mark.long
def test_ten_minutes(tmp_path: Path) -> None:
    tallies = fuzz(tmp_path, "--seconds", "600")
    assert min(tally["tried"] for tally in tallies.values()) >= 300
