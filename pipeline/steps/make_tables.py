"""Tables of a study, from its kept results: no model runs for them."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.card import read_card
from pipeline.files import read_json
from pipeline.layout import (
    evaluated_datasets,
    results_file,
    robustness_files,
    similarity_file,
)
from pipeline.marks import partial_note, study_mark
from pipeline.provenance import read_provenance
from pipeline.steps.report_robustness import measure_study, robustness_tables
from pipeline.steps.report_table import ReportTable, write_tables
from pipeline.study import Cell, Study
from reports import tables
from reports.names import (
    TABLE_ABLATION,
    TABLE_COST,
    TABLE_DATASETS,
    TABLE_LEAKAGE,
    TABLE_RANK,
    TABLE_SIMILARITY,
    model_label,
    table_of_dataset,
)
from reports.published import published_datasets
from reports.results import of_rank, read_results


def make_tables(study: Study) -> None:
    """Write all tables as CSV and LaTeX."""
    marks = {
        "synthetic": study.synthetic,
        "partial": bool(partial_note(study)),
        "select_on": study.settings["training"]["select_on"],
    }
    write_tables(study_tables(study), study.results / "tables", study_mark(study), marks)


def study_tables(study: Study) -> dict[str, ReportTable]:
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
