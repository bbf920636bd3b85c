"""Check that checkpoints still give the saved predictions: load a sample of cells, and predict again."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from endoarss.models import MultiTaskModel
from pipeline.datasets.load import load_split
from pipeline.evaluation.corrupted_batches import CLEAN
from pipeline.evaluation.evaluate_robustness import ModelPredictor
from pipeline.evaluation.predict_cell import predictions_of
from pipeline.evaluation.robustness import ModelUnderTest, evaluate, gather
from pipeline.io.files import read_json
from pipeline.io.saved_files import read_table
from pipeline.results.checkpoints import load_cell
from pipeline.results.code_version import code_version
from pipeline.results.paths import CellOutput, predictions_file, robustness_files
from pipeline.results.predictions import SavedPredictions, read_predictions
from pipeline.results.provenance import processor_name, read_provenance, software
from pipeline.study.cell import Cell
from pipeline.study.cells import models_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import evaluated_on, labels_of
from pipeline.study.folders import cell_folder, dataset_folder, weights_file
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.verify.compare import as_stored, difference
from pipeline.verify.findings import Check
from pipeline.verify.rows import is_packed

ENOUGH_EQUAL = 0.99
"""With another device or other versions, a smaller share of equal pixels, activities or rows gives a warning."""
_DRAWN_CORRUPTIONS = 2
_RESTORE = "Restore the files of one run, or make the cell again: snakemake, endoarss train or merge."


def check_predictions(study: Study, cells: Sequence[Cell], seed: int) -> Check:
    """Load each cell, predict again, and compare with predictions/<dataset>.npz.

    For the first cell with robustness results, rows under two corruptions at one severity are compared too. On the processor and with the
    packages of the training, and without a GPU, all bits must be equal. Otherwise a note gives the equal share, or a warning if the share
    is below `ENOUGH_EQUAL`.

    Args:
        study: the study.
        cells: the cells that predict again.
        seed: draws the corruptions and the severity.
    """
    check = Check("predictions", "sets of predictions made again")
    robust: Cell | None = None
    for cell in tqdm(cells, desc="verify predictions", unit="cell", mininterval=1.0):
        checkpoint = cell_folder(study, cell) / CellOutput.CHECKPOINT
        if not checkpoint.is_file() or not (cell_folder(study, cell) / CellOutput.PROVENANCE).is_file():
            check.gaps.append(f"{checkpoint}: missing, or it has no provenance.json")
            continue
        weights = weights_file(study, cell.backbone)
        if weights is not None and not check.has(weights, f"missing; {cell.id} cannot predict without it"):
            continue
        with check.collects_errors(checkpoint):
            model, differences = load_cell(study, cell), differs_here(read_provenance(study, cell))
            for dataset in evaluated_on(study, cell.dataset):
                with check.collects_errors(predictions_file(study, cell, dataset)):
                    _check_predictions(check, study, cell, dataset, model, differences)
            if robust is None and is_evaluated(study, cell):
                robust = cell
                _check_robust_rows(check, study, cell, model, random.Random(seed))
    robust_ids = [cell.id for cell in cells if cell in robust_models(study)]
    if robust is None and robust_ids:
        check.gaps.append(f"robustness of {', '.join(robust_ids)}: not evaluated yet")
    return check


def is_evaluated(study: Study, cell: Cell) -> bool:
    """Return whether a cell's robustness is part of the study and was evaluated."""
    return cell in robust_models(study) and all(path.is_file() for path in robustness_files(study, cell))


def sample(study: Study, count: int, seed: int) -> list[Cell]:
    """Draw trained cells by a seed. One of them has robustness results, if any cell has. Return them in the study's order."""
    rng = random.Random(seed)
    trained = [cell for cell in models_of(study) if (cell_folder(study, cell) / CellOutput.PROVENANCE).is_file()]
    robust = [cell for cell in trained if is_evaluated(study, cell)]
    drawn_robust = rng.sample(robust, min(1, count, len(robust)))
    others = [cell for cell in trained if cell not in drawn_robust]
    drawn = {*drawn_robust, *rng.sample(others, min(count - len(drawn_robust), len(others)))}
    return [cell for cell in trained if cell in drawn]


def differs_here(provenance: dict[str, Any]) -> list[str]:
    """Return how this machine and its packages differ from those in a provenance; a GPU always counts as a difference."""
    here = {**software(), "processor": processor_name()}
    then = [(key, provenance.get(key), here[key]) for key in ("device", "processor")]
    packages: dict[str, str] = provenance.get("packages", {})
    then += [(name, packages.get(name), now) for name, now in here["packages"].items()]
    differences = [f"{name} {value}, here {now}" for name, value, now in then if value != now]
    return differences or ([] if here["device"].startswith("CPU") else ["a GPU"])


