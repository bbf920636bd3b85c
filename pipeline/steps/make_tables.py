"""Tables of a study, from its kept results: no model runs for them."""

from __future__ import annotations

from pipeline.datasets.card import read_card
from pipeline.files import read_json, write_text
from pipeline.layout import note_file, results_file, similarity_file
from pipeline.marks import partial_note, study_mark
from pipeline.missing import missing_robustness
from pipeline.steps.cost_table import cost_table
from pipeline.steps.published_tables import published_tables, reproduction
from pipeline.steps.report_robustness import measure_study, robustness_tables
from pipeline.steps.report_table import ReportTable, write_tables
from pipeline.steps.score_tables import chosen_tables, comparison_tables, gap_note, label_tables, score_tables
from pipeline.study import Study
from reports import tables
from reports.comparison_tables import claims_text
from reports.names import TABLE_DATASETS, TABLE_LEAKAGE, TABLE_SIMILARITY
from reports.published import published_datasets
from reports.results import of_rank, read_results


def make_tables(study: Study) -> None:
    """Write all tables as CSV and LaTeX, and the reproduction note as Markdown."""
    marks = {
        "synthetic": study.synthetic,
        "partial": bool(partial_note(study)),
        "select_on": study.settings["training"]["select_on"],
    }
    mark = study_mark(study, with_protocol=False)
    write_tables(study_tables(study), study.results / "tables", mark, marks)
    claims, intervals = reproduction(study)
    write_text(note_file(study), claims_text(claims, mark, intervals))


def study_tables(study: Study) -> dict[str, ReportTable]:
    """All tables of a study by name, in the order of a report."""
    results = read_results(results_file(study))
    found = {TABLE_DATASETS: _datasets(study)}
    found |= score_tables(study, results) | chosen_tables(study, results) | comparison_tables(study)
    robustness = measure_study(study) if study.robustness_cells() else None
    if robustness is not None:
        found |= robustness_tables(robustness, gap_note(study, missing_robustness(study)))
    found |= published_tables(study, results)
    found |= cost_table(study)
    if study.leakage_datasets():
        similar = tables.table_similarity(read_json(similarity_file(study)), study.titles())
        title = "Similarity of test frames to their nearest training frame"
        found[TABLE_SIMILARITY] = ReportTable(title, similar, similar, note=_SIMILARITY)
    if study.leakage_pairs():
        (published, by_sequence) = study.leakage_pairs()[0]
        order = [backbone["label"] for backbone in study.settings["backbones"].values()]
        of_study = of_rank(results, study.rank)
        leakage = tables.table_leakage(of_study, published.dataset, by_sequence.dataset, order)
        title = "Leakage: the same models on the published split and by sequence"
        found[TABLE_LEAKAGE] = ReportTable(
            title, leakage, tables.readable_leakage(leakage), note=_LEAKAGE, protocol=study.protocol
        )
    return found | label_tables(study, results)


def _datasets(study: Study) -> ReportTable:
    cards = [read_card(study.dataset_folder(dataset)) for dataset in study.datasets]
    datasets = tables.table_datasets(cards, published_datasets())
    return ReportTable("Datasets, and the paper's Table I beside them", datasets, datasets, note=_BESIDE)


_BESIDE = (
    "Figures of the paper stand in columns of their own; what is synthetic or partial differs from them by design."
)
_SIMILARITY = "Correlation of 32x32 RGB thumbnails; 1 is the same picture."
_LEAKAGE = "Each model is trained and tested twice; means are over the classes that the respective test part holds."
