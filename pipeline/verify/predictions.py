"""Check that checkpoints still give the saved predictions: a sample of cells is loaded and predicts again."""

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

ALIKE = 0.99
"""On another device or version, a smaller share of equal pixels, activities or rows gives a warning."""
_CONDITIONS = 2
_AGAIN = "Get the files of one run back, or make the cell again: snakemake, endoarss train or merge."


def check_predictions(study: Study, cells: Sequence[Cell], seed: int) -> Check:
    """Load each cell and compare its predictions with predictions/<dataset>.npz; for the first with robustness results also the rows
    under some conditions, drawn by `seed`, whose images are corrupted again.

    On the processor and with the packages of the training, without a GPU, answers must be the same bit for bit. Else the share
    that is equal is told, and less than `ALIKE` is a warning.
    """
    check = Check("answers", "sets of answers given again")
    robust: Cell | None = None
    for cell in tqdm(cells, desc="verify answers", unit="cell", mininterval=1.0):
        checkpoint = cell_folder(study, cell) / CellOutput.CHECKPOINT
        if not checkpoint.is_file() or not (cell_folder(study, cell) / CellOutput.PROVENANCE).is_file():
            check.gaps.append(f"{checkpoint}: not there")
            continue
        weights = weights_file(study, cell.backbone)
        if weights is not None and not check.has(weights, f"not there; {cell.id} cannot predict without it"):
            continue
        with check.survives(checkpoint):
            model, other = load_cell(study, cell), differs_here(read_provenance(study, cell))
            for dataset in evaluated_on(study, cell.dataset):
                with check.survives(predictions_file(study, cell, dataset)):
                    _check_predictions(check, study, cell, dataset, model, other)
            if robust is None and is_evaluated(study, cell):
                robust = cell
                _check_robust_rows(check, study, cell, model, random.Random(seed))
    asked = [cell.id for cell in cells if cell in robust_models(study)]
    if robust is None and asked:
        check.gaps.append(f"robustness of {', '.join(asked)}: not evaluated yet")
    return check


def is_evaluated(study: Study, cell: Cell) -> bool:
    """Return whether a cell's robustness is part of the study and was evaluated."""
    return cell in robust_models(study) and all(path.is_file() for path in robustness_files(study, cell))


def sample(study: Study, count: int, seed: int) -> list[Cell]:
    """Return some trained cells, drawn by a seed, in the study's order; one with robustness results is among them if there is one."""
    rng = random.Random(seed)
    trained = [cell for cell in models_of(study) if (cell_folder(study, cell) / CellOutput.PROVENANCE).is_file()]
    robust = [cell for cell in trained if is_evaluated(study, cell)]
    first = rng.sample(robust, min(1, count, len(robust)))
    others = [cell for cell in trained if cell not in first]
    chosen = {*first, *rng.sample(others, min(count - len(first), len(others)))}
    return [cell for cell in trained if cell in chosen]


def differs_here(about: dict[str, Any]) -> list[str]:
    """Return what differs from the machine and packages in a provenance; a GPU always counts as different."""
    here = {**software(), "processor": processor_name()}
    found = [
        f"{key} {about.get(key)}, here {here[key]}" for key in ("device", "processor") if about.get(key) != here[key]
    ]
    then: dict[str, str] = about.get("packages", {})
    found += [f"{name} {then.get(name)}, here {now}" for name, now in here["packages"].items() if then.get(name) != now]
    return found or ([] if here["device"].startswith("CPU") else ["a GPU"])


def _check_predictions(
    check: Check, study: Study, cell: Cell, dataset: str, model: MultiTaskModel, other: Sequence[str]
) -> None:
    path = predictions_file(study, cell, dataset)
    if not path.is_file() or not is_packed(study, dataset):
        check.gaps.append(f"{path if not path.is_file() else dataset_folder(study, dataset)}: not there")
        return
    part = load_split(dataset_folder(study, dataset), "test", study.input_size)
    kept, given = read_predictions(path, part.frame_ids, labels_of(study, dataset)), predictions_of(model, part)
    check.checked += 1
    shares = _equal_shares(kept, given)
    if shares is None:
        check.fail(path, "answers to other tasks, or of another size", "those that the checkpoint gives", _AGAIN)
        return
    _judge(check, str(path), shares, "the checkpoint's answers", other, read_provenance(study, cell))


def _equal_shares(kept: SavedPredictions, given: SavedPredictions) -> dict[str, float] | None:
    """Return the share of equal values by kind; None if they cannot be compared."""
    found = {}
    for name, what in (("masks", "pixels"), ("activity", "activities"), ("confidence", "confidences")):
        then, now = getattr(kept, name), getattr(given, name)
        if (then is None) != (now is None) or (then is not None and then.shape != now.shape):
            return None
        if then is not None:
            found[what] = float(np.mean(then == now))
    return found


def _judge(
    check: Check, where: str, shares: dict[str, float], whose: str, other: Sequence[str], about: dict[str, Any]
) -> None:
    """Add a failure if bits differ on the same machine and packages, else a warning if too many do."""
    if all(share == 1 for share in shares.values()):
        return
    shown = ", ".join(f"{share:.4%} of {what}" for what, share in shares.items())
    if not other:
        code, then = code_version(), about.get("code", {})
        since = "" if code == then else f" The code has changed since commit {then.get('commit', 'unknown')[:12]}."
        found = f"equal to {whose} in {shown}"
        check.fail(where, found, "the same bits on this processor with these packages", f"{_AGAIN}{since}")
        return
    line = f"{where}: equal to {whose} in {shown}; machine or packages differ ({'; '.join(other)})."
    # Confidences are floats, whose last bits differ with any change.
    alike = all(share >= ALIKE for what, share in shares.items() if what != "confidences")
    (check.told if alike else check.warnings).append(line)


def _check_robust_rows(check: Check, study: Study, cell: Cell, model: MultiTaskModel, rng: random.Random) -> None:
    _, path, about, _ = robustness_files(study, cell)
    if not is_packed(study, cell.dataset):
        check.gaps.append(f"{dataset_folder(study, cell.dataset)}: not there")
        return
    asked = conditions_of(study)
    names = set(rng.sample(asked.corruptions, min(_CONDITIONS, len(asked.corruptions))))
    severity = rng.choice(asked.severities)
    drawn = replace(asked, corruptions=tuple(n for n in asked.corruptions if n in names), severities=(severity,))
    part = load_split(dataset_folder(study, cell.dataset), "test", study.input_size)
    model.precision = "float32"
    with tempfile.TemporaryDirectory() as folder:
        subject = ModelUnderTest(cell.id, ModelPredictor(model), Path(folder))
        evaluate([subject], part, labels_of(study, cell.dataset), drawn, workers=0)
        made, _ = gather(subject, drawn)
    stored = read_table(path)
    clean = stored["corruption"] == CLEAN
    chosen = stored[clean | (stored["corruption"].isin(names) & (stored["severity"] == severity))].reset_index(
        drop=True
    )
    check.checked += 1 + len(names)
    found = difference(chosen, as_stored(made), ["corruption", "severity", "mask_warped", "frame_id"])
    if found is None:
        return
    where = f"{path}, {found.where}: {found.found} instead of {found.expected}"
    shares = {f"the rows of clean, {', '.join(drawn.corruptions)} at severity {severity}": 1 - found.rows / found.total}
    written = read_json(about)
    _judge(check, where, shares, "those measured again", differs_here(written), written)
