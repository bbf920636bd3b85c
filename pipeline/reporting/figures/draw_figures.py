"""Figures of a study, from its kept results: no model runs for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import Shown, shown_metrics
from pipeline.errors import InputError
from pipeline.io.files import whole_file
from pipeline.io.saved_files import read_history
from pipeline.reporting.captions import study_mark
from pipeline.reporting.figures.class_figures import draw_classes, draw_confusion, gaps_of_classes, gaps_of_confusion
from pipeline.reporting.figures.figure_inputs import Kept, NothingToShow
from pipeline.reporting.figures.mask_figures import draw_best, draw_tasks, gaps_of_masks, gaps_of_tasks
from pipeline.reporting.merging import merging_gaps, representations_of, shown_rank, study_note
from pipeline.reporting.models import scored_run
from pipeline.reporting.robustness import robustness_drawers
from pipeline.results.paths import (
    dataset_figures,
    evaluated_datasets,
    history_figures,
    history_file,
    leakage_figures,
    result_figures,
)
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of, merging_groups
from pipeline.study.datasets import titles_of
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from reports.figures import cost as cost_figure
from reports.figures.history import TrainingHistory, draw_histories
from reports.figures.merging import draw_bias, draw_representations
from reports.figures.style import draw_message
from reports.names import (
    FIGURE_COST,
    FIGURE_HEATMAP,
    FIGURE_MERGING,
    FIGURE_REPRESENTATIONS,
    FIGURE_RETENTION,
    FIGURE_SEGMENTATION,
    FIGURE_SEVERITY,
    FIGURE_TASKS,
    figure_of_classes,
    figure_of_confusion,
    figure_of_history,
    figure_title,
)

Gaps = Mapping[Cell, str]


@dataclass(frozen=True)
class Drawer:
    """How a figure comes about.

    draw: takes what is kept, the head, and the files to write. gaps: the cells that the figure would show, or choose from, if they
    had results, each with the reason. note: what else it says is missing.
    """

    draw: Callable[[Kept, str, Path, Path], None]
    gaps: Callable[[Kept], Gaps]
    note: Callable[[Kept], str] = lambda kept: ""


def draw_figures(study: Study, only: str = "", results: StudyResults | None = None) -> list[Path]:
    """Write all figures of a study's results, or one of them.

    Args:
        study: whose figures.
        only: its name, "" for all.
        results: of the study, if they are at hand.

    Returns:
        The files.

    Raises:
        InputError: if the study has no such figure, or rows are not what a cell leaves.
        ResultsError: if the results are not collected.
    """
    files = result_figures(study)
    if only and only not in files:
        raise InputError(_no_such_figure(study, only, list(files)))
    kept, drawers = Kept(results or StudyResults(study, {scored_run: robust_models(study)})), _drawers(study)
    for name in [only] if only else files:
        png_file, pdf_file = files[name]
        with whole_file(png_file) as png, whole_file(pdf_file) as pdf:
            note = drawers[name].note(kept)
            head = kept.head(drawers[name].gaps(kept)) + (f"\n{note}" if note else "")
            try:
                drawers[name].draw(kept, head, png, pdf)
            except NothingToShow as reason:
                draw_message(". ".join(figure_title(name, titles_of(study))), str(reason), head, png, pdf)
    return [path for name, paths in files.items() if only in ("", name) for path in paths]


def _no_such_figure(study: Study, only: str, names: list[str]) -> str:
    """Why a figure is not drawn here; those of the datasets come from another command."""
    for command, paths in (("draw-datasets", dataset_figures(study)), ("draw-leakage", leakage_figures(study))):
        if only in {path.stem for path in paths}:
            return f"figure {only!r} shows datasets, not results: `endoarss {command}` draws it."
    return (
        f"study {study.name!r} has no figure {only!r} of results; it has {', '.join(names)}. "
        "Figures of the datasets are drawn by `endoarss draw-datasets` and `endoarss draw-leakage`."
    )


def _drawers(study: Study) -> dict[str, Drawer]:
    """What draws each figure."""
    found = {
        FIGURE_TASKS: Drawer(draw_tasks, gaps_of_tasks),
        FIGURE_SEGMENTATION: Drawer(draw_best, gaps_of_masks),
        FIGURE_COST: Drawer(draw_costs, _gaps_of_costs),
    }
    for name in (FIGURE_SEVERITY, FIGURE_RETENTION, FIGURE_HEATMAP):
        found[name] = _of_robustness(name)
    if merging_groups(study):
        found[FIGURE_MERGING] = Drawer(_draw_merging, lambda kept: {}, lambda kept: merging_gaps(kept.results))
        found[FIGURE_REPRESENTATIONS] = Drawer(_draw_projected, lambda kept: {})
    for dataset in evaluated_datasets(study):
        found[figure_of_classes(dataset)] = _of_dataset(draw_classes, gaps_of_classes, dataset)
        found[figure_of_confusion(dataset)] = _of_dataset(draw_confusion, gaps_of_confusion, dataset)
    for dataset in history_figures(study):
        found[figure_of_history(dataset)] = _of_dataset(draw_history, gaps_of_history, dataset, lost_histories)
    return found


def _of_dataset(
    draw: Callable[[Kept, str, str, Path, Path], None],
    gaps: Callable[[Kept, str], Gaps],
    dataset: str,
    note: Callable[[Kept, str], str] = lambda kept, dataset: "",
) -> Drawer:
    return Drawer(
        lambda kept, head, png, pdf: draw(kept, dataset, head, png, pdf),
        lambda kept: gaps(kept, dataset),
        lambda kept: note(kept, dataset),
    )


def _of_robustness(name: str) -> Drawer:
    return Drawer(
        lambda kept, head, png, pdf: robustness_drawers(kept.robustness, head)[name](png, pdf),
        lambda kept: kept.results.missing_robustness,
    )


def _draw_merging(kept: Kept, head: str, png: Path, pdf: Path) -> None:
    """Bias and scores of merged models."""
    draw_bias(kept.merging.rows, shown_rank(kept.study), _validated(kept, head), png, pdf)


def _draw_projected(kept: Kept, head: str, png: Path, pdf: Path) -> None:
    """Representations of individual and merged models.

    Raises:
        NothingToShow: if there are none.
    """
    cases = representations_of(kept.results)
    if not cases:
        raise NothingToShow(f"Nothing is merged yet. {merging_gaps(kept.results)}".strip())
    draw_representations(cases, shown_rank(kept.study), _validated(kept, head), png, pdf)


def _validated(kept: Kept, head: str) -> str:
    """The head of a figure whose models were chosen on validation frames, whatever the study's other ones."""
    return head.replace(kept.mark, f"{study_mark(kept.results, select_on='val')}\n{study_note(kept.study)}")


