"""Gather every score of a study into results.parquet, one row a measurement."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.files import read_json, whole_file
from pipeline.layout import evaluated_datasets, reference_file, results_file
from pipeline.provenance import read_provenance
from pipeline.study import Study
from reports.names import REFERENCE_BACKBONE
from reports.results import CLEAN, COLUMNS


def collect_results(study: Study) -> None:
    """Write results.parquet from the scores that cells and references left."""
    rows: list[dict[str, Any]] = []
    common = {
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
    robust = set(study.robustness_cells())
    for cell in study.cells():
        provenance = read_provenance(study, cell)
        about = common | {
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
        for dataset in study.evaluated_on(cell.dataset):
            stored = read_json(study.cell_folder(cell) / "eval" / dataset / "metrics.json")
            rows += [about | {"eval_dataset": dataset, "protocol": stored["protocol"]} | s for s in stored["scores"]]
        if cell in robust:
            stored = read_json(study.cell_folder(cell) / "robustness" / "metrics.json")
            # Its clean scores are those of the evaluation.
            corrupted = [score for score in stored["scores"] if score["corruption"] != CLEAN]
            rows += [about | {"eval_dataset": cell.dataset, "protocol": stored["protocol"]} | s for s in corrupted]
    for dataset in evaluated_datasets(study):
        stored = read_json(reference_file(study, dataset))
        about = common | {
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
            "protocol": stored["protocol"],
        }
        for name, scores in stored["references"].items():
            rows += [about | {"architecture": name} | score for score in scores]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    table["value"] = table["value"].astype("float64")
    with whole_file(results_file(study)) as partial:
        table.to_parquet(partial, index=False)
