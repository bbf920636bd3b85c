"""Check that saved rows and scores agree with the saved predictions. Needs no model."""

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
from pipeline.study.folders import cell_folder, dataset_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.verify.compare import as_stored, difference
from pipeline.verify.findings import Check

_EVALUATE = "Evaluate the cell again, or run snakemake."
_PREDICT = "Get the file back, or: endoarss evaluate --again."
_ROBUSTNESS = "Get the file back, or evaluate the cell's robustness again."
_COLLECT = "Run snakemake, or: endoarss step collect_results."


def check_rows(study: Study, workers: int) -> Check:
    """Measure the rows of every cell and reference again and compare them bit by bit; compare the scores in
    metrics.json summed up again from rows, those under corruptions too.

    Args:
        workers: processes at most.
    """
    work: list[tuple[Callable[[Check, Study, Any], None], Any]] = [(_check_cell, cell) for cell in models_of(study)]
    work += [(_check_references, dataset) for dataset in paths.evaluated_datasets(study)]
    lacking = missing_robust_models(study)
    work += [(_check_robust_scores, cell) for cell in robust_models(study) if cell not in lacking]
    check = Check(*_ROWS)
    for found in ordered_map(partial(_do, study), work, workers, "verify rows", "table"):
        check.add(found)
    return check


_ROWS = ("rows", "tables of rows and scores")


def _do(study: Study, work: tuple[Callable[[Check, Study, Any], None], Any]) -> Check:
    """Return the check of one cell or dataset; it runs in its own process."""
    (make, what), check = work, Check(*_ROWS)
    with check.survives(what):
        make(check, study, what)
    return check


def is_packed(study: Study, dataset: str) -> bool:
    """Return whether the test images of a dataset are stored at the study's size, because a verification makes none."""
    folder = dataset_folder(study, dataset)
    if not all((folder / name).is_file() for name in ("manifest.csv", "dataset.json")):
        return False
    return arrays_folder(folder, "test", study.input_size).is_dir()


def _check_cell(check: Check, study: Study, cell: Cell) -> None:
    if not (cell_folder(study, cell) / paths.CellOutput.PROVENANCE).is_file():
        return  # reported by the check of settings
    digests = read_json(cell_folder(study, cell) / paths.CellOutput.PROVENANCE).get("predictions_sha256") or {}
    whole: dict[str, Any] = {}
    for dataset in evaluated_on(study, cell.dataset):
        with check.survives(paths.rows_file(study, cell, dataset)):
            scores = _check_rows_of(check, study, cell, dataset, digests.get(dataset))
            if scores is not None:
                whole[dataset] = scores
    if len(whole) == len(evaluated_on(study, cell.dataset)):
        _compare_scores(check, cell_folder(study, cell) / paths.CellOutput.METRICS, whole)


def _check_rows_of(check: Check, study: Study, cell: Cell, dataset: str, digest: str | None) -> dict[str, float] | None:
    """Compare predictions, rows and scores of a cell on one dataset. Return the scores of the test set, or None without rows."""
    path, predictions = paths.rows_file(study, cell, dataset), paths.predictions_file(study, cell, dataset)
    if predictions.is_file():
        _compare_digest(check, predictions, digest, _PREDICT)
    if not check.has(path, "not evaluated yet"):
        return None
    stored = read_table(path)
    if not is_packed(study, dataset):
        check.gaps.append(f"{dataset_folder(study, dataset)}: not built at this size; {path} cannot be measured again")
    elif not predictions.is_file():
        check.gaps.append(f"{predictions}: not there; {path} cannot be measured again")
    else:
        with check.survives(predictions):
            made = measure_saved_predictions(study, cell, dataset)
            _compare(check, path, stored, made, "its predictions", _EVALUATE)
    scores = scores_of(stored, labels_of(study, dataset))
    of = {"predictions_sha256": sha256_of(predictions)} if predictions.is_file() else {}
    _compare_scores(check, paths.scores_file(study, cell, dataset), {"protocol": STANDARD, "scores": scores} | of)
    return scores_of_whole(scores)