def gaps_of_history(kept: Kept, dataset: str) -> dict[Cell, str]:
    """The trainings on a dataset that are not done and left no history, each with the reason."""
    return {cell: kept.lacking[cell] for cell in _without_history(kept.study, dataset) if cell in kept.lacking}


def lost_histories(kept: Kept, dataset: str) -> str:
    """Which trainings on a dataset have results and no history, in a sentence; "" if none."""
    lost = [kept.label(cell) for cell in _without_history(kept.study, dataset) if cell not in kept.lacking]
    return f"No history of {', '.join(lost)}: history.csv is missing." if lost else ""


def _without_history(study: Study, dataset: str) -> list[Cell]:
    return [cell for cell in _followed(study, dataset) if not history_file(study, cell).is_file()]


def _followed(study: Study, dataset: str) -> list[Cell]:
    """The cells whose trainings are shown: of the first seed and the study's rank."""
    first = study.seeds[0]
    return [c for c in cells_of(study) if (c.dataset, c.rank, c.seed) == (dataset, study.lora.rank, first)]


def draw_history(kept: Kept, dataset: str, head: str, png: Path, pdf: Path) -> None:
    """How trainings on a dataset went, of the first seed and the study's rank.

    Raises:
        NothingToShow: if there was none.
    """
    study = kept.study
    histories = [
        TrainingHistory(kept.backbone(cell), cell.architecture, cell.weighting, read_history(history_file(study, cell)))
        for cell in _followed(study, dataset)
        if history_file(study, cell).is_file()
    ]
    if not histories:
        raise NothingToShow(f"No training on {titles_of(study)[dataset]} is done.")
    draw_histories(histories, titles_of(study)[dataset], head, png, pdf)


def _gaps_of_costs(kept: Kept) -> dict[Cell, str]:
    first = kept.study.seeds[0]
    return {cell: reason for cell, reason in kept.lacking.items() if cell.seed == first}


def draw_costs(kept: Kept, head: str, png: Path, pdf: Path) -> None:
    """Scores of every cell of the first seed against what it costs.

    Raises:
        NothingToShow: if no cell has results.
    """
    rows = []
    for dataset, scores in kept.scores.items():
        for cell, of_cell in scores.items():
            if cell.seed != kept.study.seeds[0]:
                continue
            about = kept.results.provenance(cell)
            rows.append(
                {
                    "dataset": titles_of(kept.study)[dataset],
                    "backbone": kept.backbone(cell),
                    "architecture": cell.architecture,
                    "parameters": about["parameters"]["trained"],
                    "images_per_second": about["cost"]["inference"]["images_per_second"],
                    "device": about["device"],
                    **{metric: of_cell.get(metric, np.nan) for metric in shown_metrics(Shown.SUMMARY)},
                }
            )
    if not rows:
        raise NothingToShow("No cell has results.")
    cost_figure.draw_cost(pd.DataFrame(rows, columns=cost_figure.COLUMNS), head, png, pdf)
