"""The names of the files that steps write."""

from __future__ import annotations

from pathlib import Path

from pipeline.results.paths import ROBUSTNESS_NAMES, RobustnessFiles


def test_the_files_of_a_robustness_evaluation_have_the_names_that_rules_declare(tmp_path: Path) -> None:
    files = RobustnessFiles.below(tmp_path / "robustness")
    assert [path.name for path in files] == list(ROBUSTNESS_NAMES)
    assert {path.parent for path in files} == {tmp_path / "robustness"}
    assert (files.scores.name, files.rows.name) == ("metrics.json", "per_image.parquet")
    assert (files.provenance.name, files.gallery.name) == ("provenance.json", "gallery.npz")
