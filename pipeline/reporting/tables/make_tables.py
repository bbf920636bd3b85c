"""Makes the tables of a study from its saved results. No model runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from endoarss.metrics import AUTHORS_CODE
from pipeline.evaluation.collect_results import SCORES_UNDER_CORRUPTION
from pipeline.io.files import write_text
from pipeline.io.saved_files import read_similarities
from pipeline.reporting.captions import gap_note, partial_note, study_caption
from pipeline.reporting.dataset_cards import card_of
from pipeline.reporting.models import label_of, scored_run
from pipeline.reporting.report_table import ReportTable, write_tables
from pipeline.reporting.robustness import measure_study, missing_baselines, robustness_tables
from pipeline.reporting.tables.cost_table import cost_table
from pipeline.reporting.tables.merging_tables import merging_tables
from pipeline.reporting.tables.paper_tables import cells_of_paper_robustness, tables_with_paper_numbers
from pipeline.reporting.tables.score_tables import (
    comparison_tables,
    label_tables,
    score_tables,
    shown_tables,
)
from pipeline.results.paths import note_file, similarity_file, table_files
from pipeline.results.study_results import Reduction, StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import merging_groups
from pipeline.study.datasets import leakage_datasets, titles_of
from pipeline.study.folders import results_folder
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from pipeline.study.paper_cells import leakage_pairs
from pipeline.study.robust_models import robust_models
from reports import names
from reports.paper_numbers import paper_datasets
from reports.results import of_rank
from reports.statistics.robustness import Robustness
from reports.tables import scores as tables
from reports.tables.comparison import claims_text


def reductions_of_tables(study: Study) -> dict[Reduction[Any], Collection[Cell]]:
    """Return the reductions of robustness rows that the tables need, each with its cells."""
    return {scored_run: robust_models(study), SCORES_UNDER_CORRUPTION[AUTHORS_CODE]: cells_of_paper_robustness(study)}


def make_tables(study: Study, results: StudyResults | None = None) -> None:
    """Write all tables as CSV and LaTeX. If the study is compared with the paper, also write the reproduction note as Markdown.

    Args:
        study: The study.
        results: The results of the study, if they are already loaded.
    """
    results = results or StudyResults(study, reductions_of_tables(study))
    last_columns = {
        "synthetic": study.synthetic,
        "partial": bool(partial_note(study)),
        "select_on": study.training.select_on,
    }
    caption, report = study_caption(results, with_protocol=False), results.once(study_tables)
    folder = results_folder(study) / "tables"
    merging = {
        name: table for name, table in report.items() if name in (names.TABLE_MERGING, names.TABLE_SURGERY_RANKS)
    }
    write_tables({name: table for name, table in report.items() if name not in merging}, folder, caption, last_columns)
    merging_caption = study_caption(results, with_protocol=False, select_on="val")
    write_tables(merging, folder, merging_caption, {**last_columns, "select_on": "val"})
    for path in table_files(study):
        if path.stem not in report:
            path.unlink(missing_ok=True)  # a table of results that no longer exist
    if study.compare_with_paper:
        claims = report[names.TABLE_CLAIMS]
        assert claims.shown is not None
        write_text(note_file(study), claims_text(claims.shown, caption, claims.full_note))
    else:
        note_file(study).unlink(missing_ok=True)  # an earlier version of the study was compared with the paper


def study_tables(results: StudyResults) -> dict[str, ReportTable]:
    """Return all tables of a study by name, in the order of a report."""
    study, _ = results.study, results.table  # raises an error if the results are not collected
    report = {names.TABLE_DATASETS: _dataset_table(study)}
    report |= score_tables(results) | shown_tables(results) | comparison_tables(results)
    robustness = results.once(measure_study)
    if robustness is not None:
        gaps = f"{gap_note(study, results.missing_robustness)} {missing_baselines(results)}".strip()
        report |= robustness_tables(robustness, gaps, _models_without_robustness(results, robustness))
    if merging_groups(study):
        report |= merging_tables(results)
    if study.compare_with_paper:
        report |= tables_with_paper_numbers(results)
    report |= cost_table(results)
    if leakage_datasets(study):
        similar = tables.table_similarity(read_similarities(similarity_file(study)), titles_of(study))
        title = "Similarity of test frames to their nearest training frame"
        report[names.TABLE_SIMILARITY] = ReportTable(
            title, similar, similar.rename(names.in_words, level="Split"), note=_SIMILARITY_NOTE
        )
    if leakage_pairs(study):
        report[names.TABLE_LEAKAGE] = _leakage_table(results)
    return report | label_tables(results)


def _dataset_table(study: Study) -> ReportTable:
    cards = [card_of(study, dataset) for dataset in study.datasets]
    datasets = tables.table_datasets(cards)
    if not study.compare_with_paper:
        return ReportTable("Datasets", datasets, datasets, note=_CLASSES_NOTE)
    compared = tables.datasets_against_paper(datasets, [card["name"] for card in cards], paper_datasets())
    return ReportTable(
        "Datasets, compared with the paper's Table I", compared, compared, note=f"{_CLASSES_NOTE} {_PAPER_NOTE}"
    )


def _models_without_robustness(results: StudyResults, robustness: Robustness) -> list[tuple[str, str]]:
    """Return the dataset and the label of each model without robustness."""
    measured = set(robustness.conditions[["dataset", "model"]].itertuples(index=False, name=None))
    study = results.study
    missing = [(titles_of(study)[cell.dataset], label_of(study, cell)) for cell in results.missing_robustness]
    return [model for model in dict.fromkeys(missing) if model not in measured]


def _leakage_table(results: StudyResults) -> ReportTable:
    study, pairs = results.study, leakage_pairs(results.study)
    at_random, by_sequence = pairs[0]
    labels = model_labels(study)
    gaps = results.gaps(cell for pair in pairs for cell in pair)
    keys = [(labels.backbone(cell.backbone), cell.architecture, cell.weighting) for cell in gaps]
    order, of_study = list(labels.backbones.values()), of_rank(results.compared_table, study.lora.rank)
    table = tables.table_leakage(of_study, at_random.dataset, by_sequence.dataset, order, keys)
    title = "Leakage: the same models on the split at random by activity and on the split by sequence"
    note = f"{_LEAKAGE_NOTE} {gap_note(study, gaps)}".strip()
    return ReportTable(title, table, tables.readable_leakage(table, labels), note=note, protocol=study.protocol)


_CLASSES_NOTE = "Classes are counted without the background, and only if they occur in a frame."
_PAPER_NOTE = "The paper's numbers are in columns of their own. Synthetic and partial data differ from them by design."
_SIMILARITY_NOTE = (
    "For each test frame: the highest correlation with a training frame, computed on thumbnails of 32x32 pixels; 1 means that they are "
    "equal. Median, lower quartile and shares are over the test frames."
)
_LEAKAGE_NOTE = (
    "Each model is trained and tested on both splits. Frames of one video in both parts of a split raise its scores (leakage), but the two "
    "splits also have other test images, classes and activities. Means are over the classes that occur in the test split."
)
