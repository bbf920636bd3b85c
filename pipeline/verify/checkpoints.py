"""Check that checkpoints and their base weights are the files that provenance names."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from endoarss.checkpoint_header import read_header
from endoarss.errors import SettingsError
from pipeline.errors import InputError
from pipeline.io.files import read_json
from pipeline.io.hashing import sha256_of
from pipeline.redaction import masked_settings
from pipeline.results.cell_state import missing_robust_models
from pipeline.results.paths import CellOutput, robustness_files
from pipeline.results.provenance import read_provenance
from pipeline.study.cell import Cell
from pipeline.study.cells import models_of
from pipeline.study.folders import cell_folder, pretrained_file, weights_file
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.verify.findings import Check

_DECIDES = ("cell", "settings", "manifest_sha256", "weights", "preprocessing", "seed")
_GET_BACK = "Get the file back, or make the cell again: snakemake, endoarss train or merge."


def check_checkpoints(study: Study) -> Check:
    """Check the digests of checkpoints, pretrained weights and evaluated checkpoints, and the headers of checkpoints.

    Imports no torch.
    """
    check = Check("checkpoints", "checkpoints and files of weights")
    digest = cache(sha256_of)
    with check.survives(pretrained_file(study)):
        _check_pretrained(check, study)
    trained = [cell for cell in models_of(study) if (cell_folder(study, cell) / CellOutput.PROVENANCE).is_file()]
    not_robust = missing_robust_models(study)
    for cell in tqdm(trained, desc="verify checkpoints", unit="cell", mininterval=1.0):
        try:
            about = read_provenance(study, cell)
        except InputError:
            continue  # reported by the check of settings
        path = cell_folder(study, cell) / CellOutput.CHECKPOINT
        if not check.has(path):
            continue
        check.checked += 1
        with check.survives(path):
            whose = "as provenance.json says: it is another file"
            check.compare_digest(path, digest(path), about["checkpoint_sha256"], whose, _GET_BACK)
            _check_header(check, path, about)
            _check_weights(check, study, cell, about, digest)
            if cell in robust_models(study) and cell not in not_robust:
                _check_robustness(check, study, cell, about)
    return check


def _check_pretrained(check: Check, study: Study) -> None:
    path = pretrained_file(study)
    if path is None:
        return
    about = path.with_suffix(".json")
    if not path.is_file() or not about.is_file():
        check.gaps.append(f"{path}: not pretrained yet")
        return
    check.checked += 1
    expected, whose = str(read_json(about).get("sha256")), f"as in {about.name}: it is another file"
    check.compare_digest(
        path, sha256_of(path), expected, whose, "Get the file back, or: endoarss step pretrain_backbone."
    )


def _check_header(check: Check, path: Path, about: dict[str, Any]) -> None:
    """Check the training entries in the header of a checkpoint."""
    try:
        said = read_header(path).provenance
    except SettingsError as error:
        check.fail(path, f"has no header of a checkpoint ({error})", "one that `endoarss train` wrote", _GET_BACK)
        return
    for key in (key for key in _DECIDES if key in said and key in about):
        then, now = (json.dumps(masked_settings(given[key]), sort_keys=True) for given in (said, about))
        if then != now:
            check.fail(
                path, f"says {key} {then}", f"{now}, as in provenance.json: it belongs to another training", _GET_BACK
            )


def _check_weights(check: Check, study: Study, cell: Cell, about: dict[str, Any], digest: Any) -> None:
    path: Path | None = weights_file(study, cell.backbone)
    if path is None:
        return  # frozen weights of a hub are compared when the checkpoint is loaded
    if check.has(path, f"not there; {cell.id} was trained from it"):
        expected = about["weights"]["sha256"] or "no file"
        check.compare_digest(path, digest(path), expected, f"which {cell.id} was trained from", _GET_BACK)


def _check_robustness(check: Check, study: Study, cell: Cell, about: dict[str, Any]) -> None:
    path = robustness_files(study, cell).provenance
    tested = str(read_json(path).get("checkpoint_sha256"))
    if tested != about["checkpoint_sha256"]:
        check.fail(
            path,
            f"evaluated the checkpoint {tested[:12]}",
            f"{about['checkpoint_sha256'][:12]}, the cell's present one",
            "Evaluate the cell's robustness again, or run snakemake.",
        )
