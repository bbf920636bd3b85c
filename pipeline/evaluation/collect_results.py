"""Compute every score of a study from saved rows, under the study's protocol, and collect them in results.parquet, one row per score."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import pandas as pd
from tqdm import tqdm

from endoarss.metrics import AUTHORS_CODE, STANDARD
from pipeline.evaluation.robustness import scores_by_condition
from pipeline.evaluation.scores import scores_of
from pipeline.io.files import whole_file, write_json
from pipeline.io.hashing import sha256_of
from pipeline.results.paths import evaluated_datasets, metrics_file, results_file, results_provenance_file
from pipeline.results.provenance import RunStart, about_run, write_provenance
from pipeline.results.study_results import Reduction, StudyResults
from pipeline.study.cell import Cell
from pipeline.study.datasets import evaluated_on, labels_of, split_rule
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from reports.names import REFERENCE_BACKBONE
from reports.results import CLEAN, COLUMNS


def collect_results(
    study: Study, reductions: Mapping[Reduction[Any], Collection[Cell]] = MappingProxyType({})
) -> StudyResults:
    """Write results.parquet and provenance.json from the saved rows of cells and references. Cells without results are left out.

    Args:
        study: the study.
        reductions: what the caller will compute from rows of the returned results, as for `StudyResults`.

    Returns:
        The collected results.

    Raises:
        InputError: if no cell has results, or a file of rows is not valid; the message names the file.
    """
    run = RunStart()
    while True:
        results = StudyResults(study, {**reductions, SCORES_UNDER_CORRUPTION[study.protocol]: robust_models(study)})
        table, state = gather_results(study, study.protocol, results), _state(results)
        # If a training ended meanwhile, repeat, so that its cell is either in the table and in the lists, or in neither.
        if state == _state(StudyResults(study)):
            break
    checkpoints, missing, missing_robust = state
    with whole_file(results_file(study)) as partial:
        table.to_parquet(partial, index=False)
    write_json(metrics_file(study), summary_of(table))
    provenance = {
        **about_run(study, run, study.datasets, with_model=False),
        "seed": list(study.seeds),
        "protocol": study.protocol,
        "checkpoints": checkpoints,
        "missing": missing,
        "missing_robustness": missing_robust,
        "rows": len(table),
        "results_sha256": sha256_of(results_file(study)),
    }
    write_provenance(results_provenance_file(study), provenance)
    if SCORES_UNDER_CORRUPTION[study.protocol] not in reductions:
        results.release(SCORES_UNDER_CORRUPTION[study.protocol])
    return results


def summary_of(table: pd.DataFrame) -> dict[str, float]:
    """Return mean accuracy and mIoU over all models, on clean and corrupted images. `dvc metrics` compares them between versions."""
    models = table[(table["backbone"] != REFERENCE_BACKBONE) & (table["class"] == "")]
    clean = models["corruption"] == CLEAN
    rows_by_suffix = {"": models[clean], "_corrupted": models[~clean]}
    scores = {
        f"{metric}{suffix}": rows.loc[rows["metric"] == metric, "value"].mean()
        for suffix, rows in rows_by_suffix.items()
        for metric in ("accuracy", "miou")
    }
    return {name: round(float(value), 6) for name, value in scores.items() if pd.notna(value)}


def _state(results: StudyResults) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return digests of checkpoints by cell, and why other cells lack results or robustness results, by cell."""
    checkpoints = {cell.id: results.provenance(cell)["checkpoint_sha256"] for cell in results.present_models}
    missing = {cell.id: reason for cell, reason in results.missing_models.items()}
    return checkpoints, missing, {cell.id: reason for cell, reason in results.missing_robust_models.items()}


def gather_results(study: Study, protocol: str, results: StudyResults | None = None) -> pd.DataFrame:
    """Return the long table of a study under a protocol, as `collect_results` writes it.

    Args:
        study: the study.
        protocol: protocol of the metrics.
        results: results of the study, if the caller has them.

    Raises:
        InputError: if no cell has results, or a file of rows is not valid; the message names the file.
    """
    results = results or StudyResults(study)
    for dataset in evaluated_datasets(study):
        # Raises if the dataset is not built. Without this line, the error would say that no cell has results.
        results.frames(dataset)
    robust = [cell for cell in robust_models(study) if cell not in results.missing_robust_models]
    return gather_scores(results, protocol, results.present_models, robust)


