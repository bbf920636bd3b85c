"""Draws the figures of a study from its saved results. No model runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from endoarss.metrics.catalogue import Shown, shown_metrics
from pipeline.errors import InputError
from pipeline.io.files import whole_file
from pipeline.io.saved_files import read_history
from pipeline.reporting.captions import first_seed_note
from pipeline.reporting.figures.class_figures import draw_classes, draw_confusion, gaps_of_classes, gaps_of_confusion
from pipeline.reporting.figures.figure_inputs import NothingToShow, head_of, scores_by_dataset
from pipeline.reporting.figures.mask_figures import draw_best, draw_tasks, gaps_of_masks, gaps_of_tasks
from pipeline.reporting.figures.merging_figures import draw_merging, draw_representations
from pipeline.reporting.merging import merging_gaps
from pipeline.reporting.models import label_of, scored_run
from pipeline.reporting.robustness import measure_study, robustness_drawers
from pipeline.results import paths
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import SINGLE_TASKS, Cell
from pipeline.study.cells import cells_of, merging_groups
from pipeline.study.datasets import titles_of
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from reports import names
from reports.figures import cost as cost_figure
from reports.figures.history import TrainingHistory, draw_histories
from reports.figures.style import draw_message

Gaps = Mapping[Cell, str]


@dataclass(frozen=True)
class Drawer:
    """The functions that make a figure.

    Attributes:
        draw: Draws the figure from the results, the head, and the PNG and PDF files to write.
        gaps: Returns the cells that the figure lacks because they have no results, each with the reason.
        note: Returns a text on anything else that is missing.
    """

    draw: Callable[[StudyResults, str, Path, Path], None]
    gaps: Callable[[StudyResults], Gaps]
    note: Callable[[StudyResults], str] = lambda results: ""


def draw_figures(
    study: Study, only: str = "", results: StudyResults | None = None, without: Collection[str] = ()
) -> list[Path]:
    """Write all figures of a study's results, or one of them.

    Args:
        study: The study.
        only: The name of one figure, "" for all figures.
        results: The results of the study, if they are already loaded.
        without: Names of figures to leave out.

    Returns:
        The files that were written.

    Raises:
        InputError: If the study has no such figure, or saved rows are invalid.
        ResultsError: If the results are not collected.
    """
    files = paths.result_figures(study)
    if only and only not in files:
        raise InputError(_no_such_figure(study, only, list(files)))
    results, drawers = results or StudyResults(study, {scored_run: robust_models(study)}), _drawers(study)
    selected = [name for name in ([only] if only else files) if name not in without]
    for name in tqdm(selected, desc="draw", unit="figure", mininterval=1.0, delay=2.0):
        png_file, pdf_file = files[name]
        with whole_file(png_file) as png, whole_file(pdf_file) as pdf:
            head = head_of(results, drawers[name].gaps(results), drawers[name].note(results))
            try:
                drawers[name].draw(results, head, png, pdf)
            except NothingToShow as reason:
                draw_message(names.figure_title(name, titles_of(study))[1], str(reason), head, png, pdf)
    return [path for name in selected for path in files[name]]


def _no_such_figure(study: Study, only: str, known: list[str]) -> str:
    """Return why a figure is not drawn here. Other commands draw the figures of the datasets."""
    for step, files in (
        ("draw_datasets", paths.dataset_figures(study)),
        ("draw_leakage", paths.leakage_figures(study)),
    ):
        if only in {path.stem for path in files}:
            return f"figure {only!r} shows datasets, not results: `endoarss step {step}` draws it."
    return (
        f"study {study.name!r} has no figure {only!r} of results; it has {', '.join(known)}. "
        "Figures of the datasets are drawn by `endoarss step draw_datasets` and `endoarss step draw_leakage`."
    )


def _drawers(study: Study) -> dict[str, Drawer]:
    """Return the drawer of each figure by name."""
    drawers = {
        names.FIGURE_TASKS: Drawer(draw_tasks, gaps_of_tasks),
        names.FIGURE_SEGMENTATION: Drawer(draw_best, gaps_of_masks),
        names.FIGURE_COST: Drawer(draw_costs, _gaps_of_costs),
    }
    for name in (names.FIGURE_SEVERITY, names.FIGURE_RETENTION, names.FIGURE_HEATMAP):
        drawers[name] = Drawer(partial(_draw_robustness, name=name), lambda results: results.missing_robustness)
    if merging_groups(study):
        drawers[names.FIGURE_MERGING] = Drawer(draw_merging, lambda results: {}, merging_gaps)
        drawers[names.FIGURE_REPRESENTATIONS] = Drawer(draw_representations, lambda results: {})
    for dataset in paths.evaluated_datasets(study):
        drawers[names.figure_of_classes(dataset)] = Drawer(
            partial(draw_classes, dataset=dataset), partial(gaps_of_classes, dataset=dataset)
        )
        drawers[names.figure_of_confusion(dataset)] = Drawer(
            partial(draw_confusion, dataset=dataset), partial(gaps_of_confusion, dataset=dataset)
        )
    for dataset in paths.history_figures(study):
        drawers[names.figure_of_history(dataset)] = Drawer(
            partial(draw_history, dataset=dataset),
            partial(gaps_of_history, dataset=dataset),
            partial(lost_histories, dataset=dataset),
        )
    return drawers


def _draw_robustness(results: StudyResults, head: str, png: Path, pdf: Path, name: str) -> None:
    """Draw one of the figures of robustness.

    Raises:
        NothingToShow: If no cell's robustness is evaluated.
    """
    measured = results.once(measure_study)
    if measured is None:
        reason = next(iter(results.missing_robustness.values()), "the study asks for none")
        raise NothingToShow(f"No cell's robustness is evaluated: {reason}.")
    robustness_drawers(measured, head)[name](png, pdf)


def gaps_of_history(results: StudyResults, dataset: str) -> dict[Cell, str]:
    """Return the trainings on a dataset that are not done and have no history, each with the reason."""
    return results.gaps(_without_history(results.study, dataset))


def lost_histories(results: StudyResults, dataset: str) -> str:
    """Return a sentence that names the trainings on a dataset with results but without a history, or "" if there are none."""
    lost = [
        label_of(results.study, cell)
        for cell in _without_history(results.study, dataset)
        if cell not in results.missing_cells
    ]
    return f"No history of {', '.join(lost)}: history.csv is missing." if lost else ""


def _without_history(study: Study, dataset: str) -> list[Cell]:
    return [cell for cell in _cells_with_shown_history(study, dataset) if not paths.history_file(study, cell).is_file()]


def _cells_with_shown_history(study: Study, dataset: str) -> list[Cell]:
    """Return the cells whose histories are shown, which have the first seed and the study's rank."""
    first = study.seeds[0]
    return [c for c in cells_of(study) if (c.dataset, c.rank, c.seed) == (dataset, study.lora.rank, first)]


