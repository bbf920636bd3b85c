"""Makes the tables that compare a study's scores with the paper's. Both use the protocol "authors_code", so they measure the same."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import ACCURACY_SPREAD, MAIN, MIOU_SPREAD, Shown, metrics_by_name, shown_metrics
from endoarss.metrics.protocol import AUTHORS_CODE
from reports.names import (
    PAPER_ROBUST_MODELS,
    PAPER_ROBUSTNESS,
    Labels,
    corruption_in_words,
)
from reports.paper_numbers import (
    DATASETS,
    KEY,
    paper_ablation,
    paper_ranks,
    paper_robustness,
    paper_scores,
)
from reports.results import clean_scores, of_rank

_MEASURES = metrics_by_name(AUTHORS_CODE)
HEADS = {name: metric.head for name, metric in shown_metrics(Shown.TABLES, AUTHORS_CODE).items()}
SPREADS = {name: _MEASURES[name].title for name in (ACCURACY_SPREAD, MIOU_SPREAD)}
_SCALE = {name: _MEASURES[name].scale for name in (*HEADS, *SPREADS)}


@dataclass(frozen=True)
class ComparedWithPaper:
    """A table with the study's scores, the paper's scores, and the differences (study minus paper).

    Attributes:
        data: Every row of the paper's table, with the columns <metric>_ours, <metric>_paper and <metric>_difference.
        shown: The rows that readers see, with the columns (head, "ours" | "paper" | "difference"): those that the study has cells for,
            or all rows if the study has none of the cells.
        note: Sentences that say which of the paper's rows the table shows; "" if there is nothing to say.
    """

    data: pd.DataFrame
    shown: pd.DataFrame
    note: str


def scores_against_paper(
    results: pd.DataFrame, dataset: str, rank: int, labels: Labels, cells: Collection[tuple[str, str, str]]
) -> ComparedWithPaper:
    """Return Table II, III or IV of the study compared with that of the paper.

    Args:
        results: The long table in the protocol "authors_code". Backbones, architectures and weightings have the paper's names.
        dataset: Key of the dataset.
        rank: Rank of the study's adapters.
        labels: Labels by the paper's names.
        cells: Backbone, architecture and weighting of each cell of the study, with or without results.

    Raises:
        KeyError: If the paper has no table of the dataset.
    """
    paper = paper_scores(dataset)
    if paper is None:
        raise KeyError(dataset)
    ours = _wide(clean_scores(of_rank(results, rank), dataset), KEY)
    table = _with_paper(ours, paper, list(HEADS))
    in_study = [key in cells for key in table.index]
    table.index = pd.MultiIndex.from_tuples(
        [(labels.backbone(b), labels.architecture(a), _weighting(labels, a, w)) for b, a, w in table.index],
        names=["Backbone", "Architecture", "Weighting"],
    )
    return _compared(table, in_study)


def ablation_against_paper(
    results: pd.DataFrame, rank: int, labels: Labels, cells: Collection[tuple[str, str, str, str]]
) -> ComparedWithPaper:
    """Return Table V of the study compared with that of the paper. The ± of both is the spread over activities, not over seeds.

    The arguments are those of `scores_against_paper`, but each item of `cells` begins with the dataset.
    """
    rows = of_rank(results, rank)
    ours = _wide(_clean(rows[rows["eval_dataset"] == rows["dataset"]]), ["dataset", *KEY])
    table = _with_paper(ours, paper_ablation(), [*HEADS, *SPREADS])
    in_study = [key in cells for key in table.index]
    table.index = pd.MultiIndex.from_tuples(
        [(DATASETS[d], labels.backbone(b), labels.architecture(a), labels.weighting(w)) for d, b, a, w in table.index],
        names=["Dataset", "Backbone", "Architecture", "Weighting"],
    )
    return _compared(table, in_study)


def ranks_against_paper(
    results: pd.DataFrame, labels: Labels, cells: Collection[tuple[str, int, str]]
) -> ComparedWithPaper:
    """Return Table VI of the study compared with that of the paper, for EndoARSS with TESLA.

    Args:
        results: As for `scores_against_paper`.
        labels: As for `scores_against_paper`.
        cells: Dataset, rank and weighting of each EndoARSS TESLA cell of the study, with or without results.
    """
    tables = []
    for dataset, rank, weighting in cells:
        rows = _clean(of_rank(results, rank))
        keys = ["dataset", "eval_dataset", *KEY]
        rows = rows[(rows[keys] == [dataset, dataset, "endoarss", "tesla", weighting]).all(axis=1)]
        tables.append(rows.assign(rank=rank))
    ours = _wide(pd.concat(tables), ["dataset", "rank", "weighting"])
    table = _with_paper(ours, paper_ranks(), list(HEADS))
    in_study = [(dataset, int(rank), weighting) in cells for dataset, rank, weighting in table.index]
    table.index = pd.MultiIndex.from_tuples(
        [(DATASETS[dataset], labels.weighting(weighting), str(rank)) for dataset, rank, weighting in table.index],
        names=["Dataset", "Weighting", "Rank"],
    )
    return _compared(table, in_study)


def robustness_against_paper(
    results: pd.DataFrame, rank: int, labels: Labels, cells: Collection[tuple[str, str, str]]
) -> ComparedWithPaper:
    """Return Table VII of the study compared with that of the paper: the mean over severities of each corruption, and the mean of these.

    The arguments are those of `scores_against_paper`. `cells` are those whose robustness the study evaluates.
    """
    rows = of_rank(results, rank)
    rows = rows[(rows[["dataset", "eval_dataset"]] == PAPER_ROBUSTNESS).all(axis=1)]
    rows = rows[(rows["corruption"] != "") & rows["mask_warped"].astype(bool) & (rows["class"] == "")]
    ours = 100 * rows.groupby(["corruption", "metric", *KEY])["value"].mean().unstack([1, 2, 3, 4])
    paper = paper_robustness()
    corruptions = paper.drop(index="mean").index
    # The paper prints the mean over all nineteen corruptions. If the study has fewer, both means are over the corruptions of the study.
    applied = [name for name in corruptions if name in ours.index] or list(corruptions)
    mean = paper.loc["mean"] if len(applied) == len(corruptions) else paper.loc[applied].mean()
    columns: dict[tuple[str, str], pd.Series] = {}
    heads = {}
    for metric, model in product(MAIN, PAPER_ROBUST_MODELS):
        backbone, architecture, _ = model
        name = f"{metric}_{backbone}_{architecture}"
        heads[name] = f"{HEADS[metric]}, {labels.backbone(backbone)} {labels.architecture(architecture)}"
        own = ours.get((metric, *model), pd.Series(np.nan, applied)).reindex(applied)
        printed = paper.loc[applied, (metric, *model)]
        with_means = (
            pd.concat([own, pd.Series({"mean": own.mean()})]),
            pd.concat([printed, mean[[(metric, *model)]].set_axis(["mean"])]),
        )
        columns |= dict(_with_difference(name, *with_means))
    table = pd.DataFrame(columns).rename_axis("Corruption")
    severities = sorted({int(severity) for severity in rows["severity"]})
    shown = f"The table shows {len(applied)} of the paper's {len(corruptions)} corruptions."
    at = f"Our scores are means over the severities {', '.join(map(str, severities))}."
    lacking = [labels.model(*model) for model in PAPER_ROBUST_MODELS if model not in cells]
    dashes = (
        f"Dashes: this study does not evaluate {', '.join(lacking)} under corruptions, but the paper does."
        if lacking
        else ""
    )
    note = f"{shown} {at if severities else 'We have no scores.'} {dashes}".strip()
    shown_table = _with_heads(table.rename(index=corruption_in_words), heads)
    return ComparedWithPaper(_flat(table), shown_table, note)


def _clean(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[(rows["corruption"] == "") & (rows["class"] == "")]


def _wide(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return one row per model with means over seeds, as in the paper."""
    rows = rows[rows["metric"].isin(list(_SCALE))]
    wide = rows.groupby([*keys, "metric"], sort=False)["value"].mean().unstack("metric")
    return wide.mul([_SCALE[metric] for metric in wide.columns], axis=1)


