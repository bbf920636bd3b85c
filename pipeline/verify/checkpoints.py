"""Check that checkpoints and the weights they were trained from are the files that provenance names."""

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

_COMPARED_KEYS = ("cell", "settings", "manifest_sha256", "weights", "preprocessing", "seed")
_RESTORE = "Restore the file, or make the cell again: snakemake, endoarss train or merge."


def check_checkpoints(study: Study) -> Check:
    """Check digests of checkpoints and pretrained weights, headers of checkpoints, and which checkpoints had their robustness evaluated.

    This function imports no torch.
    """
    check = Check("checkpoints", "checkpoints and files of weights")
    digest = cache(sha256_of)
    with check.collects_errors(pretrained_file(study)):
        _check_pretrained(check, study)
    trained = [cell for cell in models_of(study) if (cell_folder(study, cell) / CellOutput.PROVENANCE).is_file()]
    not_robust = missing_robust_models(study)
    for cell in tqdm(trained, desc="verify checkpoints", unit="cell", mininterval=1.0):
        try:
            provenance = read_provenance(study, cell)
        except InputError:
            continue  # reported by the check of settings
        path = cell_folder(study, cell) / CellOutput.CHECKPOINT
        if not check.has(path):
            continue
        check.checked += 1
        with check.collects_errors(path):
            origin = "the digest in provenance.json: the file was changed"
            check.compare_digest(path, digest(path), provenance["checkpoint_sha256"], origin, _RESTORE)
            _check_header(check, path, provenance)
            _check_weights(check, study, cell, provenance, digest)
            if cell in robust_models(study) and cell not in not_robust:
                _check_robustness(check, study, cell, provenance)
    return check


def _check_pretrained(check: Check, study: Study) -> None:
    path = pretrained_file(study)
    if path is None:
        return
    provenance = path.with_suffix(".json")
    if not path.is_file() or not provenance.is_file():
        check.gaps.append(f"{path}: not pretrained yet")
        return
    check.checked += 1
    expected, origin = (
        str(read_json(provenance).get("sha256")),
        f"the digest in {provenance.name}: the file was changed",
    )
    check.compare_digest(
        path, sha256_of(path), expected, origin, "Restore the file, or: endoarss step pretrain_backbone."
    )


def _check_header(check: Check, path: Path, provenance: dict[str, Any]) -> None:
    """Compare the header of a checkpoint, which holds provenance too, with provenance.json."""
    try:
        header = read_header(path).provenance
    except SettingsError as error:
        check.fail(path, f"has no checkpoint header ({error})", "a checkpoint of `endoarss train`", _RESTORE)
        return
    for key in (key for key in _COMPARED_KEYS if key in header and key in provenance):
        found, expected = (
            json.dumps(masked_settings(entries[key]), sort_keys=True) for entries in (header, provenance)
        )
        if found != expected:
            check.fail(
                path,
                f"its header has {key} {found}",
                f"{expected}, as in provenance.json: the file belongs to another training",
                _RESTORE,
            )


def _check_weights(check: Check, study: Study, cell: Cell, provenance: dict[str, Any], digest: Any) -> None:
    path: Path | None = weights_file(study, cell.backbone)
    if path is None:
        return  # weights from a hub are compared when the checkpoint is loaded
    if check.has(path, f"missing; {cell.id} was trained from it"):
        expected = provenance["weights"]["sha256"] or "no file"
        check.compare_digest(path, digest(path), expected, f"which {cell.id} was trained from", _RESTORE)


def _check_robustness(check: Check, study: Study, cell: Cell, provenance: dict[str, Any]) -> None:
    path = robustness_files(study, cell).provenance
    evaluated = str(read_json(path).get("checkpoint_sha256"))
    if evaluated != provenance["checkpoint_sha256"]:
        check.fail(
            path,
            f"evaluated the checkpoint {evaluated[:12]}",
            f"{provenance['checkpoint_sha256'][:12]}, the cell's present one",
            "Evaluate the cell's robustness again, or run snakemake.",
        )
