"""Figures of a study, from its kept results: no model runs for them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.datasets.load import load_part
from pipeline.files import whole_file
from pipeline.layout import (
    evaluated_datasets,
    history_figures,
    history_file,
    results_file,
)
from pipeline.marks import study_mark
from pipeline.steps.report_robustness import measure_study, write_robustness_figures
from pipeline.study import Cell, Study
from reports import figures
from reports.history_figures import TrainingHistory, draw_histories
from reports.names import (
    model_label,
)
from reports.results import clean_scores, of_rank, read_results


def make_history_figures(study: Study) -> None:
    """Write the figures of how trainings went, of the first seed and the study's rank."""
    mark = study_mark(study)
    for dataset, (png_file, pdf_file) in history_figures(study).items():
        histories = [
            TrainingHistory(
                study.settings["backbones"][cell.backbone]["label"],
                cell.architecture,
                cell.weighting,
                pd.read_csv(history_file(study, cell)),
            )
            for cell in study.cells()
            if cell.dataset == dataset and cell.rank == study.rank and cell.seed == study.settings["seeds"][0]
        ]
        with whole_file(png_file) as png, whole_file(pdf_file) as pdf:
            draw_histories(histories, study.titles()[dataset], mark, png, pdf)


def make_figure_segmentation(study: Study) -> None:
    """Write figure 5."""
    results = of_rank(read_results(results_file(study)), study.rank)
    galleries = [
        gallery for dataset in evaluated_datasets(study) if (gallery := _gallery(study, results, dataset)) is not None
    ]
    folder = study.results / "figures"
    with whole_file(folder / "fig5_segmentation.png") as png, whole_file(folder / "fig5_segmentation.pdf") as pdf:
        figures.draw_segmentation(galleries, study_mark(study), png, pdf)


def make_figure_severity(study: Study) -> None:
    """Write figure 6 and the figure of retention."""
    mark = study_mark(study)
    write_robustness_figures(measure_study(study), study.results / "figures", mark)


def _gallery(study: Study, results: pd.DataFrame, dataset: str) -> figures.Gallery | None:
    """The best segmenting cell of each backbone, on test images spread over the set."""
    part = load_part(study.dataset_folder(dataset), "test", study.settings["input_size"])
    scores = clean_scores(results, dataset)
    scores = scores[scores["metric"] == "miou"].set_index(
        ["dataset", "backbone", "architecture", "weighting", "variant"]
    )
    chosen: dict[str, tuple[float, Cell]] = {}
    for cell in study.cells():
        if dataset in study.evaluated_on(cell.dataset) and cell.rank == study.rank:
            key = (cell.dataset, cell.backbone, cell.architecture, cell.weighting, cell.variant)
            if key in scores.index:
                value = float(scores.loc[key, "value"])
                if value > chosen.get(cell.backbone, (-1.0, cell))[0]:
                    chosen[cell.backbone] = (value, cell)
    if not chosen:
        return None
    count = min(study.settings["figures"]["images"], len(part.frame_ids))
    # Images with the most classes first, no two of one activity as long as there are others.
    richness = [len(np.unique(mask)) for mask in part.masks]
    ranked = sorted(range(len(richness)), key=lambda i: (-richness[i], part.frame_ids[i]))
    first_of_activity: dict[int, int] = {}
    for index in ranked:
        first_of_activity.setdefault(index if part.activities is None else int(part.activities[index]), index)
    firsts = list(first_of_activity.values())
    picked = [*firsts, *(index for index in ranked if index not in firsts)][:count]
    masks = {"truth": part.masks[picked]}
    for value, cell in chosen.values():
        with np.load(study.cell_folder(cell) / "eval" / dataset / "masks.npz") as stored:
            label = study.settings["backbones"][cell.backbone]["label"]
            model = model_label("", cell.architecture, cell.weighting).strip()
            name = f"{label}\n{model} ({100 * value:.1f})"
            masks[name] = stored["masks"][picked]
    labels = study.labels(dataset)
    notes = [part.frame_ids[i] if part.activities is None else labels.activities[part.activities[i]] for i in picked]
    title = f"{study.titles()[dataset]} (in brackets: mIoU, %)"
    return figures.Gallery(title, labels.classes, labels.palette, part.images[picked], masks, notes)
