"""Gather every score of a study into results.parquet, one row a measurement: computed from kept rows, in the study's protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipeline.evaluation.robustness import scores_by_condition
from pipeline.evaluation.scores import scores_of
from pipeline.io.files import whole_file
from pipeline.io.hashing import sha256_of
from pipeline.results.cell_state import missing_models, missing_robust_models, present_models
from pipeline.results.paths import evaluated_datasets, results_file, results_provenance_file
from pipeline.results.provenance import RunStart, about_run, read_provenance, write_provenance
from pipeline.results.rows import clean_rows, frames_tested, reference_rows, robust_rows
from pipeline.study.cell import Cell
from pipeline.study.study import Study
from reports.names import REFERENCE_BACKBONE
from reports.results import CLEAN, COLUMNS


def collect_results(study: Study) -> None:
    """Write results.parquet from the rows that cells and references left, and provenance.json; cells without results are left out.

    Raises:
        InputError: if no cell has results, or rows are not what a cell leaves, naming the file.
    """
    run = RunStart()
    state, table = _state(study), gather_results(study, study.protocol)
    while state != (now := _state(study)):  # a training that ended meanwhile is in rows and lists, or in neither
        state, table = now, gather_results(study, study.protocol)
    checkpoints, missing, missing_robust = state
    with whole_file(results_file(study)) as partial:
        table.to_parquet(partial, index=False)
    about = {
        **about_run(study, run, study.datasets, with_model=False),
        "seed": list(study.settings["seeds"]),
        "protocol": study.protocol,
        "checkpoints": checkpoints,
        "missing": missing,
        "missing_robustness": missing_robust,
        "rows": len(table),
        "results_sha256": sha256_of(results_file(study)),
    }
    write_provenance(results_provenance_file(study), about)


def _state(study: Study) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The checkpoints that there are results of, by cell, and which cells have none, or no robustness, with reasons."""
    missing, robust = missing_models(study), missing_robust_models(study)
    cells = [cell for cell in study.models() if cell not in missing]
    checkpoints = {cell.id: read_provenance(study, cell)["checkpoint_sha256"] for cell in cells}
    lists = [{cell.id: reason for cell, reason in lacking.items()} for lacking in (missing, robust)]
    return checkpoints, lists[0], lists[1]


def gather_results(study: Study, protocol: str) -> pd.DataFrame:
    """The long table of a study under a protocol, as `collect_results` writes it.

    Raises:
        InputError: as `collect_results`.
    """
    rows: list[dict[str, Any]] = []
    tests = {dataset: frames_tested(study, dataset) for dataset in evaluated_datasets(study)}
    robust = set(study.robust_models()) - set(missing_robust_models(study))
    for cell in present_models(study):
        about = _about(study, cell) | {"protocol": protocol}
        for dataset in study.evaluated_on(cell.dataset):
            scores = scores_of(clean_rows(study, cell, dataset, tests[dataset]), study.labels(dataset), protocol)
            rows += [about | {"eval_dataset": dataset} | score for score in scores]
        rows += [about | {"eval_dataset": cell.dataset} | score for score in _bias(study, cell)]
        if cell in robust:
            found = robust_rows(study, cell, tests[cell.dataset])
            # Its clean scores are those of the evaluation.
            corrupted = found[found["corruption"] != CLEAN]
            scores = scores_by_condition(corrupted, study.labels(cell.dataset), protocol)
            rows += [about | {"eval_dataset": cell.dataset} | score for score in scores]
    rows += (one | {"protocol": protocol} for one in _references(study, tests, protocol))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["value"] = table["value"].astype("float64")
    return table


def _common(study: Study) -> dict[str, Any]:
    return {
        "study": study.name,
        "merger": "",
        "surgery": 0,
        "synthetic": study.synthetic,
        "eval_split": "test",
        "corruption": CLEAN,
        "severity": 0,
        "mask_warped": True,
        "resolution": study.settings["input_size"],
    }


def _bias(study: Study, cell: Cell) -> list[dict[str, Any]]:
    """How far a merged model's representations of test images are from those of each individual model (mean L1), and the mean."""
    if not cell.merger:
        return []
    about = read_provenance(study, cell)["merging"]
    bias, frames = about["bias"], about["test_images"]
    values = {**{f"bias_{task}": value for task, value in bias.items()}, "bias": sum(bias.values()) / len(bias)}
    return [{"metric": metric, "class": "", "value": value, "n": frames} for metric, value in values.items()]


def _about(study: Study, cell: Cell) -> dict[str, Any]:
    provenance = read_provenance(study, cell)
    return _common(study) | {
        "dataset": cell.dataset,
        "split": study.dataset_settings(cell.dataset)["split"],
        "backbone": cell.backbone,
        "backbone_label": study.settings["backbones"][cell.backbone]["label"],
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


def _references(study: Study, tests: Mapping[str, Mapping[str, str]], protocol: str) -> Iterator[dict[str, Any]]:
    for dataset, frames in tests.items():
        about = _common(study) | {
            "dataset": dataset,
            "split": study.dataset_settings(dataset)["split"],
            "backbone": REFERENCE_BACKBONE,
            "backbone_label": REFERENCE_BACKBONE,
            "weighting": "",
            "weights_source": "none",
            "weights_sha256": "",
            "variant": "",
            "seed": 0,
            "select_on": "",
            "eval_dataset": dataset,
        }
        for name, rows in reference_rows(study, dataset, frames).items():
            scores = scores_of(rows, study.labels(dataset), protocol)
            yield from (about | {"architecture": name} | score for score in scores)
