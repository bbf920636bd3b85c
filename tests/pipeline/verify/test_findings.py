"""What a check notes."""

from __future__ import annotations

from pathlib import Path

from pipeline.verify.findings import Check


def test_a_file_that_is_not_there_is_a_gap_and_nothing_wrong(tmp_path: Path) -> None:
    check, path = Check("rows", "tables"), tmp_path / "rows.parquet"
    assert not check.has(path) and not check.has(path, "not evaluated yet")
    assert check.gaps == [f"{path}: missing", f"{path}: not evaluated yet"] and not check.failures
    path.touch()
    assert check.has(path) and len(check.gaps) == 2
