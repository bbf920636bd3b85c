"""Tables of a study, from its kept results: no model runs for them."""

from __future__ import annotations

import pandas as pd

from pipeline.datasets.card import read_card
from pipeline.io.files import write_text
from pipeline.io.saved_files import read_similarities
from pipeline.reporting.captions import partial_note, study_mark
from pipeline.reporting.merging import merging_tables
from pipeline.reporting.models import label_of
from pipeline.reporting.report_table import ReportTable, write_tables
from pipeline.reporting.robustness import measure_study, missing_baselines, robustness_tables
from pipeline.reporting.tables.cost_table import cost_table
from pipeline.reporting.tables.paper_tables import published_tables
from pipeline.reporting.tables.score_tables import (
    chosen_tables,
    comparison_tables,
    gap_note,
    label_tables,
    score_tables,
)
from pipeline.results.cell_state import missing_cells, missing_robustness
from pipeline.results.paths import note_file, results_file, similarity_file, table_files
from pipeline.study.study import Study
from reports.names import (
    TABLE_CLAIMS,
    TABLE_DATASETS,
    TABLE_LEAKAGE,
    TABLE_MERGING,
    TABLE_SIMILARITY,
    TABLE_SURGERY_RANKS,
)
from reports.published import published_datasets
from reports.results import of_rank, read_results, set_beside
from reports.statistics.robustness import Robustness
from reports.tables import scores as tables
from reports.tables.comparison import claims_text


def make_tables(study: Study) -> dict[str, ReportTable]:
    """Write all tables as CSV and LaTeX, and the reproduction note as Markdown.

    Returns:
        The tables, as `study_tables`.
    """
    marks = {
        "synthetic": study.synthetic,
        "partial": bool(partial_note(study)),
        "select_on": study.select_on,
    }
    mark, found, folder = study_mark(study, with_protocol=False), study_tables(study), study.results / "tables"
    merging = {name: table for name, table in found.items() if name in (TABLE_MERGING, TABLE_SURGERY_RANKS)}
    write_tables({name: table for name, table in found.items() if name not in merging}, folder, mark, marks)
    validated = study_mark(study, with_protocol=False, select_on="val")
    write_tables(merging, folder, validated, {**marks, "select_on": "val"})
    for path in table_files(study):
        if path.stem not in found:
            path.unlink(missing_ok=True)  # of results that are gone
    claims = found[TABLE_CLAIMS]
    assert claims.shown is not None
    write_text(note_file(study), claims_text(claims.shown, mark, claims.said))
    return found


def study_tables(study: Study) -> dict[str, ReportTable]:
    """All tables of a study by name, in the order of a report."""
    everything = read_results(results_file(study), study.name, study.protocol)
    results = set_beside(everything, study.select_on)
    found = {TABLE_DATASETS: _datasets(study)}
    found |= score_tables(study, results) | chosen_tables(study, results) | comparison_tables(study)
    robustness = measure_study(study) if study.robustness_cells() else None
    if robustness is not None:
        gaps = f"{gap_note(study, missing_robustness(study))} {missing_baselines(study)}".strip()
        found |= robustness_tables(robustness, gaps, _lacking(study, robustness))
    if study.merging_groups():
        found |= merging_tables(study, everything)
    found |= published_tables(study, results)
    found |= cost_table(study)
    if study.leakage_datasets():
        similar = tables.table_similarity(read_similarities(similarity_file(study)), study.titles())
        title = "Similarity of test frames to their nearest training frame"
        found[TABLE_SIMILARITY] = ReportTable(title, similar, similar, note=_SIMILARITY)
    if study.leakage_pairs():
        found[TABLE_LEAKAGE] = _leakage(study, results)
    return found | label_tables(study, results)


def _lacking(study: Study, found: Robustness) -> list[tuple[str, str]]:
    """Dataset and model of those whose robustness has no results."""
    there = set(found.conditions[["dataset", "model"]].itertuples(index=False, name=None))
    lacking = [(study.titles()[cell.dataset], label_of(study, cell)) for cell in missing_robustness(study)]
    return [model for model in dict.fromkeys(lacking) if model not in there]


def _leakage(study: Study, results: pd.DataFrame) -> ReportTable:
    pairs, lacking = study.leakage_pairs(), missing_cells(study)
    published, by_sequence = pairs[0]
    labels = {name: str(backbone["label"]) for name, backbone in study.settings["backbones"].items()}
    gaps = {cell: lacking[cell] for pair in pairs for cell in pair if cell in lacking}
    keys = [(labels[cell.backbone], cell.architecture, cell.weighting) for cell in gaps]
    order, of_study = list(labels.values()), of_rank(results, study.rank)
    table = tables.table_leakage(of_study, published.dataset, by_sequence.dataset, order, keys)
    title = "Leakage: the same models on the published split and by sequence"
    note = f"{_LEAKAGE} {gap_note(study, gaps)}".strip()
    return ReportTable(title, table, tables.readable_leakage(table), note=note, protocol=study.protocol)


def _datasets(study: Study) -> ReportTable:
    cards = [read_card(study.dataset_folder(dataset)) for dataset in study.datasets]
    datasets = tables.table_datasets(cards, published_datasets())
    return ReportTable("Datasets, and the paper's Table I beside them", datasets, datasets, note=_BESIDE)


_BESIDE = (
    "Figures of the paper stand in columns of their own; what is synthetic or partial differs from them by design."
)
_SIMILARITY = "Correlation of 32x32 RGB thumbnails; 1 is the same picture."
_LEAKAGE = "Each model is trained and tested twice; means are over the classes that the respective test part holds."
