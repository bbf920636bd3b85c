"""Gather every score of a study into results.parquet, one row a measurement: computed from kept rows, in the study's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.datasets.manifest import read_manifest
from pipeline.errors import InputError
from pipeline.files import whole_file
from pipeline.layout import evaluated_datasets, reference_files, results_file, robustness_files, rows_file
from pipeline.measure import read_rows, scores_of
from pipeline.missing import missing_robustness, present_cells
from pipeline.provenance import read_provenance
from pipeline.robustness import scores_by_condition
from pipeline.study import Cell, Study
from reports.names import REFERENCE_BACKBONE
from reports.results import CLEAN, COLUMNS


def collect_results(study: Study) -> None:
    """Write results.parquet from the rows that cells and references left; cells without results are left out.

    Raises:
        InputError: if no cell has results, or rows are not what a cell leaves, naming the file.
    """
    table = gather_results(study, study.protocol)
    with whole_file(results_file(study)) as partial:
        table.to_parquet(partial, index=False)


def gather_results(study: Study, protocol: str) -> pd.DataFrame:
    """The long table of a study under a protocol, as `collect_results` writes it.

    Raises:
        InputError: as `collect_results`.
    """
    rows: list[dict[str, Any]] = []
    tests = {dataset: test_frames(study, dataset) for dataset in evaluated_datasets(study)}
    robust = set(study.robustness_cells()) - set(missing_robustness(study))
    for cell in present_cells(study):
        about = _about(study, cell) | {"protocol": protocol}
        for dataset in study.evaluated_on(cell.dataset):
            scores = _clean(study, rows_file(study, cell, dataset), dataset, tests[dataset], protocol)
            rows += [about | {"eval_dataset": dataset} | score for score in scores]
        if cell in robust:
            kept = robustness_files(study, cell)[1]
            found = read_rows(kept, tests[cell.dataset], study.labels(cell.dataset))
            # Its clean scores are those of the evaluation.
            corrupted = found[found["corruption"] != CLEAN]
            scores = scores_by_condition(corrupted, study.labels(cell.dataset), protocol)
            rows += [about | {"eval_dataset": cell.dataset} | score for score in scores]
    rows += (one | {"protocol": protocol} for one in _references(study, tests, protocol))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["value"] = table["value"].astype("float64")
    return table


def test_frames(study: Study, dataset: str) -> list[str]:
    """The frame ids of a dataset's test part."""
    return [row["frame_id"] for row in read_manifest(study.dataset_folder(dataset)) if row["split"] == "test"]


def _clean(study: Study, path: Path, dataset: str, frames: list[str], protocol: str) -> list[dict[str, Any]]:
    labels = study.labels(dataset)
    try:
        return scores_of(read_rows(path, frames, labels), labels, protocol)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _common(study: Study) -> dict[str, Any]:
    return {
        "study": study.name,
        "merger": "",
        "surgery": False,
        "synthetic": study.synthetic,
        "eval_split": "test",
        "corruption": CLEAN,
        "severity": 0,
        "mask_warped": True,
        "resolution": study.settings["input_size"],
    }


def _about(study: Study, cell: Cell) -> dict[str, Any]:
    provenance = read_provenance(study, cell)
    return _common(study) | {
        "dataset": cell.dataset,
        "split": study.dataset_settings(cell.dataset)["split"],
        "backbone": cell.backbone,
        "backbone_label": study.settings["backbones"][cell.backbone]["label"],
        "architecture": cell.architecture,
        "weighting": cell.weighting,
        "weights_source": "generated" if provenance["pretrained_on_synthetic"] else provenance["weights"]["source"],
        "weights_sha256": provenance["weights"]["sha256"],
        "variant": cell.variant,
        "seed": cell.seed,
        "select_on": provenance["select_on"],
    }


def _references(study: Study, tests: dict[str, list[str]], protocol: str) -> Iterator[dict[str, Any]]:
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
        for name, path in reference_files(study, dataset).items():
            yield from (
                about | {"architecture": name} | score for score in _clean(study, path, dataset, frames, protocol)
            )
