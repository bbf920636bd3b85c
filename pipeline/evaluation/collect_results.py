"""Collect every score of a study in results.parquet, one row per measurement, computed from saved rows in the study's protocol."""

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
        reductions: reductions that the caller will ask the returned results for, as `StudyResults` takes them.

    Returns:
        The collected results.

    Raises:
        InputError: if no cell has results, or a file of rows is not valid; the message names the file.
    """
    run = RunStart()
    while True:
        results = StudyResults(study, {**reductions, SCORES_UNDER_CORRUPTION[study.protocol]: robust_models(study)})
        table, state = gather_results(study, study.protocol, results), _state(results)
        if state == _state(StudyResults(study)):
            break  # else a training ended meanwhile; its cell must be in both the rows and the lists, or in neither
    checkpoints, missing, missing_robust = state
    with whole_file(results_file(study)) as partial:
        table.to_parquet(partial, index=False)
    write_json(metrics_file(study), summary_of(table))
    about = {
        **about_run(study, run, study.datasets, with_model=False),
        "seed": list(study.seeds),
        "protocol": study.protocol,
        "checkpoints": checkpoints,
        "missing": missing,
        "missing_robustness": missing_robust,
        "rows": len(table),
        "results_sha256": sha256_of(results_file(study)),
    }
    write_provenance(results_provenance_file(study), about)
    if SCORES_UNDER_CORRUPTION[study.protocol] not in reductions:
        results.release(SCORES_UNDER_CORRUPTION[study.protocol])
    return results


def summary_of(table: pd.DataFrame) -> dict[str, float]:
    """Return means over all models that `dvc metrics` compares between versions: accuracy and mIoU, clean and under corruption."""
    models = table[(table["backbone"] != REFERENCE_BACKBONE) & (table["class"] == "")]
    clean = models["corruption"] == CLEAN
    parts = {"": models[clean], "_corrupted": models[~clean]}
    scores = {
        f"{metric}{suffix}": rows.loc[rows["metric"] == metric, "value"].mean()
        for suffix, rows in parts.items()
        for metric in ("accuracy", "miou")
    }
    return {name: round(float(value), 6) for name, value in scores.items() if pd.notna(value)}


def _state(results: StudyResults) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return the checkpoints of cells with results, and the reasons of cells without results and of cells without robustness."""
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
        results.frames(
            dataset
        )  # raises first if the dataset is not built, before a message that nothing is trained on it
    robust = [cell for cell in robust_models(study) if cell not in results.missing_robust_models]
    return gather_scores(results, protocol, results.present_models, robust)


def gather_scores(
    results: StudyResults, protocol: str, models: Iterable[Cell], robust: Collection[Cell]
) -> pd.DataFrame:
    """Return the rows of the long table for some models and all references.

    Args:
        results: results that hold the models.
        protocol: protocol of the metrics.
        models: trained and merged models.
        robust: the models whose scores under corruption are included.

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
        of_cell = [pd.DataFrame(scores, columns=_MEASURED)]
        if cell in robust:
            of_cell.append(results.reduced(cell, SCORES_UNDER_CORRUPTION[protocol]))
        frames.append(pd.concat(of_cell).assign(**_about(results, cell)))
    for dataset in evaluated_datasets(results.study):
        for name, rows in results.reference_rows(dataset).items():
            scores = scores_of(rows, labels_of(results.study, dataset), protocol)
            found = pd.DataFrame([_CLEAN | {"eval_dataset": dataset} | score for score in scores], columns=_MEASURED)
            frames.append(found.assign(**_about_reference(results.study, dataset, name)))
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


# What differs between the scores of one model.
_CLEAN = {"corruption": CLEAN, "severity": 0, "mask_warped": True}
_MEASURED = ["eval_dataset", *_CLEAN, "metric", "class", "value", "n"]


def _common(study: Study, dataset: str) -> dict[str, Any]:
    return {
        "study": study.name,
        "dataset": dataset,
        "split": split_rule(study, dataset),
        "synthetic": study.synthetic,
        "eval_split": "test",
        "resolution": study.input_size,
    }


def _bias(results: StudyResults, cell: Cell) -> list[dict[str, Any]]:
    """Return how far the representations of a merged model are from those of each single model on test images (mean L1), and the mean."""
    if not cell.merger:
        return []
    about = results.provenance(cell)["merging"]
    bias, frames = about["bias"], about["test_images"]
    values = {**{f"bias_{task}": value for task, value in bias.items()}, "bias": sum(bias.values()) / len(bias)}
    return [{"metric": metric, "class": "", "value": value, "n": frames} for metric, value in values.items()]


def _about(results: StudyResults, cell: Cell) -> dict[str, Any]:
    study, provenance = results.study, results.provenance(cell)
    return _common(study, cell.dataset) | {
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


def _about_reference(study: Study, dataset: str, name: str) -> dict[str, Any]:
    return _common(study, dataset) | {
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