def _check_references(check: Check, study: Study, dataset: str) -> None:
    files = paths.reference_files(study, dataset)
    lost = [path for path in files.values() if not path.is_file()]
    if lost or not is_packed(study, dataset):
        check.gaps.append(
            f"{lost[0] if lost else dataset_folder(study, dataset)}: not there; no reference is measured again"
        )
        return
    rows = rows_of_references(study, dataset)
    for name, path in files.items():
        advice = f"Run snakemake, or: endoarss step score_references --dataset {dataset}."
        _compare(check, path, read_table(path), rows[name], "the dataset", advice)


def _check_robust_scores(check: Check, study: Study, cell: Cell) -> None:
    metrics, rows, about = paths.robustness_files(study, cell)[:3]
    _compare_digest(check, rows, read_json(about).get("per_image_sha256"), _ROBUSTNESS)
    scores = scores_by_condition(read_table(rows), labels_of(study, cell.dataset))
    check.checked += 1
    _compare_json(check, metrics, read_json(metrics).get("scores"), scores, rows.name)


def _compare_digest(check: Check, path: Path, expected: str | None, advice: str) -> None:
    """Compare a digest with the provenance, unless an earlier version wrote no digest."""
    if expected is not None:
        check.compare_digest(path, sha256_of(path), expected, "as provenance.json says: it is another file", advice)


def _compare(
    check: Check,
    path: Path,
    stored: pd.DataFrame,
    made: pd.DataFrame,
    what: str,
    advice: str,
    keys: Sequence[str] = ("frame_id",),
) -> None:
    check.checked += 1
    found = difference(stored, as_stored(made), keys)
    if found is not None:
        where = f"{path}, {found.where} ({found.rows:,} of {found.total:,} rows differ)"
        check.fail(where, found.found, f"{found.expected}, which {what} give", advice)


def _compare_scores(check: Check, path: Path, wanted: dict[str, Any]) -> None:
    if not check.has(path):
        return
    check.checked += 1
    stored = read_json(path)
    if "predictions_sha256" not in wanted:
        stored.pop("predictions_sha256", None)  # the scored file is missing, so it cannot be compared
    _compare_json(check, path, stored, wanted, paths.ROWS)


def _compare_json(check: Check, path: Path, stored: Any, wanted: Any, whose: str) -> None:
    # As read from a file, with NaN as text, because NaN is not equal to itself.
    then, now = (_values(json.loads(json.dumps(given), parse_constant=str)) for given in (stored, wanted))
    odd = [name for name in {**now, **then} if then.get(name, "nothing") != now.get(name, "nothing")]
    if odd:
        found, expected = (given.get(odd[0], "nothing") for given in (then, now))
        where = f"{path}, {odd[0]} ({len(odd):,} of {len(now):,} values differ)"
        check.fail(where, str(found), f"{expected}, which {whose} gives", _EVALUATE)


def _values(content: Any, name: str = "") -> dict[str, Any]:
    """Return every value by its description."""
    if isinstance(content, dict):
        if {"metric", "value"} <= set(content):
            odd = {key: value for key, value in content.items() if key not in ("metric", "value", "n") and value != ""}
            about = ", ".join([str(content["metric"]), *(f"{key} {odd[key]}" for key in sorted(odd))])
            return {f"{name}{about}": content["value"]}
        return {inner: value for key in content for inner, value in _values(content[key], f"{name}{key} ").items()}
    if isinstance(content, list):
        return {inner: value for one in content for inner, value in _values(one, name).items()}
    return {name.strip(): content}


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
    # The other files that results are collected from; a copy of the results alone lacks them.
    needed = [dataset_folder(study, dataset) / "manifest.csv" for dataset in datasets]
    needed += [path for dataset in datasets for path in paths.reference_files(study, dataset).values()]
    lost = [one for one in needed if not one.is_file()]
    if lost:
        check.gaps.append(f"{lost[0]}: not there; {path} cannot be gathered again")
    else:
        with check.survives(path):
            made = gather_results(study, study.protocol)
            _compare(check, path, read_table(path), made, "the saved rows", _COLLECT, _KEYS)
            check.checked = len(made)
    about = paths.results_provenance_file(study)
    if not check.has(about, "not there; what the results were collected from is unknown"):
        return check
    with check.survives(about):
        expected = str(read_json(about).get("results_sha256"))
        check.compare_digest(
            path, sha256_of(path), expected, f"as in {about.name}: it belongs to another run", _COLLECT
        )
    return check
