"""Makes the table of the cost of each cell: parameters, speed and memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.io.files import read_json
from pipeline.io.saved_files import read_history
from pipeline.reporting.captions import first_seed_note, gap_note
from pipeline.reporting.report_table import ReportTable
from pipeline.results.paths import history_file, robustness_files
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of, trainings_of
from pipeline.study.datasets import titles_of
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from pipeline.study.robust_models import robustness_cells
from pipeline.study.variants import has_adapters
from reports.names import TABLE_COST
from reports.tables import scores as tables


def cost_table(results: StudyResults) -> dict[str, ReportTable]:
    """Return the table of the cost of every cell of the first seed."""
    study, missing = results.study, results.missing_cells
    cells = [cell for cell in cells_of(study) if cell.seed == study.seeds[0]]
    costs = tables.table_cost([_labels(study, c) | ({} if c in missing else _cost(results, c)) for c in cells])
    gaps = {cell: reason for cell, reason in {**results.missing_robustness, **missing}.items() if cell in cells}
    experts = _EXPERTS_NOTE if costs.columns.isin(["Experts"]).any() else ""
    note = " ".join(
        filter(None, [first_seed_note(study), _COST_NOTE, experts, _note_on_other_epochs(study), gap_note(study, gaps)])
    )
    devices, shown = costs["Device"].dropna().unique(), costs
    if len(devices) == 1:
        shown, note = costs.drop(columns="Device"), f"{note} Device: {devices[0]}."
    return {TABLE_COST: ReportTable("Cost of each cell", costs, shown, note=note)}


_COST_NOTE = (
    "Training: images per second of the median epoch. Memory: the peak of torch on a GPU, or the peak of the whole process on a CPU. Jobs "
    "that run at the same time slow each other down."
)
_EXPERTS_NOTE = "Experts: the number of experts that each task of DSelect-k selects in the last epoch (weight above 0.01), activity first."


def _note_on_other_epochs(study: Study) -> str:
    """Return a sentence on the trainings that this table leaves out, or "" if it has all of the first seed."""
    left_out = len(set(trainings_of(study)) - set(cells_of(study))) // len(study.seeds)
    models = "1 model" if left_out == 1 else f"{left_out} models"
    return f"Not in this table: {models} whose epoch is chosen in another way, with select_on." if left_out else ""


def _labels(study: Study, cell: Cell) -> dict[str, object]:
    labels = model_labels(study)
    return {
        "dataset": titles_of(study)[cell.dataset],
        "backbone": labels.backbone(cell.backbone),
        "architecture": labels.architecture(cell.architecture),
        "weighting": labels.weighting(cell.weighting),
        "rank": str(cell.rank) if has_adapters(study, cell.backbone, cell.architecture) else "-",
    }


def _cost(results: StudyResults, cell: Cell) -> dict[str, object]:
    provenance = results.provenance(cell)
    cost = {key: provenance[key] for key in ("parameters", "cost", "device")} | {"latency_ms": None}
    if cell in robustness_cells(results.study) and cell not in results.missing_robustness:
        # Milliseconds per image, as the mean over the corruptions.
        latency = read_json(robustness_files(results.study, cell).provenance)["latency_ms"]
        cost["latency_ms"] = float(np.mean(list(latency.values())))
    history = history_file(results.study, cell)
    experts = selected_experts(history) if history.is_file() else ""
    return cost | ({"experts": experts} if experts else {})


def selected_experts(history: Path) -> str:
    """Return the number of experts that each task selects in the last epoch of a history.csv, such as "2 / 1", or "" if it has none.

    Raises:
        InputError: As in `read_history`.
    """
    last = read_history(history).iloc[-1]
    return " / ".join(f"{last[name]:.3g}" for name in last.index if str(name).startswith("experts_"))
