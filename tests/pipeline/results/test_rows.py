"""Saved rows are read only if they belong to the study's test splits, conditions and tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.results.paths import robustness_files, rows_file
from pipeline.results.rows import clean_rows, frames_tested, reference_rows, robust_rows
from pipeline.study.cell import Cell
from pipeline.study.cells import find_cell
from pipeline.study.datasets import labels_of
from pipeline.study.loading import load_study
from pipeline.study.models import Study

CELL = "mtlesd/resnet/hps/equal/r4-s0"


@pytest.fixture
def evaluated(study_file: Path, copied: Callable[[str, Callable[[], None]], None]) -> tuple[Study, Cell]:
    """The toy study with its cell trained and its robustness evaluated. It is made once and copied."""
    steps: tuple[tuple[str, ...], ...] = (
        ("step", "build_dataset", "--dataset", "mtlesd"),
        ("train", "--cell", CELL),
        ("evaluate", "--cell", CELL),
        ("robustness", "--cell", CELL, "--workers", "0"),
        ("step", "score_references", "--dataset", "mtlesd"),
    )

    def make() -> None:
        for step in steps:
            assert main([*step, "--study", str(study_file)]) == 0

    copied("evaluated_study", make)
    study = load_study(study_file)
    return study, find_cell(study, CELL)


def test_rows_are_in_the_order_of_the_test_split(evaluated: tuple[Study, Cell]) -> None:
    study, cell = evaluated
    frames = frames_tested(study, "mtlesd")
    path = rows_file(study, cell, "mtlesd")
    pd.read_parquet(path).iloc[::-1].to_parquet(path)
    rows = clean_rows(study, cell, "mtlesd")
    assert rows["frame_id"].tolist() == list(frames)
    names = labels_of(study, "mtlesd").activities
    assert [names[i] for i in rows["activity_true"]] == list(frames.values())
    assert set(reference_rows(study, "mtlesd")) == {"majority_activity", "all_background", "activity_from_instruments"}
    assert len(robust_rows(study, cell)) == len(frames) * (1 + 2 + 2 * 2)


Spoil = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda rows: rows[rows["corruption"] != ""],
            "has rows of 0 of 4 images without corruption; expected all images",
        ),
        (
            lambda rows: rows[(rows["corruption"] != "smoke") | (rows["severity"] != 5)],
            "0 of 4 images under smoke, severity 5",
        ),
        (lambda rows: rows.drop(rows.index[rows["corruption"] == "smoke"][0]), "3 of 4 images under smoke, severity 1"),
        (
            lambda rows: rows[rows["mask_warped"]],
            "0 of 4 images under elastic_transform, severity 1, with mask_warped False; expected",
        ),
        (
            lambda rows: rows.drop(columns=["corruption", "severity", "mask_warped"]).drop_duplicates("frame_id"),
            "lacks the column",
        ),
        (lambda rows: rows.assign(activity_predicted=1.5), "activity_predicted of the image .* is 1.5"),
        (lambda rows: rows.assign(activity_true=(rows["activity_true"] + 1) % 3), "has the true activity"),
        (
            lambda rows: rows.drop(columns=["activity_true", "activity_predicted"]),
            "activity_true of a task that .* solves",
        ),
    ],
)
def test_an_incomplete_evaluation_is_named(
    evaluated: tuple[Study, Cell], spoil: Spoil, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study, cell = evaluated
    path = robustness_files(study, cell).rows
    spoil(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(InputError, match=f"robustness/per_image.parquet: .*{message}"):
        robust_rows(study, cell)


def test_a_profile_that_moves_no_masks_is_evaluated_and_collected(
    evaluated: tuple[Study, Cell], study_file: Path
) -> None:
    settings = yaml.safe_load(study_file.read_text())
    settings["robustness"] |= {"profile": "authors_code", "corruptions": ["elastic_transform"], "severities": [1]}
    study_file.write_text(yaml.safe_dump(settings))
    for command in (("robustness", "--cell", CELL, "--workers", "0"), ("step", "collect_results")):
        assert main([*command, "--study", str(study_file)]) == 0
    study = load_study(study_file)
    rows = robust_rows(study, find_cell(study, CELL))
    assert rows["mask_warped"].all() and set(rows["corruption"]) == {"", "elastic_transform"}


def test_true_activities_of_another_build_are_named(evaluated: tuple[Study, Cell]) -> None:
    study, cell = evaluated
    path = rows_file(study, cell, "mtlesd")
    rows = pd.read_parquet(path)
    rows.assign(activity_true=(rows["activity_true"] + 1) % 3).to_parquet(path)
    with pytest.raises(InputError, match=r"per_image.parquet: the image .* the dataset's manifest.csv says"):
        clean_rows(study, cell, "mtlesd")
