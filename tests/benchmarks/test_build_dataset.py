"""The benchmark runs, and its peers do the same work; what it measures is for people to read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import build_dataset


@pytest.mark.slow
def test_every_row_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build_dataset, "_SIZE", (64, 80))
    build_dataset.main(["--frames", "24"])
    rows = json.loads(Path("results/benchmarks/build_dataset.json").read_text())["rows"]
    assert len(rows) >= 4
    for row in rows.values():
        assert row["frames"] == 24 and row["frames_a_second"] > 0 and row["peak_mib"] > 20
    assert "frames/s" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["results"], "nothing is left but the figures"
