"""Makes the tables that compare a study with the scores and the claims of the paper."""

from __future__ import annotations

import pandas as pd

from endoarss.metrics import AUTHORS_CODE
from pipeline.evaluation.collect_results import gather_scores
from pipeline.reporting.captions import AUTHORS_CODE_NOTE, gap_note, has_other_ranks
from pipeline.reporting.models import asked_for_claims, notes_of_intervals, scores_for_claims
from pipeline.reporting.report_table import ReportTable
from pipeline.reporting.robustness import field_of_view_note
from pipeline.results.paths import evaluated_datasets, tables_against_paper
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of
from pipeline.study.conditions import training_corruptions
from pipeline.study.datasets import evaluated_on, split_rule, titles_of
from pipeline.study.labels import model_labels
from pipeline.study.models import Study
from pipeline.study.paper_cells import PaperNames, stand_ins
from pipeline.study.robust_models import robustness_cells
from reports import names
from reports.paper_numbers import paper_ablation, paper_ranks
from reports.results import comparable_rows
from reports.statistics.claims import test_claims
from reports.statistics.variation import MIN_SEEDS, MIN_SEQUENCES
from reports.tables.against_paper import (
    ComparedWithPaper,
    ablation_against_paper,
    ranks_against_paper,
    robustness_against_paper,
    scores_against_paper,
)
from reports.tables.comparison import readable_claims, table_claims


def tables_with_paper_numbers(results: StudyResults) -> dict[str, ReportTable]:
    """Return tables II to VII with this study's scores, the paper's scores and their differences, and the table of claims."""
    study = results.study
    expected_tables = set(tables_against_paper(study))
    paper = PaperNames(study)
    table = in_paper_names(paper, _compared_scores(results) if expected_tables else results.compared_table)
    labels = labels_of_paper(study, paper)
    found: dict[str, ComparedWithPaper] = {
        names.table_of_dataset(dataset): scores_against_paper(
            table, dataset, study.lora.rank, labels, _tested_models(study, paper, dataset)
        )
        for dataset in evaluated_datasets(study)
        if names.against_paper(names.table_of_dataset(dataset)) in expected_tables
    }
    if names.against_paper(names.TABLE_ABLATION) in expected_tables:
        tested = {(c.dataset, *paper.of(c)) for c in cells_of(study) if c.rank == study.lora.rank}
        found[names.TABLE_ABLATION] = ablation_against_paper(table, study.lora.rank, labels, tested)
    if names.against_paper(names.TABLE_RANK) in expected_tables:
        found[names.TABLE_RANK] = ranks_against_paper(
            table, labels, {key for key in map(paper.ranked, cells_of(study)) if key}
        )
    if names.against_paper(names.TABLE_ROBUSTNESS) in expected_tables:
        found[names.TABLE_ROBUSTNESS] = robustness_against_paper(
            table, study.lora.rank, labels, {paper.of(cell) for cell in cells_of_paper_robustness(study)}
        )
    titles = {
        names.table_of_dataset(d): f"Results on {titles_of(study)[d]}" for d in evaluated_datasets(study)
    } | _TITLES
    shown = {
        names.against_paper(name): ReportTable(
            f"{titles[name]} compared with the paper's Table {names.PAPER_TABLES[name]}",
            compared.data,
            compared.shown,
            note=" ".join(f"{_note(study, name)} {compared.note} {_gaps(results, name)}".split()),
            protocol=AUTHORS_CODE,
        )
        for name, compared in found.items()
    }
    claims, intervals = _tested_claims(results)
    gaps = gap_note(study, {**results.missing_robustness, **results.missing_cells})
    tests = claims["p_adjusted"].count()
    notes = [_CLAIMS_NOTE.format(tests=tests), _note_on_ranks(study), stand_ins(study), intervals, gaps]
    return shown | {
        names.TABLE_CLAIMS: ReportTable(
            "The paper's claims, and what these results say about them",
            table_claims(claims),
            readable_claims(claims),
            note=" ".join(filter(None, notes)),
            protocol="standard",
        )
    }


def cells_of_paper_robustness(study: Study) -> list[Cell]:
    """Return the cells that the paper's table of robustness is compared with."""
    return [cell for cell in robustness_cells(study) if cell.dataset == names.PAPER_ROBUSTNESS]


def _compared_scores(results: StudyResults) -> pd.DataFrame:
    """Return the long table in the protocol of the authors' code, with the rows that are compared with the paper."""
    robust = [cell for cell in cells_of_paper_robustness(results.study) if cell not in results.missing_robustness]
    return comparable_rows(
        gather_scores(results, AUTHORS_CODE, results.present_cells, robust), results.study.training.select_on
    )


def _tested_claims(results: StudyResults) -> tuple[pd.DataFrame, str]:
    """Return the paper's claims on every dataset, as `test_claims` returns them, and a text on the intervals."""
    study, titles = results.study, titles_of(results.study)
    found = {dataset: scores_for_claims(results, dataset) for dataset in evaluated_datasets(study)}
    clean = {dataset: varied for dataset, (_, varied) in found.items() if varied is not None}
    claims = test_claims(
        {dataset: found[dataset][0] for dataset in clean},
        {dataset: asked_for_claims(study, dataset) for dataset in evaluated_datasets(study)},
        study.lora.rank,
        titles,
        {dataset: varied.interval_over for dataset, varied in clean.items()},
        [dataset for dataset, varied in clean.items() if varied.sequences_known],
    )
    return claims, notes_of_intervals(results)


