"""Every weighting is measured, and torchjd's does the same where it has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import weightings
from endoarss import list_weightings


def test_every_weighting_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weightings, "SIZES", {"few": 50})
    weightings.main(["--repeats", "2"])
    rows = json.loads(Path("results/benchmarks/weightings.json").read_text())["rows"]
    assert sorted(row["weighting"] for row in rows) == sorted(list_weightings())
    # Solvers stop early, and torchjd adds 1e-4 to the diagonal for that of UPGrad.
    stricter = [row for row in rows if row["weighting"] not in ("cagrad", "fairgrad", "upgrad")]
    assert all(row["differs"] <= 1e-6 for row in stricter if row["differs"] is not None)
    assert {row["weighting"] for row in stricter if row["differs"] is None} == {"db_mtl", "moco", "rlw", "stch"}


def test_without_a_solver_ours_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks() -> None:
        raise ImportError

    monkeypatch.setitem(weightings.PEERS, "cagrad", lacks)
    row = weightings.measured("cagrad", "few", weightings.of_size(9), 1)
    assert row["ratio"] is None and set(row["microseconds"]) == {"ours"}
