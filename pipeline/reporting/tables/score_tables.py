"""Makes the tables of scores on clean test images: all cells, selected cells, comparisons of models, and every class."""

from __future__ import annotations

import pandas as pd

from endoarss.metrics import AUTHORS_CODE
from pipeline.reporting.captions import AUTHORS_CODE_NOTE, gap_note, has_other_ranks
from pipeline.reporting.models import clean_models, label_of, varied_scores
from pipeline.reporting.report_table import ReportTable
from pipeline.results.paths import datasets_with_activities, evaluated_datasets
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.datasets import evaluated_on, labels_of, split_rule, titles_of
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from pipeline.study.paper_cells import ablation_cells, cells_by_rank
from reports import names
from reports.results import of_rank
from reports.statistics.comparison import compare_scores
from reports.statistics.confusion import table_confusion
from reports.statistics.variation import say_intervals
from reports.tables import scores as tables
from reports.tables.comparison import readable_comparison, table_comparison, table_pairs


def score_tables(results: StudyResults) -> dict[str, ReportTable]:
    """Return tables II to IV, and one table for every other dataset that cells are tested on."""
    study, labels, found = results.study, model_labels(results.study), {}
    for dataset in evaluated_datasets(study):
        cells = [
            cell
            for cell in cells_of(study)
            if dataset in evaluated_on(study, cell.dataset) and cell.rank == study.lora.rank
        ]
        gaps = results.gaps(cells)
        keys = [(labels.backbone(cell.backbone), cell.architecture, cell.weighting) for cell in gaps]
        scores = tables.table_of_scores(
            of_rank(results.compared_table, study.lora.rank),
            dataset,
            list(labels.backbones.values()),
            list(dict.fromkeys(keys)),
        )
        title = f"Results on {titles_of(study)[dataset]} (test split, {names.in_words(split_rule(study, dataset))})"
        notes = [
            _note_on_training(study, dataset),
            _note_on_split(study, dataset),
            _note(study),
            _note_on_references(scores),
            _note_on_ranks(study, dataset),
        ]
        notes += [_note_on_absent_activities(labels, scores), gap_note(study, gaps)]
        note = " ".join(filter(None, notes))
        shown = tables.readable_scores(scores, study.protocol, labels)
        found[names.table_of_dataset(dataset)] = ReportTable(title, scores, shown, True, note, protocol=study.protocol)
    return found


def shown_tables(results: StudyResults) -> dict[str, ReportTable]:
    """Return tables V and VI if the study has their cells."""
    study, parts, found = results.study, ["DINOv2", "TESLA", "SMA"], {}
    ablation_note = f"{_ABLATION_NOTE} {_note_on_incomplete_ablations(study)}".strip()
    definitions = AUTHORS_CODE_NOTE if study.protocol == AUTHORS_CODE else ""
    for name, title, heads, rows, note in (
        (names.TABLE_ABLATION, "Ablation of backbone, TESLA and SMA", parts, _ablation_rows(study), ablation_note),
        (names.TABLE_RANK, "Rank of the adapters", ["Model", "Rank"], _rank_rows(study), ""),
    ):
        if rows:
            scores = tables.table_of_rows(results.compared_table, rows, ["Dataset", *heads])
            keys = [(r.dataset, r.backbone, r.architecture, r.weighting, r.rank) for r in rows]
            gaps = results.gaps(cell for cell in cells_of(study) if _key(cell) in keys)
            shown = tables.readable_rows(scores, study.protocol)
            text = " ".join(filter(None, [note, definitions, gap_note(study, gaps)]))
            found[name] = ReportTable(title, scores, shown, True, text, ("Dataset",), study.protocol)
    return found


def comparison_tables(results: StudyResults) -> dict[str, ReportTable]:
    """Return two tables in the standard protocol: scores with intervals and places, and differences between models."""
    study, missing = results.study, results.missing_cells
    varied = {titles_of(study)[dataset]: results.once(varied_scores, dataset) for dataset in evaluated_datasets(study)}
    scores_of = {title: of_dataset for title, of_dataset in varied.items() if of_dataset is not None}
    present = {(title, label) for title, of_dataset in scores_of.items() for label in of_dataset.scores}
    comparison = compare_scores(scores_of)
    gaps = [
        (titles_of(study)[dataset], label_of(study, cell))
        for dataset in evaluated_datasets(study)
        for cell in missing
        if dataset in evaluated_on(study, cell.dataset)
    ]
    gaps = [gap for gap in dict.fromkeys(gaps) if gap not in present]
    explained = _COMPARISON_NOTE if len(comparison.pairs) else ""
    ranks = _ALL_RANKS * has_other_ranks(study)
    note = " ".join(f"{explained} {ranks} {say_intervals(comparison.intervals)} {gap_note(study, missing)}".split())
    scores, pairs = table_comparison(comparison.scores), table_pairs(comparison.pairs)
    return {
        names.TABLE_COMPARISON: ReportTable(
            "Models compared with each other",
            scores,
            readable_comparison(comparison.scores, gaps),
            note=note,
            protocol="standard",
        ),
        names.TABLE_PAIRS: ReportTable(
            "Difference between the two models of each pair", pairs, None, note=note, protocol="standard"
        ),
    }