def in_paper_names(paper: PaperNames, table: pd.DataFrame) -> pd.DataFrame:
    """Return the long table with the paper's names of backbones, architectures and weightings instead of the study's."""
    columns = {"backbone": paper.backbones, "architecture": paper.architectures, "weighting": paper.weightings}
    return table.assign(**{name: table[name].replace(of_paper) for name, of_paper in columns.items()})


def labels_of_paper(study: Study, paper: PaperNames) -> names.Labels:
    """Return the study's labels, by the paper's names of backbones, architectures and weightings."""
    labels = model_labels(study)
    return names.Labels(
        {kind: labels.backbone(name) for name, kind in paper.backbones.items()},
        {**labels.architectures} | {kind: labels.architecture(name) for name, kind in paper.architectures.items()},
        {**labels.weightings} | {kind: labels.weighting(name) for name, kind in paper.weightings.items()},
    )


def _tested_models(study: Study, paper: PaperNames, dataset: str) -> set[tuple[str, str, str]]:
    """Return the paper's names of the models that the study tests on a dataset."""
    cells = (c for c in cells_of(study) if dataset in evaluated_on(study, c.dataset) and c.rank == study.lora.rank)
    return {paper.of(cell) for cell in cells}


def _gaps(results: StudyResults, name: str) -> str:
    """Return a text on the cells of the paper that a table lacks, with the reasons."""
    study = results.study
    if name == names.TABLE_ROBUSTNESS:
        return gap_note(
            study,
            {c: reason for c, reason in results.missing_robustness.items() if c.dataset == names.PAPER_ROBUSTNESS},
        )
    return gap_note(study, results.gaps(_cells_of(study, name)))


def _cells_of(study: Study, name: str) -> list[Cell]:
    """Return the cells of a table that the paper's table has as well."""
    cells, paper = cells_of(study), PaperNames(study)
    if name == names.TABLE_ABLATION:
        printed = set(paper_ablation().index)
        return [c for c in cells if (c.dataset, *paper.of(c)) in printed]
    if name == names.TABLE_RANK:
        ranks = {(dataset, int(rank), weighting) for dataset, rank, weighting in paper_ranks().index}
        return [c for c in cells if paper.ranked(c) in ranks]
    return [c for c in cells if any(name == names.table_of_dataset(d) for d in evaluated_on(study, c.dataset))]


def _note(study: Study, name: str) -> str:
    """Return the note of a table: where our scores come from, how they are computed, and how our data differs from the paper's."""
    source = (
        "Our scores come from SYNTHETIC data and say nothing about the paper's."
        if study.synthetic
        else "Our scores are this study's."
    )
    spread = " ±: the spread over activities, as in the paper." if name == names.TABLE_ABLATION else ""
    if name in (names.TABLE_ABLATION, names.TABLE_RANK):
        datasets = {cell.dataset for cell in _cells_of(study, name)}
    else:
        datasets = {d for d in evaluated_datasets(study) if name == names.table_of_dataset(d)}
        datasets |= {names.PAPER_ROBUSTNESS} if name == names.TABLE_ROBUSTNESS else set()
    used = [dataset for dataset in evaluated_datasets(study) if dataset in datasets]
    rules = dict.fromkeys(names.in_words(split_rule(study, dataset)) for dataset in used)
    split = f"Our split: {', '.join(rules)}." if rules else ""
    differences = _unlike_paper(study) if name == names.TABLE_ROBUSTNESS else ""
    # Table VII has no HD and no SSIM.
    definitions = (
        "AC and mIoU are computed as in the authors' code." if name == names.TABLE_ROBUSTNESS else AUTHORS_CODE_NOTE
    )
    replaced = stand_ins(study, *_BACKBONES.get(name, ()))
    return f"{source} {replaced} {definitions} {split}{spread} {differences}"


def _note_on_ranks(study: Study) -> str:
    """Return a sentence on the models that take part in claims if the study has several ranks of the adapters, otherwise ""."""
    return f"Only models of rank {study.lora.rank} take part, except in the claim about ranks." * has_other_ranks(study)


def _unlike_paper(study: Study) -> str:
    """Return a text on differences between the study's corruptions and the paper's."""
    in_training = training_corruptions(study)
    sentence = f"Our training images were corrupted by {', '.join(in_training.names)}." if in_training else ""
    return f"{field_of_view_note(study)} {sentence}"


# The backbones of tables that do not contain all three backbones of the paper.
_BACKBONES = {
    names.TABLE_RANK: (("endoarss",),),
    names.TABLE_ROBUSTNESS: (("resnet", "endoarss"),),
}
_TITLES = {
    names.TABLE_ABLATION: "Ablation of backbone, TESLA and SMA",
    names.TABLE_RANK: "Rank of the adapters",
    names.TABLE_ROBUSTNESS: "Robustness, mean over severities of each corruption,",
}
_CLAIMS_NOTE = (
    "Difference: in percentage points (cosines have no unit). It is the mean over all pairs of models that differ only in what the claim "
    "is about, or the difference between the best models of two groups; the interval of the latter allows for any model of a group to be "
    "the best. Each interval holds for its row alone. p is the p-value of no difference, adjusted by Holm's method for all {tests} tests "
    "of this table. Supported and contradicted need a p below 0.05, "
    f"at least {MIN_SEQUENCES} sequences and {MIN_SEEDS} trainings of each model; at most 5 of 100 studies then have a false verdict. "
    "With fewer trainings, a small p says that these trained models differ, but models trained with other seeds may not. Leans: the sign "
    "of the difference, which is no evidence. With few sequences and trainings most claims stay undecided. In the paper: the same "
    "difference in the paper's tables, whose AC is mean precision (protocol authors_code). Pairs: the "
    'number of compared pairs of models; if it is "1 of 2", the other pair lacks results.'
)
