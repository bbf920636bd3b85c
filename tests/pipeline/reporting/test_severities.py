"""Captions name the severities of the means, because a study may leave some out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.reporting.merging import study_note
from pipeline.reporting.robustness import _severities
from pipeline.study.loading import load_study
from reports.statistics.robustness import Robustness

ROOT = Path(__file__).parents[3]


def test_robustness_names_the_severities_that_were_evaluated() -> None:
    summary = pd.DataFrame({"quantity": ["severity_mean"] * 4 + ["mPC"], "of": ["5", "1", "3", "1", ""]})
    assert _severities(Robustness(pd.DataFrame(), summary, {}, (), ())) == "1, 3, 5"


def test_merging_names_the_severities_of_the_study() -> None:
    assert study_note(load_study(ROOT / "studies/demo.yaml")).endswith("Severities of corruptions: 1, 3, 5.")
