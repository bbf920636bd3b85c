"""Tables, figures and the page of a study, from its kept results: no model runs for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from corruptions import CATEGORIES
from pipeline.datasets.kinds import KINDS
from pipeline.datasets.load import load_part, read_card
from pipeline.files import whole_file, write_text
from pipeline.layout import evaluated_datasets, report_file, results_file
from pipeline.measure import PROTOCOL
from pipeline.provenance import read_provenance
from pipeline.study import Cell, Study
from reports import figures, page, tables
from reports.names import (
    TABLE_DATASETS,
    TABLE_ROBUSTNESS,
    model_label,
    table_of_dataset,
    table_title,
)
from reports.results import clean_scores, read_results, weights_note

_TITLES = {name: kind.title for name, kind in KINDS.items()}


def _mark(study: Study, results: pd.DataFrame) -> str:
    """What every table, figure and caption says of its numbers, in two lines."""
    kind = "SYNTHETIC DATA (generated scenes)" if study.synthetic else "Real data"
    seeds = ", ".join(map(str, study.settings["seeds"]))
    return f"{kind}. Study {study.name}, protocol {PROTOCOL}, seed {seeds}.\n{weights_note(results)}."


def make_tables(study: Study) -> None:
    """Write all tables as CSV and LaTeX."""
    folder, mark = study.results / "tables", _mark(study, read_results(results_file(study)))
    folder.mkdir(parents=True, exist_ok=True)
    for name, (title, table, readable) in _tables(study).items():
        with whole_file(folder / f"{name}.csv") as partial:
            tables.write_csv(table, partial, study.synthetic)
        caption = f"{title}. {mark}".replace("\n", " ")
        latex = tables.to_latex(
            readable, caption, f"tab:{name}", highlight=name not in (TABLE_DATASETS, TABLE_ROBUSTNESS)
        )
        write_text(folder / f"{name}.tex", latex)


def _tables(study: Study) -> dict[str, tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Title, table as data, and table as shown, by name."""
    results = read_results(results_file(study))
    order = [backbone["label"] for backbone in study.settings["backbones"].values()]
    cards = [read_card(study.dataset_folder(dataset)) for dataset in study.datasets]
    datasets = tables.table_datasets(cards)
    found = {TABLE_DATASETS: ("Datasets", datasets, datasets)}
    for dataset in evaluated_datasets(study):
        scores = tables.table_of_scores(results, dataset, order)
        title = f"Results on {_TITLES[dataset]} (test part, split: {study.dataset_settings(dataset)['split']})"
        found[table_of_dataset(dataset)] = (title, scores, tables.readable_scores(scores))
    robustness = tables.table_robustness(results, {k: list(v) for k, v in CATEGORIES.items()})
    if robustness is not None:
        title = "Robustness: mean over severities of each corruption"
        found[TABLE_ROBUSTNESS] = (title, robustness, tables.readable_robustness(robustness, _TITLES))
    return found


def make_figure_segmentation(study: Study) -> None:
    """Write figure 5."""
    results = read_results(results_file(study))
    galleries = [
        gallery for dataset in evaluated_datasets(study) if (gallery := _gallery(study, results, dataset)) is not None
    ]
    folder = study.results / "figures"
    with whole_file(folder / "fig5_segmentation.png") as png, whole_file(folder / "fig5_segmentation.pdf") as pdf:
        figures.draw_segmentation(galleries, _mark(study, results), png, pdf)


def make_figure_severity(study: Study) -> None:
    """Write figure 6."""
    folder, results = study.results / "figures", read_results(results_file(study))
    with whole_file(folder / "fig6_severity.png") as png, whole_file(folder / "fig6_severity.pdf") as pdf:
        figures.draw_severity(results, _TITLES, _mark(study, results), png, pdf)


def _gallery(study: Study, results: pd.DataFrame, dataset: str) -> figures.Gallery | None:
    """The best segmenting cell of each backbone, on test images spread over the set."""
    part = load_part(study.dataset_folder(dataset), "test", study.settings["input_size"])
    scores = clean_scores(results, dataset)
    scores = scores[scores["metric"] == "miou"].set_index(
        ["dataset", "backbone", "architecture", "weighting", "variant"]
    )
    chosen: dict[str, tuple[float, Cell]] = {}
    for cell in study.cells():
        if dataset in study.evaluated_on(cell.dataset):
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
    labels = KINDS[dataset].labels
    notes = [part.frame_ids[i] if part.activities is None else labels.activities[part.activities[i]] for i in picked]
    title = f"{_TITLES[dataset]} (in brackets: mIoU, %)"
    return figures.Gallery(title, labels.classes, labels.palette, part.images[picked], masks, notes)


def make_page(study: Study) -> None:
    """Write report/index.html from the tables and figures."""
    sections, mark = [], _mark(study, read_results(results_file(study)))
    for name, (title, _, readable) in _tables(study).items():
        note = mark
        if name not in (TABLE_DATASETS, TABLE_ROBUSTNESS):
            note += " Means over classes with truth in the test part; fg: without background. References need no model."
        sections.append(page.table_section(name, table_title(name), f"{table_title(name)}. {title}", note, readable))
    if study.segments():
        sections.append(_figure(study, "fig5_segmentation", "Figure 5", "Image, truth and predictions", mark))
    if study.robustness_cells():
        sections.append(_figure(study, "fig6_severity", "Figure 6", "Scores against severity", mark))
    facts = {
        "title": study.settings["title"],
        "study": study.name,
        "protocol": PROTOCOL,
        "seeds": study.settings["seeds"],
        "cells": len(study.cells()),
        "resolution": study.settings["input_size"],
        "synthetic": study.synthetic,
    }
    write_text(report_file(study), page.render_page(sections, _provenance(study), facts))


def _figure(study: Study, name: str, short: str, title: str, mark: str) -> page.Section:
    path: Path = study.results / "figures" / f"{name}.png"
    return page.figure_section(name, short, f"{short}. {title}", mark, path)


def _provenance(study: Study) -> pd.DataFrame:
    rows = []
    for cell in study.cells():
        about = read_provenance(study, cell)
        rows.append(
            {
                "Cell": cell.id,
                "Weights": about["weights"]["source"] + (" (synthetic)" if about["pretrained_on_synthetic"] else ""),
                "Trained / all parameters": f"{about['parameters']['trained']:,} / {about['parameters']['total']:,}",
                "Images": about["training_images"],
                "Seconds": about["seconds"],
                "Device": about["device"],
                "Checkpoint sha256": about["checkpoint_sha256"][:12],
            }
        )
    return pd.DataFrame(rows).set_index("Cell")
