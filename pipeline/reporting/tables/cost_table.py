"""What each cell costs: parameters, speed, memory."""

from __future__ import annotations

import numpy as np

from pipeline.io.files import read_json
from pipeline.reporting.report_table import ReportTable
from pipeline.reporting.tables.score_tables import gap_note
from pipeline.results.cell_state import missing_cells, missing_robustness
from pipeline.results.paths import robustness_files
from pipeline.results.provenance import read_provenance
from pipeline.study.cell import Cell
from pipeline.study.study import Study
from reports.names import TABLE_COST
from reports.tables import scores as tables


def cost_table(study: Study) -> dict[str, ReportTable]:
    """The cost of every cell of the first seed."""
    lacking = missing_cells(study)
    first = [cell for cell in study.cells() if cell.seed == study.settings["seeds"][0]]
    costs = tables.table_cost([_named(study, c) | ({} if c in lacking else _cost(study, c)) for c in first])
    gaps = {cell: why for cell, why in (missing_robustness(study) | lacking).items() if cell in first}
    note = f"{_COST} {gap_note(study, gaps)}".strip()
    devices, shown = costs["Device"].dropna().unique(), costs
    if len(devices) == 1:
        shown, note = costs.drop(columns="Device"), f"{note} Device: {devices[0]}."
    return {TABLE_COST: ReportTable("Cost of each cell", costs, shown, note=note)}


_COST = (
    "Training: the median epoch; memory is the peak torch held on a GPU, of the whole process on a CPU. Jobs that ran beside slow each "
    "other."
)


def _named(study: Study, cell: Cell) -> dict[str, object]:
    return {
        "dataset": study.titles()[cell.dataset],
        "backbone": study.settings["backbones"][cell.backbone]["label"],
        "architecture": cell.architecture,
        "weighting": cell.weighting,
        "rank": cell.rank,
    }


def _cost(study: Study, cell: Cell) -> dict[str, object]:
    about = read_provenance(study, cell)
    return {
        **{key: about[key] for key in ("parameters", "cost", "device")},
        "latency_ms": _latency(study, cell),
    }


def _latency(study: Study, cell: Cell) -> float | None:
    """Milliseconds of one image, mean over the corruptions; None of a cell whose robustness was not evaluated."""
    if cell not in study.robustness_cells() or cell in missing_robustness(study):
        return None
    about = read_json(robustness_files(study, cell)[2])
    return float(np.mean(list(about["latency_ms"].values())))
