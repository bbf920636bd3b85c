"""Makes the tables of `reports.statistics.comparison` and of the paper's claims: as data, and as readers see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from endoarss.metrics.catalogue import PERCENT, Shown, metrics_by_name, shown_metrics
from reports.statistics.brackets import ANY, POSITIVE, SHARE, SHARE_DIFFERENCE, with_brackets, with_sequences
from reports.statistics.claim_scores import COSINE
from reports.statistics.claims import NOT_TESTED

_NUMBERS = ("value", "low", "high", "to_best", "to_best_low", "to_best_high", "difference")


def table_comparison(scores: pd.DataFrame) -> pd.DataFrame:
    """Return every score with its interval, place and difference to the best model, in percent or pixels.

    Args:
        scores: The scores of a `Comparison`.
    """
    return _scaled(scores).set_index(["dataset", "metric", "model"])


def table_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the difference between the models of each pair in every metric, in percentage points or pixels.

    Args:
        pairs: The pairs of a `Comparison`.
    """
    return _scaled(pairs).set_index(["dataset", "metric", "model", "other"])


def _scaled(table: pd.DataFrame) -> pd.DataFrame:
    table = table.copy()
    metrics = metrics_by_name()
    scale = table["metric"].map({name: metric.scale for name, metric in metrics.items()})
    for column in _NUMBERS:
        if column in table:
            table[column] = table[column] * scale
    table["unit"] = table["metric"].map({name: metric.unit for name, metric in metrics.items()})
    return table


