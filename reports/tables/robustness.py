"""Makes the tables of robustness: Table VII, summaries of models, and every score under every condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from endoarss.metrics.catalogue import metrics_by_name
from reports.statistics.brackets import SHARE_DIFFERENCE, limits_of, with_brackets, with_sequences
from reports.statistics.robustness import NOT_MOVED

_ENDS = ["value", "low", "high"]
_NOT_AVERAGED = "not averaged"
# Column heads of the summary that readers see, by quantity.
_SUMMARY_HEADS = {
    "clean": "Clean",
    "mPC": "mPC",
    "mPC_unseen": "mPC, unseen",
    "rPC": "rPC",
    "retention_area": "Retention area",
    "mCE": "mCE",
    "relative_mCE": "Relative mCE",
    "worst_corruption": "Worst corruption",
}


def table_robustness(summary: pd.DataFrame, categories: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return Table VII: accuracy and mIoU of each model under each corruption, mean over severities, in percent.

    Args:
        summary: The summary of a `Robustness`.
        categories: The categories of a `Robustness`.

    Returns:
        One row per corruption, by category. Then rows of the means over corruptions, of the clean score, and of scores against masks
        that were not moved, which enter no mean. Columns by metric, dataset and model: value, low and high.
    """
    of_corruptions = _wide(summary[summary["quantity"] == "corruption_mean"])
    rows = {(category, name): of_corruptions.loc[name] for category, names in categories.items() for name in names}
    for quantity, row in (("mPC", "mean corrupted"), ("mPC_unseen", "mean unseen")):
        if (summary["quantity"] == quantity).any():
            rows["", row] = _wide(summary[summary["quantity"] == quantity]).iloc[0]
    rows["", "clean"] = _wide(summary[summary["quantity"] == "clean"]).iloc[0]
    rows |= {(_NOT_AVERAGED, n): of_corruptions.loc[n] for n in of_corruptions.index if n.endswith(NOT_MOVED)}
    table = pd.DataFrame(list(rows.values()), columns=of_corruptions.columns)
    table.index = pd.MultiIndex.from_tuples(list(rows), names=["category", "corruption"])
    return table


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in percent, indexed by `of`, with one column each for value, low and high of a metric, dataset and model."""
    keys = list(rows[["metric", "dataset", "model"]].drop_duplicates().itertuples(index=False, name=None))
    keys.sort(key=lambda key: list(metrics_by_name()).index(key[0]))
    wide = rows.set_index(["metric", "dataset", "model", "of"])[_ENDS].unstack(["metric", "dataset", "model"]) * 100
    wide = wide.reorder_levels([1, 2, 3, 0], axis=1)
    wide = wide[[(*key, end) for key in keys for end in _ENDS]]
    wide.columns = wide.columns.set_names(["metric", "dataset", "model", ""])
    return wide


def readable_robustness(table: pd.DataFrame, gaps: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """Return Table VII without intervals, with one column per model.

    Args:
        table: The table that `table_robustness` returns.
        gaps: Dataset and model of each model without results; it has columns without values.
    """
    shown = table.xs("value", axis=1, level=3)
    metrics = list(dict.fromkeys(shown.columns.get_level_values(0)))
    shown = shown.reindex(
        columns=[c for m in metrics for c in [*(c for c in shown if c[0] == m), *((m, *gap) for gap in gaps)]]
    )
    shown.columns = pd.MultiIndex.from_tuples(
        [(metrics_by_name()[metric].head, dataset, model) for metric, dataset, model in shown.columns],
        names=["", "", ""],
    )
    return shown


def table_robustness_conditions(conditions: pd.DataFrame) -> pd.DataFrame:
    """Return every score of every model under every condition, in the unit that the column `unit` names."""
    table, metrics = conditions.copy(), metrics_by_name()
    scale = table["metric"].map({name: metric.scale for name, metric in metrics.items()})
    for end in _ENDS:
        table[end] = scale * table[end]
    table["unit"] = table["metric"].map({name: metric.unit for name, metric in metrics.items()})
    return table.set_index(["dataset", "model", "metric", "corruption", "severity", "mask_warped"])


def table_robustness_summary(summary: pd.DataFrame) -> pd.DataFrame:
    """Return every quantity with its interval and its difference to the model in `against`, in percent."""
    table = summary.set_index(["dataset", "model", "metric", "quantity", "of"])
    numbers = [*_ENDS, "difference", "difference_low", "difference_high"]
    table[numbers] = table[numbers] * 100
    return table


def readable_robustness_summary(summary: pd.DataFrame, gaps: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """Return the main quantities with intervals, in percent, with one row per model and metric.

    Args:
        summary: The summary of a `Robustness`.
        gaps: Dataset and model of each model without results; it has rows of dashes.
    """
    table_rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in summary[summary["quantity"].isin(_SUMMARY_HEADS)].to_dict("records"):
        cells = table_rows.setdefault((row["dataset"], metrics_by_name()[row["metric"]].text, row["model"]), {})
        name = f"{row['of']} " if row["quantity"] == "worst_corruption" else ""
        value, low, high = (100 * row[end] for end in _ENDS)
        cells[_SUMMARY_HEADS[row["quantity"]]] = name + with_brackets(
            value, low, high, limits=limits_of(row["quantity"])
        )
        if row["quantity"] == "mPC" and row["against"] not in ("", row["model"]):
            value, low, high = (100 * row[name] for name in ("difference", "difference_low", "difference_high"))
            cells["mPC, difference"] = with_brackets(value, low, high, sign="+", limits=SHARE_DIFFERENCE)
    metrics = list(dict.fromkeys(metric for _, metric, _ in table_rows))
    table_rows |= {(dataset, metric, model): {} for dataset, model in gaps for metric in metrics}
    interval_over = dict(zip(summary["dataset"], summary["interval_over"], strict=True))
    keys = [(with_sequences(dataset, interval_over), *others) for dataset, *others in table_rows]
    index = pd.MultiIndex.from_tuples(keys, names=["Dataset", "Metric", "Model"])
    columns = [*_SUMMARY_HEADS.values(), "mPC, difference"]
    shown = pd.DataFrame(list(table_rows.values()), index=index).reindex(columns=columns)
    return shown.dropna(axis=1, how="all").fillna("-")