def gather_scores(
    results: StudyResults, protocol: str, models: Iterable[Cell], robust: Collection[Cell]
) -> pd.DataFrame:
    """Return the rows of the long table for some models and all reference predictions.

    Args:
        results: results that hold the models.
        protocol: protocol of the metrics.
        models: trained and merged models.
        robust: the models whose scores under corruption are included; each is one of `models`.

    Raises:
        InputError: if a file of rows is not valid; the message names the file.
    """
    frames = []
    for cell in tqdm(models, desc="collect", unit="model", mininterval=1.0, delay=2.0):
        scores = [
            _CLEAN | {"eval_dataset": dataset} | score
            for dataset in evaluated_on(results.study, cell.dataset)
            for score in scores_of(results.clean_rows(cell, dataset), labels_of(results.study, dataset), protocol)
        ]
        scores += [_CLEAN | {"eval_dataset": cell.dataset} | score for score in _bias(results, cell)]
        cell_scores = [pd.DataFrame(scores, columns=_MEASURED)]
        if cell in robust:
            cell_scores.append(results.reduced(cell, SCORES_UNDER_CORRUPTION[protocol]))
        frames.append(pd.concat(cell_scores).assign(**_model_columns(results, cell)))
    for dataset in evaluated_datasets(results.study):
        for name, rows in results.reference_rows(dataset).items():
            scores = scores_of(rows, labels_of(results.study, dataset), protocol)
            measured = pd.DataFrame([_CLEAN | {"eval_dataset": dataset} | score for score in scores], columns=_MEASURED)
            frames.append(measured.assign(**_reference_columns(results.study, dataset, name)))
    table = pd.concat(frames, ignore_index=True).assign(protocol=protocol)
    return table[list(COLUMNS)].astype({"value": "float64"})


def _under_corruption(results: StudyResults, cell: Cell, rows: pd.DataFrame, protocol: str) -> pd.DataFrame:
    corrupted = rows[rows["corruption"] != CLEAN]  # clean scores come from the evaluation of the cell
    scores = scores_by_condition(corrupted, labels_of(results.study, cell.dataset), protocol)
    return pd.DataFrame(scores).assign(eval_dataset=cell.dataset)[_MEASURED]


SCORES_UNDER_CORRUPTION: Mapping[str, Reduction[pd.DataFrame]] = {
    protocol: partial(_under_corruption, protocol=protocol) for protocol in (STANDARD, AUTHORS_CODE)
}
"""For each protocol, the reduction that returns a model's scores under each corruption and severity, as rows of the long table."""


# The columns whose values differ between the scores of one model.
_CLEAN = {"corruption": CLEAN, "severity": 0, "mask_warped": True}
_MEASURED = ["eval_dataset", *_CLEAN, "metric", "class", "value", "n"]


def _dataset_columns(study: Study, dataset: str) -> dict[str, Any]:
    return {
        "study": study.name,
        "dataset": dataset,
        "split": split_rule(study, dataset),
        "synthetic": study.synthetic,
        "eval_split": "test",
        "resolution": study.input_size,
    }


def _bias(results: StudyResults, cell: Cell) -> list[dict[str, Any]]:
    """Return the bias of a merged model: mean L1 distance of its representations from each single-task model's, and the mean of these."""
    if not cell.merger:
        return []
    merging = results.provenance(cell)["merging"]
    bias, frames = merging["bias"], merging["test_images"]
    values = {**{f"bias_{task}": value for task, value in bias.items()}, "bias": sum(bias.values()) / len(bias)}
    return [{"metric": metric, "class": "", "value": value, "n": frames} for metric, value in values.items()]


def _model_columns(results: StudyResults, cell: Cell) -> dict[str, Any]:
    study, provenance = results.study, results.provenance(cell)
    return _dataset_columns(study, cell.dataset) | {
        "backbone": cell.backbone,
        "backbone_label": study.backbones[cell.backbone].label,
        "architecture": cell.architecture,
        "weighting": "" if cell.merger else cell.weighting,
        "merger": cell.merger,
        "surgery": cell.surgery,
        "weights_source": "generated" if provenance["pretrained_on_synthetic"] else provenance["weights"]["source"],
        "weights_sha256": provenance["weights"]["sha256"],
        "variant": cell.variant,
        "seed": cell.seed,
        "select_on": provenance["select_on"],
    }


def _reference_columns(study: Study, dataset: str, name: str) -> dict[str, Any]:
    return _dataset_columns(study, dataset) | {
        "backbone": REFERENCE_BACKBONE,
        "backbone_label": REFERENCE_BACKBONE,
        "architecture": name,
        "weighting": "",
        "merger": "",
        "surgery": 0,
        "weights_source": "none",
        "weights_sha256": "",
        "variant": "",
        "seed": 0,
        "select_on": "",
    }