def _with_paper(ours: pd.DataFrame, paper: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the paper's rows, each with the score of the study, NaN if the study has none, and the difference."""
    columns: dict[tuple[str, str], pd.Series] = {}
    for metric in metrics:
        if metric in paper:
            own = ours[metric].reindex(paper.index) if metric in ours else pd.Series(np.nan, paper.index)
            columns |= dict(_with_difference(metric, own, paper[metric]))
    return pd.DataFrame(columns)


def _with_difference(metric: str, ours: pd.Series, paper: pd.Series) -> Iterator[tuple[tuple[str, str], pd.Series]]:
    yield (metric, "ours"), ours
    yield (metric, "paper"), paper
    yield (metric, "difference"), ours - paper


def _flat(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_axis([f"{metric}_{whose}" for metric, whose in table.columns], axis=1)


def _with_heads(table: pd.DataFrame, heads: Mapping[str, str]) -> pd.DataFrame:
    return table.set_axis(pd.MultiIndex.from_tuples([(heads[m], whose) for m, whose in table.columns]), axis=1)


def _weighting(labels: Labels, architecture: str, weighting: str) -> str:
    return "-" if architecture.startswith("single_") else labels.weighting(weighting)


def _compared(table: pd.DataFrame, in_study: list[bool]) -> ComparedWithPaper:
    """Return all rows as data, and show the rows that the study has cells for, or all rows if it has none of the cells."""
    if not any(in_study):
        note = "The study has none of the paper's cells."
        return ComparedWithPaper(_flat(table), _with_heads(table, HEADS | SPREADS), note)
    lacking = in_study.count(False)
    without = "are not compared, because this study has no cell with the same model and weighting; the CSV lists them."
    notes = [f"{lacking} of the paper's {len(table)} rows {without}"] * bool(lacking)
    if "Dataset" in table.index.names:
        notes.append(_note_on_weightings(table))
    return ComparedWithPaper(_flat(table), _with_heads(table[in_study], HEADS | SPREADS), " ".join(notes))


def _note_on_weightings(table: pd.DataFrame) -> str:
    """Return a sentence that names the paper's weightings on each dataset, because cells with other weightings are not compared."""
    pairs = table.index.to_frame(index=False).groupby("Dataset", sort=False)["Weighting"].unique()
    by_dataset = [f"{' or '.join(weightings)} on {dataset}" for dataset, weightings in pairs.items()]
    return f"Only cells with the paper's weighting are compared: {', '.join(by_dataset)}."
