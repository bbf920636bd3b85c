"""Reads the saved rows of a study, and refuses rows whose images, conditions, tasks or true activities differ from the study's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.datasets.manifest import read_manifest
from pipeline.errors import InputError
from pipeline.results.paths import reference_files, robustness_files, rows_file
from pipeline.results.row_files import CONDITION, read_rows
from pipeline.study.cell import Cell
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import labels_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study


def frames_tested(study: Study, dataset: str) -> dict[str, str]:
    """Return the activity of each frame of a dataset's test split, by frame id. It is "" if the dataset has no activities."""
    rows = read_manifest(dataset_folder(study, dataset))
    return {row["frame_id"]: row["activity"] for row in rows if row["split"] == "test"}


def clean_rows(study: Study, cell: Cell, dataset: str, frames: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the saved rows of a cell's evaluation on a dataset, in the order of the test split.

    Args:
        study: the study.
        cell: a trained or merged cell.
        dataset: a dataset that the cell is evaluated on.
        frames: result of `frames_tested`, if the caller has it.

    Raises:
        InputError: if `read_rows` raises it, if a true activity is not that of the manifest, or if the columns of a task are missing.
    """
    path, frames = rows_file(study, cell, dataset), frames or frames_tested(study, dataset)
    rows = read_rows(path, list(frames), labels_of(study, dataset))
    _check_tasks(study, cell, dataset, path, rows)
    _check_activities(study, dataset, path, rows, frames)
    return rows.set_index("frame_id").loc[list(frames)].reset_index()


def robust_rows(study: Study, cell: Cell, frames: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return the saved rows of a cell's robustness evaluation, under all conditions of the study.

    Raises:
        InputError: as `clean_rows`, or if a condition of the study lacks images.
    """
    path, frames = robustness_files(study, cell).rows, frames or frames_tested(study, cell.dataset)
    rows = read_rows(path, list(frames), labels_of(study, cell.dataset))
    if CONDITION[0] not in rows:
        raise InputError(f"{path}: lacks the column(s) {', '.join(CONDITION)}. Evaluate the cell's robustness again.")
    _check_tasks(study, cell, cell.dataset, path, rows)
    _check_activities(study, cell.dataset, path, rows, frames)
    counts = rows.groupby(CONDITION).size()
    for condition in _conditions(study, "truth_0" in rows):
        if counts.get(condition, 0) != len(frames):
            name, severity, warped = condition
            where = f"under {name}, severity {severity}" if name else "without corruption"
            raise InputError(
                f"{path}: has rows of {counts.get(condition, 0)} of {len(frames)} images {where}"
                f"{'' if warped else ', with mask_warped False'}; expected all images. Evaluate the cell's robustness again, or run "
                "snakemake."
            )
    return rows


def reference_rows(study: Study, dataset: str, frames: Mapping[str, str] | None = None) -> dict[str, pd.DataFrame]:
    """Return the saved rows of each reference prediction, by its name. A reference needs no model, e.g. background at every pixel.

    Raises:
        InputError: as `read_rows`.
    """
    ids = list(frames or frames_tested(study, dataset))
    return {
        name: read_rows(path, ids, labels_of(study, dataset)) for name, path in reference_files(study, dataset).items()
    }


def _conditions(study: Study, masks: bool) -> list[tuple[str, int, bool]]:
    """Return the conditions of a study as (corruption, severity, mask_warped).

    If the rows have masks (`masks`), a corruption that moves masks has two conditions per severity: with moved and with unmoved truth.
    """
    settings = conditions_of(study)
    corrupted = [(name, severity) for name in settings.corruptions for severity in settings.severities]
    unmoved = [(name, severity, False) for name, severity in corrupted if masks and settings.moves_masks(name)]
    return [("", 0, True), *((name, severity, True) for name, severity in corrupted), *unmoved]


def _check_tasks(study: Study, cell: Cell, dataset: str, path: Path, rows: pd.DataFrame) -> None:
    predicts = cell.architecture != "single_segmentation" and bool(labels_of(study, dataset).activities)
    for solves_task, column in ((predicts, "activity_true"), (cell.architecture != "single_activity", "truth_0")):
        if solves_task and column not in rows:
            raise InputError(
                f"{path}: lacks the column {column} of a task that {cell.id} solves. Evaluate the cell again, or run snakemake."
            )


def _check_activities(study: Study, dataset: str, path: Path, rows: pd.DataFrame, frames: Mapping[str, str]) -> None:
    if "activity_true" not in rows:
        return
    names = labels_of(study, dataset).activities
    index_of = {name: index for index, name in enumerate(names)}
    expected = rows["frame_id"].map({frame: index_of.get(activity, -1) for frame, activity in frames.items()})
    for row in np.flatnonzero(rows["activity_true"].to_numpy() != expected.to_numpy())[:1]:
        frame, index = rows["frame_id"].iloc[row], int(rows["activity_true"].iloc[row])
        raise InputError(
            f"{path}: the image {frame!r} has the true activity {names[index]!r}; the dataset's manifest.csv says {frames[frame]!r}. "
            "Evaluate the cell again, or run snakemake."
        )
