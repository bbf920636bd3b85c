"""Tables, figures and the page of a study, from its kept results: no model runs for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.datasets.card import read_card
from pipeline.datasets.load import load_part
from pipeline.files import read_json, whole_file, write_text
from pipeline.layout import (
    FIGURE_BALANCE,
    FIGURE_CLASSES,
    FIGURE_LEAKAGE,
    contact_sheet,
    datasets_with_activities,
    evaluated_datasets,
    history_figures,
    history_file,
    report_file,
    results_file,
    robustness_files,
    similarity_file,
)
from pipeline.marks import data_mark, partial_note
from pipeline.measure import PROTOCOL
from pipeline.provenance import read_provenance
from pipeline.steps.report_robustness import measure_study, robustness_tables, write_robustness_figures
from pipeline.steps.report_table import ReportTable, write_tables
from pipeline.study import Cell, Study
from reports import figures, page, tables
from reports.history_figures import TrainingHistory, draw_histories
from reports.names import (
    FIGURE_RETENTION,
    FIGURE_SEVERITY,
    TABLE_ABLATION,
    TABLE_COST,
    TABLE_DATASETS,
    TABLE_LEAKAGE,
    TABLE_RANK,
    TABLE_SIMILARITY,
    model_label,
    table_of_dataset,
    table_title,
)
from reports.published import published_datasets
from reports.results import clean_scores, of_rank, read_results, weights_note


def _mark(study: Study, results: pd.DataFrame) -> str:
    """What every table, figure and caption says of its numbers, in two lines."""
    seeds = ", ".join(map(str, study.settings["seeds"]))
    chosen = {
        "last": "last epoch",
        "val": "epoch chosen on a validation part",
        "test": "EPOCH CHOSEN ON THE TEST PART (as the released code does; not to be compared)",
    }[study.settings["training"]["select_on"]]
    return f"{data_mark(study)[:-1]}, protocol {PROTOCOL}, {chosen}, seed {seeds}.\n{weights_note(results)}."


def make_tables(study: Study) -> None:
    """Write all tables as CSV and LaTeX."""
    marks = {
        "synthetic": study.synthetic,
        "partial": bool(partial_note(study)),
        "select_on": study.settings["training"]["select_on"],
    }
    write_tables(_tables(study), study.results / "tables", _mark(study, read_results(results_file(study))), marks)


def _tables(study: Study) -> dict[str, ReportTable]:
    """All tables of a study by name."""
    of_all_ranks, titles = read_results(results_file(study)), study.titles()
    results = of_rank(of_all_ranks, study.rank)
    order = [backbone["label"] for backbone in study.settings["backbones"].values()]
    cards = [read_card(study.dataset_folder(dataset)) for dataset in study.datasets]
    datasets = tables.table_datasets(cards, published_datasets())
    found = {
        TABLE_DATASETS: ReportTable("Datasets, and the paper's Table I beside them", datasets, datasets, note=_BESIDE)
    }
    for dataset in evaluated_datasets(study):
        scores = tables.table_of_scores(results, dataset, order)
        title = f"Results on {titles[dataset]} (test part, split: {study.split_rule(dataset)})"
        found[table_of_dataset(dataset)] = ReportTable(title, scores, tables.readable_scores(scores), True, _SCORES)
    for name, title, names, rows, note in (
        (
            TABLE_ABLATION,
            "Ablation of backbone, TESLA and SMA",
            ["DINOv2", "TESLA", "SMA"],
            _ablation_rows(study),
            _ABLATION,
        ),
        (TABLE_RANK, "Rank of the adapters", ["Model", "Rank"], _rank_rows(study), ""),
    ):
        if rows:
            chosen = tables.table_of_rows(of_all_ranks, rows, ["Dataset", *names])
            found[name] = ReportTable(title, chosen, tables.readable_rows(chosen), note=note)
    if study.robustness_cells():
        found |= robustness_tables(measure_study(study))
    costs = tables.table_cost([_cost(study, cell) for cell in study.cells() if cell.seed == study.settings["seeds"][0]])
    devices = costs["Device"].unique()
    shown, note = (
        (costs.drop(columns="Device"), f"{_COST} Device: {devices[0]}.") if len(devices) == 1 else (costs, _COST)
    )
    found[TABLE_COST] = ReportTable("Cost of each cell", costs, shown, note=note)
    if study.leakage_datasets():
        similar = tables.table_similarity(read_json(similarity_file(study)), titles)
        title = "Similarity of test frames to their nearest training frame"
        found[TABLE_SIMILARITY] = ReportTable(title, similar, similar, note=_SIMILARITY)
    if study.leakage_pairs():
        (published, by_sequence) = study.leakage_pairs()[0]
        leakage = tables.table_leakage(results, published.dataset, by_sequence.dataset, order)
        title = "Leakage: the same models on the published split and by sequence"
        found[TABLE_LEAKAGE] = ReportTable(title, leakage, tables.readable_leakage(leakage), note=_LEAKAGE)
    return found


_SCORES = "Means over classes with truth in the test part; fg: without background. References need no model."
_ABLATION = "DINOv2: instead of ResNet. TESLA: instead of MMoE. SMA: before DINOv2. All under DB-MTL."
_COST = (
    "Training: the median epoch; memory is the peak torch held on a GPU, of the whole process on a CPU. Jobs that ran beside slow each "
    "other."
)
_BESIDE = (
    "Figures of the paper stand in columns of their own; what is synthetic or partial differs from them by design."
)
_SIMILARITY = "Correlation of 32x32 RGB thumbnails; 1 is the same picture."
_LEAKAGE = "Each model is trained and tested twice; means are over the classes that the respective test part holds."


def _ablation_rows(study: Study) -> list[tables.Row]:
    """Table V: what stands in place of ResNet, MMoE and nothing before the backbone."""
    rows = []
    for dataset in study.datasets:
        for cell in study.ablation_cells(dataset).values():
            parts = (cell.backbone != "resnet", cell.architecture == "tesla", cell.backbone == "endoarss")
            labels = (study.titles()[dataset], *("yes" if part else "no" for part in parts))
            rows.append(tables.Row(labels, dataset, cell.backbone, cell.architecture, cell.weighting, cell.rank))
    return rows


def _rank_rows(study: Study) -> list[tables.Row]:
    rows = []
    for dataset in study.datasets:
        for rank, cell in study.cells_by_rank(dataset).items():
            label = study.settings["backbones"][cell.backbone]["label"]
            labels = (study.titles()[dataset], model_label(label, cell.architecture, cell.weighting), str(rank))
            rows.append(tables.Row(labels, dataset, cell.backbone, cell.architecture, cell.weighting, rank))
    return rows


def _cost(study: Study, cell: Cell) -> dict[str, object]:
    about = read_provenance(study, cell)
    return {
        "dataset": study.titles()[cell.dataset],
        "backbone": study.settings["backbones"][cell.backbone]["label"],
        "architecture": cell.architecture,
        "weighting": cell.weighting,
        "rank": cell.rank,
        **{key: about[key] for key in ("parameters", "cost", "device")},
        "latency_ms": _latency(study, cell),
    }


def _latency(study: Study, cell: Cell) -> float | None:
    """Milliseconds of one image, mean over the corruptions; None of a cell whose robustness was not evaluated."""
    if cell not in study.robustness_cells():
        return None
    about = read_json(robustness_files(study, cell)[2])
    return float(np.mean(list(about["latency_ms"].values())))


def make_history_figures(study: Study) -> None:
    """Write the figures of how trainings went, of the first seed and the study's rank."""
    mark = _mark(study, read_results(results_file(study)))
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
        figures.draw_segmentation(galleries, _mark(study, results), png, pdf)


def make_figure_severity(study: Study) -> None:
    """Write figure 6 and the figure of retention."""
    mark = _mark(study, read_results(results_file(study)))
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


def make_page(study: Study) -> None:
    """Write report/index.html from the tables and figures."""
    sections, mark = [], _mark(study, read_results(results_file(study)))
    for name, table in _tables(study).items():
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
        "protocol": PROTOCOL,
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
