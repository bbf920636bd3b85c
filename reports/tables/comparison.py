"""Tables of a comparison and of the paper's claims, in percent and pixels."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from endoarss.metrics.catalogue import PERCENT, Shown, metrics_by_name, shown_metrics
from reports.statistics.brackets import ANY, SHARE, SHARE_DIFFERENCE, with_brackets, with_sequences

_NUMBERS = ("value", "low", "high", "to_best", "to_best_low", "to_best_high", "difference")


def table_comparison(scores: pd.DataFrame) -> pd.DataFrame:
    """Return every score with its interval, rank and difference to the best model."""
    return _scaled(scores).set_index(["dataset", "metric", "model"])


def table_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the difference of every two models in every metric."""
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
    """Return one row per model: score, difference to the best and rank in each main metric, with intervals.

    Args:
        scores: The scores of a `Comparison`.
        gaps: Dataset and model of models without results; they have a row of dashes.
    """
    rows: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    table, metrics = _scaled(scores), shown_metrics(Shown.PRINTED)
    interval_over = dict(zip(table["dataset"], table["interval_over"], strict=True))
    for row in table[table["metric"].isin(list(metrics))].to_dict("records"):
        cells = rows.setdefault((row["dataset"], row["model"]), {})
        head, is_share = metrics[row["metric"]].head, metrics[row["metric"]].unit == PERCENT
        cells[head, "score"] = with_brackets(row["value"], row["low"], row["high"], limits=SHARE if is_share else ANY)
        limits = SHARE_DIFFERENCE if is_share else ANY
        to_best = with_brackets(row["to_best"], row["to_best_low"], row["to_best_high"], sign="+", limits=limits)
        cells[head, "to best"] = "best" if row["model"] == row["best"] else to_best
        cells[head, "rank"] = with_brackets(row["rank"], row["rank_low"], row["rank_high"], digits=0)
    for gap in gaps:
        rows.setdefault(gap, {})
    datasets = list(dict.fromkeys(dataset for dataset, _ in rows))
    rows = dict(sorted(rows.items(), key=lambda row: datasets.index(row[0][0])))
    keys = [(with_sequences(dataset, interval_over), model) for dataset, model in rows]
    index = pd.MultiIndex.from_tuples(keys, names=["Dataset", "Model"])
    columns = pd.MultiIndex.from_tuples(
        [(metric.head, kind) for metric in metrics.values() for kind in ("score", "to best", "rank")]
    )
    shown = pd.DataFrame(list(rows.values()), index=index).reindex(columns=columns)
    return shown.dropna(axis=1, how="all").fillna("-")


def table_claims(claims: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's claims with differences in percentage points; cosines have no unit."""
    table = claims.copy()
    scale = table["metric"].map(_scale_of_claim)
    for column in ("difference", "low", "high", "paper"):
        table[column] = table[column] * scale
    return table.set_index(["claim", "dataset", "metric", "compared"])


def _scale_of_claim(metric: object) -> float:
    return 1.0 if metric == "cosine" else 100.0


def _limits_of_claim(metric: object) -> tuple[float, float]:
    """Return the lowest and the highest possible difference: of scores in percentage points, of cosines as they are."""
    return (-2.0, 2.0) if metric == "cosine" else SHARE_DIFFERENCE


def readable_claims(claims: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's claims with differences and verdicts as readers see them."""
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
            "Compared": table["compared"],
            "Metric": table["metric"].map(_metric_of_claim),
            "Verdict": table["verdict"],
            "Difference": measured,
            "In the paper": paper,
            "Over": [str(over) or "-" for over in table["over"].astype(object).fillna("-")],
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
    """Return the reproduction note as Markdown: the verdict on each claim and the differences.

    Args:
        shown: The result of `readable_claims`.
        caption: The lines that describe the data and the models.
        note: Text below the table.
    """
    lines = ["# Reproduction note", "", *caption.splitlines(), "", note, ""]
    for claim, rows in shown.reset_index().groupby("Claim", sort=False):
        lines += [f"## {claim}", ""]
        for row in rows.to_dict("records"):
            if row["Verdict"] == "not tested":
                if row["Dataset"] == "-":
                    lines.append(f"- Not tested: the claim needs {row['Compared']}.")
                else:
                    reason = f"none of {row['Pairs'].removeprefix('0 of ')} comparisons has results"
                    lines.append(f"- {row['Dataset']}, {row['Metric']}: not tested, {reason}. {row['Compared']}.")
                continue
            unit = "" if row["Metric"] == "cosine" else " points"
            paper = "" if row["In the paper"] == "-" else f" The paper's tables: {row['In the paper']}{unit}."
            verdict = row["Verdict"][0].upper() + row["Verdict"][1:]
            partial = f" Only {row['Pairs']} comparisons have results." if " of " in row["Pairs"] else ""
            lines.append(
                f"- {row['Dataset']}, {row['Metric']}: **{verdict}**. {row['Compared']}: {row['Difference']}{unit}, over {row['Over']}"
                f" and {row['Seeds']} seed{'s' * (row['Seeds'] > 1)}, p {row['p (Holm)']}.{partial}{paper}"
            )
        lines.append("")
    return "\n".join(lines)
