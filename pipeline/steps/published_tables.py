"""Tables that set a study beside the paper: its scores, and its claims."""

from __future__ import annotations

import pandas as pd

from pipeline.layout import evaluated_datasets, tables_beside_published
from pipeline.steps.collect_results import gather_results
from pipeline.steps.kept_answers import scores_for_claims
from pipeline.steps.report_table import ReportTable
from pipeline.study import Study
from reports.beside_published import Beside, ablation_beside, ranks_beside, robustness_beside, scores_beside
from reports.claims import weigh_claims
from reports.comparison_tables import readable_claims, table_claims
from reports.names import (
    PAPER_TABLES,
    TABLE_ABLATION,
    TABLE_CLAIMS,
    TABLE_RANK,
    TABLE_ROBUSTNESS,
    beside_published,
    table_of_dataset,
)
from reports.resampling import REPLICATES, note_of_intervals


def published_tables(study: Study, results: pd.DataFrame) -> dict[str, ReportTable]:
    """Tables II to VII as "ours, paper, difference", and the claims.

    Args:
        results: the long table in the study's protocol.
    """
    wanted = set(tables_beside_published(study))
    if study.protocol != "published":
        results = gather_results(study, "published") if wanted else results
    labels = {name: str(backbone["label"]) for name, backbone in study.settings["backbones"].items()}
    found: dict[str, Beside] = {
        table_of_dataset(dataset): scores_beside(results, dataset, study.rank, labels)
        for dataset in evaluated_datasets(study)
        if beside_published(table_of_dataset(dataset)) in wanted
    }
    if beside_published(TABLE_ABLATION) in wanted:
        found[TABLE_ABLATION] = ablation_beside(results, study.rank, labels)
    if beside_published(TABLE_RANK) in wanted:
        cells = [cell for d in study.datasets for cell in study.cells_by_rank(d).values()]
        found[TABLE_RANK] = ranks_beside(
            results, [(c.dataset, c.rank, c.backbone, c.architecture, c.weighting) for c in cells]
        )
    if beside_published(TABLE_ROBUSTNESS) in wanted:
        found[TABLE_ROBUSTNESS] = robustness_beside(results, study.rank, labels)
    about = {table_of_dataset(d): f"Results on {study.titles()[d]}" for d in evaluated_datasets(study)} | _ABOUT
    shown = {
        beside_published(name): ReportTable(
            f"{about[name]} beside the paper's Table {PAPER_TABLES[name]}",
            table.data,
            table.shown,
            note=f"{_note(study, name)} {table.note}".strip(),
            protocol="published",
        )
        for name, table in found.items()
    }
    claims, intervals = reproduction(study)
    return shown | {
        TABLE_CLAIMS: ReportTable(
            "The paper's claims, and what these results say of them",
            table_claims(claims),
            readable_claims(claims),
            note=f"{_CLAIMS} {intervals}",
            protocol="standard",
        )
    }


def reproduction(study: Study) -> tuple[pd.DataFrame, str]:
    """The paper's claims on every dataset, as `weigh_claims` gives them, and what the intervals are over."""
    found = {dataset: scores_for_claims(study, dataset) for dataset in evaluated_datasets(study)}
    known = {dataset: one for dataset, one in found.items() if one[0]}
    titles = study.titles()
    claims = weigh_claims(
        {dataset: scores for dataset, (scores, _) in known.items()},
        study.rank,
        titles,
        {dataset: units for dataset, (_, units) in known.items()},
    )
    return claims, " ".join(note_of_intervals(titles[d], units, REPLICATES) for d, (_, units) in known.items())


def _note(study: Study, name: str) -> str:
    ours = (
        "Ours are of SYNTHETIC data and say nothing of the paper's." if study.synthetic else "Ours are of this study."
    )
    spread = " ±: over classes, as there." if name == TABLE_ABLATION else ""
    return f"{ours} Both are what the released code computes.{spread}"


_ABOUT = {
    TABLE_ABLATION: "Ablation of backbone, TESLA and SMA",
    TABLE_RANK: "Rank of the adapters",
    TABLE_ROBUSTNESS: "Robustness, mean over severities of each corruption,",
}
_CLAIMS = (
    "Differences in percentage points, cosines as they are. Supported: the interval lies above zero; contradicted: "
    "below; else not decided. The best other model is chosen on the same images, which favours it."
)
