"""The page of a study, from its kept results: no model runs for it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipeline.files import write_text
from pipeline.layout import (
    FIGURE_BALANCE,
    FIGURE_CLASSES,
    FIGURE_LEAKAGE,
    contact_sheet,
    datasets_with_activities,
    history_figures,
    report_file,
)
from pipeline.marks import data_mark, study_mark
from pipeline.provenance import read_provenance
from pipeline.steps.make_tables import study_tables
from pipeline.study import Study
from reports import page
from reports.names import (
    FIGURE_RETENTION,
    FIGURE_SEVERITY,
    table_title,
)


def make_page(study: Study) -> None:
    """Write report/index.html from the tables and figures."""
    sections, mark = [], study_mark(study)
    for name, table in study_tables(study).items():
        note, short = f"{mark} {table.note}".strip(), table_title(name)
        if table.shown is not None:
            sections.append(page.table_section(name, short, f"{short}. {table.title}", note, table.shown))
    if study.segments():
        sections.append(_figure(study, "fig5_segmentation.png", "Figure 5", "Image, truth and predictions", mark))
    if study.robustness_cells():
        sections.append(_figure(study, f"{FIGURE_SEVERITY}.png", "Figure 6", "Scores against severity", mark))
        title = "What remains of the clean score, by severity and by category of corruption"
        sections.append(_figure(study, f"{FIGURE_RETENTION}.png", "Retention", title, mark))
    for dataset, (png, _) in history_figures(study).items():
        title = study.titles()[dataset]
        sections.append(
            _figure(study, png.name, f"Trainings, {title}", f"Losses, weights and gradients on {title}", mark)
        )
    sections += _dataset_sections(study)
    facts = {
        "title": study.settings["title"],
        "study": study.name,
        "protocol": study.protocol,
        "seeds": study.settings["seeds"],
        "cells": len(study.cells()),
        "resolution": study.settings["input_size"],
        "synthetic": study.synthetic,
    }
    write_text(report_file(study), page.render_page(sections, _provenance(study), facts))


def _dataset_sections(study: Study) -> list[page.Section]:
    mark, titles = data_mark(study), study.titles()
    shown = []
    if datasets_with_activities(study):
        shown.append((f"{FIGURE_CLASSES}.png", "Figure 1 (a)", "Which classes occur in which activity"))
    shown.append((f"{FIGURE_BALANCE}.png", "Balance", "Frames of each activity and class"))
    if study.leakage_datasets():
        shown.append((f"{FIGURE_LEAKAGE}.png", "Leakage", "How alike test and training frames are"))
    shown += [(contact_sheet(d), titles[d], f"Contact sheet of {titles[d]}") for d in study.datasets]
    return [_figure(study, *names, mark) for names in shown]


def _figure(study: Study, name: str, short: str, title: str, mark: str) -> page.Section:
    path: Path = study.results / "figures" / name
    return page.figure_section(path.stem, short, f"{short}. {title}", mark, path)


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