def _check_predictions(
    check: Check, study: Study, cell: Cell, dataset: str, model: MultiTaskModel, differences: Sequence[str]
) -> None:
    path = predictions_file(study, cell, dataset)
    if not path.is_file() or not is_packed(study, dataset):
        check.gaps.append(f"{path if not path.is_file() else dataset_folder(study, dataset)}: missing")
        return
    split = load_split(dataset_folder(study, dataset), "test", study.input_size)
    saved, repeated = read_predictions(path, split.frame_ids, labels_of(study, dataset)), predictions_of(model, split)
    check.checked += 1
    shares = _equal_shares(saved, repeated)
    if shares is None:
        check.fail(path, "predictions for other tasks, or of another size", "those of the checkpoint", _RESTORE)
        return
    _report_shares(check, str(path), shares, "the checkpoint's predictions", differences, read_provenance(study, cell))


def _equal_shares(saved: SavedPredictions, repeated: SavedPredictions) -> dict[str, float] | None:
    """Return the share of equal pixels, activities and confidences; None if tasks or shapes differ."""
    shares = {}
    for name, what in (("masks", "pixels"), ("activity", "activities"), ("confidence", "confidences")):
        then, now = getattr(saved, name), getattr(repeated, name)
        if (then is None) != (now is None) or (then is not None and then.shape != now.shape):
            return None
        if then is not None:
            shares[what] = float(np.mean(then == now))
    return shares


def _report_shares(
    check: Check,
    where: str,
    shares: dict[str, float],
    repeated: str,
    differences: Sequence[str],
    provenance: dict[str, Any],
) -> None:
    """Add a failure, a warning or a note if saved values in the file `where` are not all equal to `repeated` ones (in words).

    Args:
        shares: the share of equal values, by what they are.
        differences: how machine and packages differ from those in `provenance`; without any, all bits must be equal.
    """
    if all(share == 1 for share in shares.values()):
        return
    equal = f"equal to {repeated} in " + ", ".join(f"{share:.4%} of {what}" for what, share in shares.items())
    if not differences:
        code, then = code_version(), provenance.get("code", {})
        since = "" if code == then else f" The code has changed since commit {then.get('commit', 'unknown')[:12]}."
        check.fail(where, equal, "the same bits on this processor with these packages", f"{_RESTORE}{since}")
        return
    line = f"{where}: {equal}; machine or packages differ ({'; '.join(differences)})."
    # Confidences are floats: their last bits differ on most other machines.
    enough = all(share >= ENOUGH_EQUAL for what, share in shares.items() if what != "confidences")
    (check.notes if enough else check.warnings).append(line)


def _check_robust_rows(check: Check, study: Study, cell: Cell, model: MultiTaskModel, rng: random.Random) -> None:
    _, path, provenance_file, _ = robustness_files(study, cell)
    if not is_packed(study, cell.dataset):
        check.gaps.append(f"{dataset_folder(study, cell.dataset)}: missing")
        return
    conditions = conditions_of(study)
    names = set(rng.sample(conditions.corruptions, min(_DRAWN_CORRUPTIONS, len(conditions.corruptions))))
    severity = rng.choice(conditions.severities)
    corruptions = tuple(name for name in conditions.corruptions if name in names)
    drawn = replace(conditions, corruptions=corruptions, severities=(severity,))
    split = load_split(dataset_folder(study, cell.dataset), "test", study.input_size)
    model.precision = "float32"
    with tempfile.TemporaryDirectory() as folder:
        model_under_test = ModelUnderTest(cell.id, ModelPredictor(model), Path(folder))
        evaluate([model_under_test], split, labels_of(study, cell.dataset), drawn, workers=0)
        measured, _ = gather(model_under_test, drawn)
    stored = read_table(path)
    clean = stored["corruption"] == CLEAN
    stored_rows = stored[clean | (stored["corruption"].isin(names) & (stored["severity"] == severity))]
    check.checked += 1 + len(names)
    keys = ["corruption", "severity", "mask_warped", "frame_id"]
    first = difference(stored_rows.reset_index(drop=True), as_stored(measured), keys)
    if first is None:
        return
    where = f"{path}, {first.where}: {first.found} instead of {first.expected}"
    shares = {f"the rows of clean, {', '.join(drawn.corruptions)} at severity {severity}": 1 - first.rows / first.total}
    provenance = read_json(provenance_file)
    _report_shares(check, where, shares, "rows measured again", differs_here(provenance), provenance)