def readable_comparison(scores: pd.DataFrame, gaps: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """Return one row per model: score, difference to the best model, and place in each main metric, with intervals.

    The head says place, because the rank of the adapters is in the names of models. A model that is not compared with others in a metric
    has no difference and no place.

    Args:
        scores: The scores of a `Comparison`.
        gaps: The title of the dataset and the label of each model without results. Its row has dashes.
    """
    rows: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    table, metrics = _scaled(scores), shown_metrics(Shown.PRINTED)
    interval_over = dict(zip(table["dataset"], table["interval_over"], strict=True))
    rivals = table.groupby(["dataset", "metric"])["model"].transform("size") > 1
    for row in table[table["metric"].isin(list(metrics))].assign(has_rivals=rivals).to_dict("records"):
        cells = rows.setdefault((row["dataset"], row["model"]), {})
        head, is_share = metrics[row["metric"]].head, metrics[row["metric"]].unit == PERCENT
        cells[head, "score"] = with_brackets(
            row["value"], row["low"], row["high"], limits=SHARE if is_share else POSITIVE
        )
        if not row["has_rivals"]:
            continue
        limits = SHARE_DIFFERENCE if is_share else ANY
        to_best = with_brackets(row["to_best"], row["to_best_low"], row["to_best_high"], sign="+", limits=limits)
        cells[head, "to best"] = "best" if row["model"] == row["best"] else to_best
        cells[head, "place"] = with_brackets(row["rank"], row["rank_low"], row["rank_high"], digits=0)
    for gap in gaps:
        rows.setdefault(gap, {})
    datasets = list(dict.fromkeys(dataset for dataset, _ in rows))
    rows = dict(sorted(rows.items(), key=lambda row: datasets.index(row[0][0])))
    keys = [(with_sequences(dataset, interval_over), model) for dataset, model in rows]
    index = pd.MultiIndex.from_tuples(keys, names=["Dataset", "Model"])
    columns = pd.MultiIndex.from_tuples(
        [(metric.head, kind) for metric in metrics.values() for kind in ("score", "to best", "place")]
    )
    shown = pd.DataFrame(list(rows.values()), index=index).reindex(columns=columns)
    return shown.dropna(axis=1, how="all").fillna("-")


def table_claims(claims: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's claims with differences in percentage points; differences of cosines have no unit.

    Args:
        claims: The table that `test_claims` returns.
    """
    table = claims.copy()
    scale = table["metric"].map(_scale_of_claim)
    for column in ("difference", "low", "high", "paper"):
        table[column] = table[column] * scale
    return table.set_index(["claim", "dataset", "metric", "compared"])


def _scale_of_claim(metric: object) -> float:
    return 1.0 if metric == "cosine" else 100.0


def _limits_of_claim(metric: object) -> tuple[float, float]:
    """Return the lowest and the highest possible difference: in percentage points for scores, without unit for cosines."""
    return (-2.0, 2.0) if metric == "cosine" else SHARE_DIFFERENCE


def readable_claims(claims: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's claims with differences and verdicts as readers see them.

    Args:
        claims: The table that `test_claims` returns.
    """
    table = table_claims(claims).reset_index()
    digits = table["metric"].eq("cosine").map({True: 3, False: 2})
    measured = [
        with_brackets(row.difference, row.low, row.high, sign="+", digits=places, limits=_limits_of_claim(row.metric))
        for row, places in zip(table.itertuples(), digits, strict=True)
    ]
    paper = [with_brackets(value, float("nan"), float("nan"), sign="+", digits=2) for value in table["paper"]]
    shown = pd.DataFrame(
        {
            "Claim": table["claim"],
            "Dataset": table["dataset"].astype(object).fillna("-"),
            "Compared": table["compared"].mask(table["dataset"].isna(), "needs " + table["compared"]),
            "Metric": table["metric"].map(_metric_of_claim),
            "Verdict": table["verdict"],
            "Difference": measured,
            "In the paper": paper,
            "Measured on": table["over"].mask(table["difference"].isna()).astype(object).fillna("-").replace("", "-"),
            "Seeds": table["seeds"],
            "p (Holm)": [_shown_p(value) for value in table["p_adjusted"]],
            "Pairs": [
                f"{count}" if count == expected else f"{count} of {expected}"
                for count, expected in zip(table["pairs"], table["asked"], strict=True)
            ],
        }
    )
    return shown.set_index(["Claim", "Dataset", "Compared", "Metric"])


def _shown_p(value: float) -> str:
    return "-" if pd.isna(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def _metric_of_claim(metric: object) -> str:
    if pd.isna(metric):
        return "-"
    name = str(metric).removeprefix("mPC ")
    metrics = metrics_by_name()
    if name not in metrics:
        return str(metric)
    return f"mPC of {metrics[name].title}" if str(metric).startswith("mPC ") else metrics[name].title


def claims_text(shown: pd.DataFrame, caption: str, note: str) -> str:
    """Return the reproduction note as Markdown: the verdict on each claim, and the differences it is based on.

    Args:
        shown: The table that `readable_claims` returns.
        caption: The lines that describe the data and the models.
        note: The sentences that explain the intervals and the verdicts.
    """
    lines = ["# Reproduction note", "", *caption.splitlines(), "", note, ""]
    for claim, rows in shown.reset_index().groupby("Claim", sort=False):
        lines += [f"## {claim}", "", *(f"- {_sentences_on_claim(row)}" for row in rows.to_dict("records")), ""]
    return "\n".join(lines)


def _sentences_on_claim(row: dict[str, Any]) -> str:
    """Return the verdict and the difference of one row of `readable_claims` in sentences; numbers that do not exist are left out."""
    if row["Verdict"] == NOT_TESTED and row["Dataset"] == "-":
        return f"The claim was not tested. The test {row['Compared']}."
    where, difference = (
        f"{row['Dataset']}, {row['Metric']}",
        f"difference ({row['Compared'].replace(' - ', ' minus ')})",
    )
    if row["Verdict"] == NOT_TESTED:
        pairs = row["Pairs"].removeprefix("0 of ")
        reason = (
            "the pair of models has no results" if pairs == "1" else f"none of the {pairs} pairs of models has results"
        )
        return f"{where}: the {difference} was not tested, because {reason}."
    unit = "" if row["Metric"] == COSINE else " points"
    measured_on = "" if row["Measured on"] == "-" else f" on {row['Measured on']}"
    sentences = [
        f"{where}: the verdict is **{row['Verdict']}**.",
        f"The {difference} is {row['Difference']}{unit}.",
        f"It was measured{measured_on} with at least {row['Seeds']} seed{'s' * (row['Seeds'] > 1)} per model.",
    ]
    if row["p (Holm)"] != "-":
        sentences.append(f"Its p-value is {row['p (Holm)'].replace('<', 'below ')}.")
    if " of " in row["Pairs"]:
        sentences.append(f"Only {row['Pairs']} pairs of models have results.")
    if row["In the paper"] != "-":
        sentences.append(f"In the paper's tables the difference is {row['In the paper']}{unit}.")
    return " ".join(sentences)
