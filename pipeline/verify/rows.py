"""Check that saved rows and scores agree with the saved predictions, without a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from endoarss.metrics import STANDARD
from pipeline.datasets.arrays import arrays_folder
from pipeline.evaluation.collect_results import gather_results
from pipeline.evaluation.evaluate_cell import measure_saved_predictions
from pipeline.evaluation.robustness import scores_by_condition
from pipeline.evaluation.score_references import rows_of_references
from pipeline.evaluation.scores import scores_of, scores_of_whole
from pipeline.io.files import read_json
from pipeline.io.hashing import sha256_of
from pipeline.io.processes import ordered_map
from pipeline.io.saved_files import read_table
from pipeline.results import paths
from pipeline.results.cell_state import missing_robust_models
from pipeline.study.cell import Cell
from pipeline.study.cells import models_of
from pipeline.study.datasets import evaluated_on, labels_of
from pipeline.study.folders import cell_folder, dataset_folder, results_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.verify.compare import as_stored, difference
from pipeline.verify.findings import Check

_EVALUATE = "Evaluate the cell again, or run snakemake."
_PREDICT = "Restore the file, or: endoarss evaluate --again."
_ROBUSTNESS = "Restore the file, or evaluate the robustness again."
_COLLECT = "Run snakemake, or: endoarss step collect_results."
_ROWS = ("rows", "tables of rows and scores")  # name and content of the check


def check_rows(study: Study, workers: int) -> Check:
    """Check rows and scores of every cell, also under corruption, of external models, and of reference predictions.

    Rows on clean images are measured again from predictions, and every bit must be equal. Scores in metrics.json are computed again from
    rows.

    Args:
        study: the study.
        workers: the largest number of processes.
    """
    work: list[tuple[Callable[[Check, Study, Any], None], Any]] = [(_check_cell, cell) for cell in models_of(study)]
    work += [(_check_references, dataset) for dataset in paths.evaluated_datasets(study)]
    lacking = missing_robust_models(study)
    work += [(_check_robust_scores, cell) for cell in robust_models(study) if cell not in lacking]
    work += [(_check_external, folder) for folder in external_folders(study)]
    check = Check(*_ROWS)
    for part in ordered_map(partial(_check_in_process, study), work, workers, "verify rows", "table"):
        check.add(part)
    return check


def _check_in_process(study: Study, work: tuple[Callable[[Check, Study, Any], None], Any]) -> Check:
    """Return the check of one cell, dataset or external model; it runs in its own process."""
    (run, subject), check = work, Check(*_ROWS)
    with check.collects_errors(subject):
        run(check, study, subject)
    return check


def external_folders(study: Study) -> list[Path]:
    """Return the folders predictors/<name>/<dataset> that hold the robustness of a model from elsewhere."""
    found = (results_folder(study) / paths.StudyOutput.PREDICTORS).glob(f"*/*/{paths.CellOutput.ROBUSTNESS}")
    return sorted(path.parent for path in found)


def is_packed(study: Study, dataset: str) -> bool:
    """Return whether the test images of a dataset are stored at the study's size. A verification does not make them."""
    folder = dataset_folder(study, dataset)
    if not all((folder / name).is_file() for name in ("manifest.csv", "dataset.json")):
        return False
    return arrays_folder(folder, "test", study.input_size).is_dir()


def _check_cell(check: Check, study: Study, cell: Cell) -> None:
    if not (cell_folder(study, cell) / paths.CellOutput.PROVENANCE).is_file():
        return  # reported by the check of settings
    digests = read_json(cell_folder(study, cell) / paths.CellOutput.PROVENANCE).get("predictions_sha256") or {}
    scores_by_dataset: dict[str, Any] = {}
    for dataset in evaluated_on(study, cell.dataset):
        with check.collects_errors(paths.rows_file(study, cell, dataset)):
            scores = _check_rows_of(check, study, cell, dataset, digests.get(dataset))
            if scores is not None:
                scores_by_dataset[dataset] = scores
    if len(scores_by_dataset) == len(evaluated_on(study, cell.dataset)):
        _compare_scores(check, cell_folder(study, cell) / paths.CellOutput.METRICS, scores_by_dataset)


def _check_rows_of(check: Check, study: Study, cell: Cell, dataset: str, digest: str | None) -> dict[str, float] | None:
    """Compare predictions, rows and scores of a cell on one dataset. Return the scores of the whole test set, or None without rows."""
    path, predictions = paths.rows_file(study, cell, dataset), paths.predictions_file(study, cell, dataset)
    if predictions.is_file():
        _compare_digest(check, predictions, digest, _PREDICT)
    if not check.has(path, "not evaluated yet"):
        return None
    stored = read_table(path)
    if not is_packed(study, dataset):
        check.gaps.append(f"{dataset_folder(study, dataset)}: not built at this size; {path} cannot be measured again")
    elif not predictions.is_file():
        check.gaps.append(f"{predictions}: missing; {path} cannot be measured again")
    else:
        with check.collects_errors(predictions):
            measured = measure_saved_predictions(study, cell, dataset)
            _compare(check, path, stored, measured, "its predictions", _EVALUATE)
    scores = scores_of(stored, labels_of(study, dataset))
    scored = {"predictions_sha256": sha256_of(predictions)} if predictions.is_file() else {}
    _compare_scores(check, paths.scores_file(study, cell, dataset), {"protocol": STANDARD, "scores": scores} | scored)
    return scores_of_whole(scores)


