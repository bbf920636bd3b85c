"""Tables and figures of robustness, for any models: those of a study, or any predictor's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from corruptions.catalogue import CATEGORIES
from pipeline.files import whole_file
from pipeline.layout import robustness_files
from pipeline.steps.report_table import ReportTable, write_tables
from pipeline.study import Cell, Study
from reports.errors import ResultsError
from reports.names import (
    FIGURE_RETENTION,
    FIGURE_SEVERITY,
    TABLE_ROBUSTNESS,
    TABLE_ROBUSTNESS_CONDITIONS,
    TABLE_ROBUSTNESS_SUMMARY,
    model_label,
)
from reports.resampling import REPLICATES
from reports.robustness import RobustModel, Robustness, measure_robustness
from reports.robustness_figures import draw_retention, draw_severity
from reports.robustness_tables import (
    readable_robustness,
    readable_robustness_summary,
    table_robustness,
    table_robustness_conditions,
    table_robustness_summary,
)


def write_robustness_report(
    models: Sequence[RobustModel],
    categories: Mapping[str, Sequence[str]],
    folder: Path,
    baselines: Mapping[str, str],
    mark: str,
    marks: Mapping[str, object],
    replicates: int = REPLICATES,
) -> Robustness:
    """Write the tables and figures of models into tables/ and figures/ of a folder.

    Args:
        models, categories, baselines, replicates: as `measure_robustness` takes them. folder: to write into. mark: what every figure
        and caption says of the numbers. marks: last columns of every CSV.

    Raises:
        ResultsError: as `measure_robustness`.
    """
    found = measure_robustness(models, categories, baselines, replicates)
    write_tables(robustness_tables(found), folder / "tables", mark, marks)
    write_robustness_figures(found, folder / "figures", mark)
    return found


def robustness_tables(found: Robustness) -> dict[str, ReportTable]:
    """The tables by name."""
    intervals, notes = " ".join(found.intervals), " ".join(found.notes)
    means, summary = table_robustness(found.summary, found.categories), table_robustness_summary(found.summary)
    return {
        TABLE_ROBUSTNESS: ReportTable(
            "Robustness: mean over severities of each corruption",
            means,
            readable_robustness(means),
            note=f"{_MEANS} {intervals}",
        ),
        TABLE_ROBUSTNESS_SUMMARY: ReportTable(
            "Robustness, summed up (%)",
            summary,
            readable_robustness_summary(found.summary),
            note=f"{_SUMMARY} {intervals} {notes}",
        ),
        TABLE_ROBUSTNESS_CONDITIONS: ReportTable(
            "Every score under every condition", table_robustness_conditions(found.conditions), None
        ),
    }


_MEANS = (
    "Masks move along where a corruption moves pixels; the last rows say what comes of masks left where they were, which accuracy does not "
    "depend on. Intervals are in the CSV."
)
_SUMMARY = (
    "mPC: mean over corruptions and severities. rPC: mPC / clean. Retention area: below score / clean against severity. mCE, "
    "relative mCE: errors as a share of the baseline's, the lower the better. Worst corruption: mean over severities."
)


def write_robustness_figures(found: Robustness, folder: Path, mark: str) -> None:
    """Write figure 6 and the figure of retention."""
    for name, draw in ((FIGURE_SEVERITY, draw_severity), (FIGURE_RETENTION, draw_retention)):
        with whole_file(folder / f"{name}.png") as png, whole_file(folder / f"{name}.pdf") as pdf:
            draw(found.summary, mark, png, pdf)


def measure_study(study: Study) -> Robustness:
    """What the robustness evaluations of a study's cells give.

    Raises:
        ResultsError: if one is missing, or as `measure_robustness`.
    """
    return measure_robustness(evaluated_models(study, study.datasets), CATEGORIES, baselines_of(study))


def evaluated_models(study: Study, datasets: Sequence[str]) -> list[RobustModel]:
    """The evaluated cells of some datasets as models.

    Raises:
        ResultsError: if rows are missing.
    """
    titles = study.titles()
    return [
        RobustModel(_label(study, cells[0]), titles[cells[0].dataset], [_rows(study, cell) for cell in cells])
        for cells in _cells_by_model(study)
        if cells[0].dataset in datasets
    ]


def baselines_of(study: Study) -> dict[str, str]:
    """What corruption errors are relative to: the label of a model by the title of its dataset."""
    chosen = {dataset: study.robustness_baseline(dataset) for dataset in study.datasets}
    return {study.titles()[d]: _label(study, cell) for d, cell in chosen.items() if cell is not None}


def _rows(study: Study, cell: Cell) -> pd.DataFrame:
    path = robustness_files(study, cell)[1]
    if not path.is_file():
        raise ResultsError(f"{path}: missing. Run the steps before this one, or snakemake.")
    return pd.read_parquet(path)


def _cells_by_model(study: Study) -> list[list[Cell]]:
    """The evaluated cells, those together that differ by seed alone."""
    found: dict[tuple[str, ...], list[Cell]] = {}
    for cell in study.robustness_cells():
        found.setdefault((cell.dataset, cell.backbone, cell.architecture, cell.weighting), []).append(cell)
    return list(found.values())


def _label(study: Study, cell: Cell) -> str:
    return model_label(study.settings["backbones"][cell.backbone]["label"], cell.architecture, cell.weighting)