def label_tables(results: StudyResults) -> dict[str, ReportTable]:
    """Return the tables of every class, of every activity and of confusions, which are only saved as CSV."""
    study, found = results.study, {}
    tables_of_labels = {
        names.TABLE_CLASSES: ("Scores of every class", False),
        names.TABLE_ACTIVITIES: ("Scores of every activity", True),
    }
    for name, (title, of_activities) in tables_of_labels.items():
        if not of_activities or datasets_with_activities(study):
            table = tables.table_of_labels(results.compared_table, of_activities)
            found[name] = ReportTable(title, table, None, protocol=study.protocol)
    confused = [
        table_confusion(model, labels_of(study, dataset).classes, labels_of(study, dataset).activities)
        for dataset in evaluated_datasets(study)
        for model in results.once(clean_models, dataset).values()
    ]
    found[names.TABLE_CONFUSION] = ReportTable("Confusions of classes and of activities", pd.concat(confused), None)
    return found


def _note_on_absent_activities(labels: names.Labels, scores: pd.DataFrame) -> str:
    """Return a text on models that predict activities that no test image has, with the number of these predictions."""
    if "predictions_without_support" not in scores:
        return ""
    counts = scores["predictions_without_support"]
    listed = [f"{labels.model(*key)} {count:g}" for key, count in counts[counts > 0].items()]
    return f"Predictions of activities that no test image has: {', '.join(listed)}." if listed else ""


def _note_on_ranks(study: Study, dataset: str) -> str:
    """Return a sentence on the ranks that the table of a dataset leaves out, or "" if it has all models."""
    sentence = f"This table has only models with rank {study.lora.rank} of the adapters; the comparison of models has all ranks."
    return sentence if has_other_ranks(study, dataset) else ""


def _note_on_training(study: Study, dataset: str) -> str:
    """Return a sentence that says on what the models were trained, or "" if that is the dataset that they are tested on."""
    trained = {cell.dataset for cell in cells_of(study) if dataset in evaluated_on(study, cell.dataset)} - {dataset}
    listed = ", ".join(titles_of(study)[name] for name in study.datasets if name in trained)
    return f"These models were trained on {listed}, and are only tested here." if listed else ""


def _note_on_split(study: Study, dataset: str) -> str:
    """Return a sentence that warns of frames of one video in both splits, or "" if the split rule keeps them together."""
    leaks = split_rule(study, dataset) == "random_by_activity"
    return "Frames of one video can be in training and in test, so a new video may get lower scores." if leaks else ""


def _note_on_references(scores: pd.DataFrame) -> str:
    """Return a text that explains the rows of references, or "" if the table has none."""
    rows = [names.REFERENCES[a] for backbone, a, _ in scores.index if backbone == names.REFERENCE_BACKBONE]
    meanings = " ".join(f"{row}: {names.MEANINGS_OF_REFERENCES[row]}." for row in rows)
    return f"Rows named Reference are simple predictions without a trained model. {meanings}" if rows else ""


def _note(study: Study) -> str:
    size = study.input_size
    if study.protocol == AUTHORS_CODE:
        return AUTHORS_CODE_NOTE
    return (
        "Means are over the classes that occur in the test split; means called fg leave out the background. Distances are in pixels of "
        f"{size}x{size} images; if only the true or only the predicted mask of an image has a class, the distance of this class is the "
        f"diagonal, {size * 2**0.5:.0f} pixels. SSIM is high for an empty mask too. Lower is better for distances and ECE. A dash: the "
        "model does not solve this task, or there is nothing to measure."
    )


_ABLATION_NOTE = (
    "yes: DINOv2 replaces ResNet, TESLA replaces MMoE, or SMA precedes DINOv2. All models are trained with DB-MTL."
)
_ALL_RANKS = "This comparison has models with all ranks of the adapters. The table of each dataset has only one rank."
_COMPARISON_NOTE = (
    "To best: the paired difference from the best model of the dataset. Place: the place among the models, 1 is the best. Their intervals "
    "take into account that another model may truly be the best. No model is better than the best one, so no interval of a "
    "difference goes beyond 0. If an interval contains 0, this model may be the best. Where lower is better, as in HD95, positive "
    "differences are worse."
)


def _note_on_incomplete_ablations(study: Study) -> str:
    """Return a sentence that names the datasets with cells that the ablation leaves out, or "" if there are none."""
    trained = {cell.dataset for cell in cells_of(study)}
    left_out = [titles_of(study)[d] for d in study.datasets if d in trained and not ablation_cells(study, d)]
    return f"Left out, because the study lacks some of the six models: {'; '.join(left_out)}." if left_out else ""


def _key(cell: Cell) -> tuple[str, str, str, str, int]:
    return cell.dataset, cell.backbone, cell.architecture, cell.weighting, cell.rank


def _ablation_rows(study: Study) -> list[tables.Row]:
    """Return the rows of table V. "yes" stands for DINOv2 instead of ResNet, TESLA instead of MMoE, and SMA before the backbone."""
    rows = []
    for dataset in study.datasets:
        for (backbone, architecture), cell in ablation_cells(study, dataset).items():
            parts = (backbone != "resnet", architecture == "tesla", backbone == "endoarss")
            labels = (titles_of(study)[dataset], *("yes" if used else "no" for used in parts))
            rows.append(tables.Row(labels, *_key(cell)))
    return rows


def _rank_rows(study: Study) -> list[tables.Row]:
    labels, rows = model_labels(study), []
    for dataset in study.datasets:
        for by_rank in cells_by_rank(study, dataset):
            for rank, cell in by_rank.items():
                model = labels.model(cell.backbone, cell.architecture, cell.weighting)
                rows.append(tables.Row((titles_of(study)[dataset], model, str(rank)), *_key(cell)))
    return rows