def _check_references(check: Check, study: Study, dataset: str) -> None:
    files = paths.reference_files(study, dataset)
    missing = [path for path in files.values() if not path.is_file()]
    if missing or not is_packed(study, dataset):
        check.gaps.append(
            f"{missing[0] if missing else dataset_folder(study, dataset)}: missing; references cannot be measured again"
        )
        return
    rows = rows_of_references(study, dataset)
    for name, path in files.items():
        advice = f"Run snakemake, or: endoarss step score_references --dataset {dataset}."
        _compare(check, path, read_table(path), rows[name], "the dataset", advice)


def _check_robust_scores(check: Check, study: Study, cell: Cell) -> None:
    _compare_robustness(check, study, paths.robustness_files(study, cell), cell.dataset)


def _check_external(check: Check, study: Study, folder: Path) -> None:
    files = paths.RobustnessFiles.below(folder / paths.CellOutput.ROBUSTNESS)
    if folder.name not in study.datasets:
        check.gaps.append(f"{folder}: the study has no dataset {folder.name!r}")
    elif all(check.has(path) for path in files[:3]):
        _compare_robustness(check, study, files, folder.name)


def _compare_robustness(check: Check, study: Study, files: paths.RobustnessFiles, dataset: str) -> None:
    """Compare rows under corruption with their digest, and scores with those computed from the rows."""
    _compare_digest(check, files.rows, read_json(files.provenance).get("per_image_sha256"), _ROBUSTNESS)
    scores = scores_by_condition(read_table(files.rows), labels_of(study, dataset))
    check.checked += 1
    stored = read_json(files.scores).get("scores")
    _compare_json(check, files.scores, stored, scores, files.rows.name, _ROBUSTNESS)


def _compare_digest(check: Check, path: Path, expected: str | None, advice: str) -> None:
    """Compare a file with its digest in provenance.json. Earlier versions of the project wrote no digest (`expected` is None)."""
    if expected is not None:
        check.compare_digest(
            path, sha256_of(path), expected, "the digest in provenance.json: the file was changed", advice
        )


def _compare(
    check: Check,
    path: Path,
    stored: pd.DataFrame,
    measured: pd.DataFrame,
    origin: str,
    advice: str,
    keys: Sequence[str] = ("frame_id",),
) -> None:
    """Compare a stored table with one measured again from `origin`, which is in words and in the plural."""
    check.checked += 1
    first = difference(stored, as_stored(measured), keys)
    if first is not None:
        where = f"{path}, {first.where} ({first.rows:,} of {first.total:,} rows differ)"
        check.fail(where, first.found, f"{first.expected}, which {origin} give", advice)


def _compare_scores(check: Check, path: Path, computed: dict[str, Any]) -> None:
    if not check.has(path):
        return
    check.checked += 1
    stored = read_json(path)
    if "predictions_sha256" not in computed:
        stored.pop("predictions_sha256", None)  # without the predictions, their digest cannot be compared
    _compare_json(check, path, stored, computed, paths.ROWS)


def _compare_json(check: Check, path: Path, stored: Any, computed: Any, origin: str, advice: str = _EVALUATE) -> None:
    # Convert both to what JSON stores, with NaN as text, because NaN is not equal to itself.
    found, expected = (_values(json.loads(json.dumps(content), parse_constant=str)) for content in (stored, computed))
    different = [name for name in {**expected, **found} if found.get(name, "nothing") != expected.get(name, "nothing")]
    if different:
        name = different[0]
        where = f"{path}, {name} ({len(different):,} of {len(expected):,} values differ)"
        computed_value = f"{expected.get(name, 'nothing')}, which {origin} gives"
        check.fail(where, str(found.get(name, "nothing")), computed_value, advice)


def _values(content: Any, name: str = "") -> dict[str, Any]:
    """Return every number and text in JSON content by a description of its place. name: the description of the content's place."""
    if isinstance(content, dict):
        if {"metric", "value"} <= set(content):  # a score
            keys = sorted(key for key in content if key not in ("metric", "value", "n") and content[key] != "")
            score = ", ".join([str(content["metric"]), *(f"{key} {content[key]}" for key in keys)])
            return {f"{name}{score}": content["value"]}
        return {inner: value for key in content for inner, value in _values(content[key], f"{name}{key} ").items()}
    if isinstance(content, list):
        return {inner: value for item in content for inner, value in _values(item, name).items()}
    return {name.strip(): content}


# The columns that name a row of results.parquet in messages.
_KEYS = (
    "dataset",
    "backbone",
    "architecture",
    "weighting",
    "eval_dataset",
    "corruption",
    "severity",
    "metric",
    "class",
)


def check_results(study: Study) -> Check:
    """Collect results.parquet again from all rows and compare it value by value; compare its digest with the provenance."""
    check, path = Check("results", "measurements"), paths.results_file(study)
    if not check.has(path, "not collected yet"):
        return check
    datasets = paths.evaluated_datasets(study)
    # Results are collected from these files too. They are absent if somebody has only the folder of results.
    needed = [dataset_folder(study, dataset) / "manifest.csv" for dataset in datasets]
    needed += [path for dataset in datasets for path in paths.reference_files(study, dataset).values()]
    missing = [file for file in needed if not file.is_file()]
    if missing:
        check.gaps.append(f"{missing[0]}: missing; {path} cannot be collected again")
    else:
        with check.collects_errors(path):
            collected = gather_results(study, study.protocol)
            _compare(check, path, read_table(path), collected, "the saved rows", _COLLECT, _KEYS)
            check.checked = len(collected)
    provenance = paths.results_provenance_file(study)
    if not check.has(provenance, "missing; what the results were collected from is unknown"):
        return check
    with check.collects_errors(provenance):
        expected = str(read_json(provenance).get("results_sha256"))
        check.compare_digest(
            path,
            sha256_of(path),
            expected,
            f"the digest in {provenance.name}: the file belongs to another run",
            _COLLECT,
        )
    return check
