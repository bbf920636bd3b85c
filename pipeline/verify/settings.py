"""Check that models and evaluations were made with the study's present settings and data."""

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

_MAKE_AGAIN = "Run snakemake, or verify with the study that the result was made with."
_REBUILT = "Run snakemake, because the dataset has been built again since then."


def check_settings(study: Study) -> Check:
    """Compare the provenance of each cell with the study."""
    check = Check("study", "models and evaluations")
    lacking = missing_models(study)
    for cell in models_of(study):
        if not (cell_folder(study, cell) / CellOutput.PROVENANCE).is_file():
            check.gaps.append(f"{cell.id}: {lacking[cell]}")
            continue
        where = cell_folder(study, cell) / CellOutput.PROVENANCE
        with check.collects_errors(where):
            provenance = read_provenance(study, cell)
            check.checked += 1
            compare_settings(check, where, provenance["settings"], cell_settings(study, cell))
            _compare_data(check, study, where, provenance)
            _compare_sources(check, study, where, provenance)
    not_robust = missing_robust_models(study)
    for cell in robust_models(study):
        if cell in not_robust:
            check.gaps.extend([f"{cell.id}: {not_robust[cell]}"] if cell not in lacking else [])
        else:
            with check.collects_errors(robustness_files(study, cell).provenance):
                _check_robustness(check, study, cell)
    path = results_provenance_file(study)
    with check.collects_errors(path):
        now = study_digest(study)
        then = read_json(path).get("study_sha256") if path.is_file() else now
        if then != now:
            check.warnings.append(
                f"{path}: the study has changed since results were collected (digest {str(then)[:12]}, now {now[:12]}). The "
                "keys that decide models and evaluations are compared one by one; if none of them differs, another key has changed."
            )
    return check


def compare_settings(check: Check, where: object, recorded: dict[str, Any], present: dict[str, Any]) -> None:
    """Add a failure for each setting that differs between those recorded in the file `where` and the study's present ones."""
    present = masked_settings(present)  # provenance has masked settings
    for key in sorted(set(recorded) | set(present)):
        then, now = (json.dumps(settings.get(key), sort_keys=True) for settings in (recorded, present))
        if then != now:
            check.fail(where, f"made with {key} {then}", f"{now}, as the study has it", _MAKE_AGAIN)


def _compare_data(check: Check, study: Study, where: object, provenance: dict[str, Any]) -> None:
    for dataset, digest in provenance.get("datasets", {}).items():
        if not (dataset_folder(study, dataset) / "manifest.csv").is_file():
            check.gaps.append(f"{dataset_folder(study, dataset)}: not built; {where} cannot be compared with it")
            continue
        now = dataset_digests(study, [dataset])[dataset]
        if digest != now:
            check.fail(
                where,
                f"made on {dataset} with a manifest of sha256 {digest[:12]}",
                f"{now[:12]}, the present one",
                _REBUILT,
            )


def _compare_sources(check: Check, study: Study, where: object, provenance: dict[str, Any]) -> None:
    """Compare the digests of the checkpoints that a model was merged from with those of the present checkpoints."""
    for source, digest in provenance.get("merged_from", {}).items():
        cell = Cell.parse(source)
        path = cell_folder(study, cell) / CellOutput.PROVENANCE if cell else None
        now = str(read_json(path).get("checkpoint_sha256")) if path and path.is_file() else digest
        if now != digest:
            found = f"merged from {source} with a checkpoint of sha256 {str(digest)[:12]}"
            check.fail(where, found, f"{now[:12]}, the present one", "Run snakemake, or: endoarss merge.")


def _check_robustness(check: Check, study: Study, cell: Cell) -> None:
    where = robustness_files(study, cell).provenance
    provenance = read_json(where)
    check.checked += 1
    conditions = conditions_of(study).as_dict()
    present = {key: conditions[key] for key in ("seed", "profile", "severities")}
    compare_settings(check, where, provenance.get("conditions", {}), present)
    _compare_data(check, study, where, provenance)
