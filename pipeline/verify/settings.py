"""Check that trainings and evaluations were made with the study's present settings and data."""

from __future__ import annotations

import json
from typing import Any

from pipeline.io.files import read_json
from pipeline.redaction import masked_settings
from pipeline.results.cell_state import missing_models, missing_robust_models
from pipeline.results.paths import CellOutput, results_provenance_file, robustness_files
from pipeline.results.provenance import dataset_digests, read_provenance
from pipeline.study.cell import Cell
from pipeline.study.cells import models_of
from pipeline.study.conditions import conditions_of
from pipeline.study.fingerprints import cell_settings, study_digest
from pipeline.study.folders import cell_folder, dataset_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.verify.findings import Check

_AGAIN = "Run snakemake, or verify with the study it was made with."
_REBUILT = "Run snakemake: the dataset was built again since."


def check_settings(study: Study) -> Check:
    """Compare the provenance of each cell with the study."""
    check = Check("study", "trainings and evaluations")
    lacking = missing_models(study)
    for cell in models_of(study):
        if not (cell_folder(study, cell) / CellOutput.PROVENANCE).is_file():
            check.gaps.append(f"{cell.id}: {lacking[cell]}")
            continue
        where = cell_folder(study, cell) / CellOutput.PROVENANCE
        with check.survives(where):
            about = read_provenance(study, cell)
            check.checked += 1
            compare_settings(check, where, about["settings"], cell_settings(study, cell))
            _compare_data(check, study, where, about)
            _compare_sources(check, study, where, about)
    not_robust = missing_robust_models(study)
    for cell in robust_models(study):
        if cell in not_robust:
            check.gaps.extend([f"{cell.id}: {not_robust[cell]}"] if cell not in lacking else [])
        else:
            with check.survives(robustness_files(study, cell).provenance):
                _check_robustness(check, study, cell)
    path = results_provenance_file(study)
    with check.survives(path):
        now = study_digest(study)
        then = read_json(path).get("study_sha256") if path.is_file() else now
        if then != now:
            check.warnings.append(
                f"{path}: results were collected when the study was another (digest {str(then)[:12]}, now {now[:12]}); what "
                "decides a result is compared here, all other keys are not."
            )
    return check


def compare_settings(check: Check, where: object, made: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Add a failure for each setting that has changed since a result was made."""
    wanted = masked_settings(wanted)  # as provenance is written
    for key in sorted(set(made) | set(wanted)):
        then, now = (json.dumps(given.get(key), sort_keys=True) for given in (made, wanted))
        if then != now:
            check.fail(where, f"made with {key} {then}", f"{now}, as the study has it", _AGAIN)


def _compare_data(check: Check, study: Study, where: object, about: dict[str, Any]) -> None:
    for dataset, digest in about.get("datasets", {}).items():
        if not (dataset_folder(study, dataset) / "manifest.csv").is_file():
            check.gaps.append(f"{dataset_folder(study, dataset)}: not built; {where} cannot be compared with it")
            continue
        now = dataset_digests(study, [dataset])[dataset]
        if digest != now:
            check.fail(where, f"made on {dataset} with a manifest of sha256 {digest[:12]}", f"{now[:12]}", _REBUILT)


def _compare_sources(check: Check, study: Study, where: object, about: dict[str, Any]) -> None:
    """Compare the checkpoints that a merged model was merged from with the present ones."""
    for source, digest in about.get("merged_from", {}).items():
        cell = Cell.parse(source)
        path = cell_folder(study, cell) / CellOutput.PROVENANCE if cell else None
        now = str(read_json(path).get("checkpoint_sha256")) if path and path.is_file() else digest
        if now != digest:
            found = f"merged from {source} with a checkpoint of sha256 {str(digest)[:12]}"
            check.fail(where, found, f"{now[:12]}, the present one", "Run snakemake, or: endoarss merge.")


def _check_robustness(check: Check, study: Study, cell: Cell) -> None:
    where = robustness_files(study, cell).provenance
    about = read_json(where)
    check.checked += 1
    asked = conditions_of(study).as_dict()
    wanted = {key: asked[key] for key in ("seed", "profile", "severities")}
    compare_settings(check, where, about.get("conditions", {}), wanted)
    _compare_data(check, study, where, about)