def draw_history(results: StudyResults, head: str, png: Path, pdf: Path, dataset: str) -> None:
    """Draw the histories of trainings on a dataset with the first seed and the study's rank.

    Raises:
        NothingToShow: If there is no history.
    """
    study = results.study
    labels, histories = model_labels(study), []
    for cell in _cells_with_shown_history(study, dataset):
        path = paths.history_file(study, cell)
        if path.is_file():
            single = cell.architecture in SINGLE_TASKS
            architecture = "Single tasks" if single else labels.architecture(cell.architecture)
            model = labels.backbone(cell.backbone), architecture, labels.weighting(cell.weighting)
            histories.append(TrainingHistory(*model, read_history(path)))
    if not histories:
        raise NothingToShow(f"No training on {titles_of(study)[dataset]} is done.")
    shown = f"{head}\n{first_seed_note(study)}".rstrip()
    draw_histories(histories, titles_of(study)[dataset], shown, png, pdf)


def _gaps_of_costs(results: StudyResults) -> dict[Cell, str]:
    first = results.study.seeds[0]
    return results.gaps(cell for cell in cells_of(results.study) if cell.seed == first)


def draw_costs(results: StudyResults, head: str, png: Path, pdf: Path) -> None:
    """Draw the scores of every cell of the first seed against its cost.

    Raises:
        NothingToShow: If no cell has results.
    """
    labels, rows = model_labels(results.study), []
    for dataset, scores in scores_by_dataset(results).items():
        for cell, cell_scores in scores.items():
            if cell.seed != results.study.seeds[0]:
                continue
            provenance = results.provenance(cell)
            rows.append(
                {
                    "dataset": titles_of(results.study)[dataset],
                    "backbone": labels.backbone(cell.backbone),
                    "architecture": labels.architecture(cell.architecture),
                    "rank": cell.rank,
                    "parameters": provenance["parameters"]["trained"],
                    "images_per_second": provenance["cost"]["inference"]["images_per_second"],
                    "device": provenance["device"],
                    **{metric: cell_scores.get(metric, np.nan) for metric in shown_metrics(Shown.SUMMARY)},
                }
            )
    if not rows:
        raise NothingToShow("No cell has results.")
    shown = f"{head}\n{first_seed_note(results.study)}".rstrip()
    cost_figure.draw_cost(pd.DataFrame(rows, columns=cost_figure.COLUMNS), shown, png, pdf)
