"""Makes the tables of scores, costs and datasets as data frames, and writes CSV files; `reports.tables.latex` writes LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from endoarss.metrics.catalogue import Shown, label_metrics, shown_metrics
from reports.names import (
    KNOWN_LABELS,
    REFERENCE_BACKBONE,
    Labels,
)
from reports.results import CELL, clean_scores, of_rank


def table_datasets(cards: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return one row per dataset: how many activities and classes occur in it, and how many frames, training and test frames it has.

    Args:
        cards: The cards of the datasets.
    """
    rows = []
    for card in cards:
        splits = card["frames_by_split"]
        activities = {name for counts in card["frames_by_activity"].values() for name, count in counts.items() if count}
        rows.append(
            {
                "Dataset": card["title"],
                "Activities": len(activities),
                "Classes": len(
                    {name for counts in card["frames_with_class"].values() for name, count in counts.items() if count}
                ),
                "Frames": card["frames"],
                "Train": splits.get("train", 0),
                "Test": splits.get("test", 0),
            }
        )
    return pd.DataFrame(rows).set_index("Dataset")


def datasets_against_paper(table: pd.DataFrame, datasets: Sequence[str], paper: pd.DataFrame) -> pd.DataFrame:
    """Return a table of datasets with the paper's numbers and a text that names the differences.

    Args:
        table: The table that `table_datasets` returns.
        datasets: The dataset name of each row.
        paper: The paper's table by dataset. Rows of datasets that are not in the paper have no values there.
    """
    rows = [row | _of_paper(name, paper) for row, name in zip(table.to_dict("records"), datasets, strict=True)]
    return pd.DataFrame([row | {"Differs": _differences(row)} for row in rows], index=table.index)


_OF_PAPER = {"Activities": "activities", "Classes": "classes", "Frames": "frames", "Train": "train", "Test": "test"}


def _of_paper(dataset: str, paper: pd.DataFrame) -> dict[str, Any]:
    known = dataset in paper.index
    return {f"Paper: {head}": int(paper.loc[dataset, key]) if known else pd.NA for head, key in _OF_PAPER.items()}


def _differences(row: dict[str, Any]) -> str:
    differ = [
        f"{head.lower()} {row[head] - row[f'Paper: {head}']:+,}"
        for head in _OF_PAPER
        if row[f"Paper: {head}"] is not pd.NA and row[head] != row[f"Paper: {head}"]
    ]
    return ", ".join(differ) or ("not in the paper" if row["Paper: Frames"] is pd.NA else "nothing")


def table_similarity(similarities: dict[str, dict[str, list[float]]], titles: dict[str, str]) -> pd.DataFrame:
    """Return the similarity of test frames to their nearest training frames: one row per dataset and split.

    Args:
        similarities: Similarities by dataset and split rule, one value per test frame.
        titles: Readable dataset names.
    """
    rows = []
    for dataset, splits in similarities.items():
        for split, values in splits.items():
            similarity = pd.Series(values)
            rows.append(
                {
                    "Dataset": titles[dataset],
                    "Split": split,
                    "Test frames": len(similarity),
                    "Median": similarity.median(),
                    "Lower quartile": similarity.quantile(0.25),
                    "At least 0.95 (%)": 100 * (similarity >= 0.95).mean(),
                    "At least 0.99 (%)": 100 * (similarity >= 0.99).mean(),
                }
            )
    columns = ["Dataset", "Split", "Test frames", "Median", "Lower quartile", "At least 0.95 (%)", "At least 0.99 (%)"]
    return pd.DataFrame(rows, columns=columns).set_index(["Dataset", "Split"])


def table_leakage(
    results: pd.DataFrame,
    at_random: str,
    by_sequence: str,
    order: Sequence[str],
    gaps: Sequence[tuple[str, str, str]] = (),
) -> pd.DataFrame:
    """Return the scores of the same models on the random split and on the split by sequence, and their difference.

    Args:
        results: The long table.
        at_random: The dataset with the random split.
        by_sequence: The dataset with the split by sequence.
        order: Backbone labels in the order of the study.
        gaps: Backbone label, architecture and weighting of each pair in which one model has no results.

    Returns:
        A table by backbone, architecture and weighting. Its rows are the models with results on both datasets and those of `gaps`, without
        references. The columns of each metric are the scores on both datasets in percent, and their difference (random minus by sequence).
    """
    sides = {"random by activity": at_random, "by sequence": by_sequence}
    tables = {name: table_of_scores(results, dataset, order, gaps) for name, dataset in sides.items()}
    common = tables["random by activity"].index.intersection(tables["by sequence"].index, sort=False)
    common = common[common.get_level_values(0) != REFERENCE_BACKBONE]
    columns: dict[tuple[str, str], pd.Series] = {}
    for metric, description in shown_metrics(Shown.LEAKAGE).items():
        if all(metric in table for table in tables.values()):
            for name, table in tables.items():
                columns[description.head, name] = table.loc[common, metric]
            columns[description.head, "difference"] = (
                tables["random by activity"].loc[common, metric] - tables["by sequence"].loc[common, metric]
            )
    return pd.DataFrame(columns)


def readable_leakage(table: pd.DataFrame, labels: Labels = KNOWN_LABELS) -> pd.DataFrame:
    """Return the table of `table_leakage` with the names that readers see."""
    shown = readable_index(table, labels)
    shown.columns = shown.columns.set_names(["", ""])
    return shown


def table_of_scores(
    results: pd.DataFrame, eval_dataset: str, order: Sequence[str], gaps: Sequence[tuple[str, str, str]] = ()
) -> pd.DataFrame:
    """Return Table II, III or IV, or the same table of another dataset: the scores of every cell on it, as means over the seeds.

    Args:
        results: The long table of one protocol.
        eval_dataset: The dataset of the scores.
        order: Backbone labels in the order of the study.
        gaps: Backbone label, architecture and weighting of cells without results; each has its own row.

    Returns:
        A table by backbone, architecture and weighting; references are last. The columns are the protocol's metrics that were measured,
        in percent or pixels, then the counts. If there are several seeds, their standard deviations `<metric>_std` follow.
    """
    protocol = str(results["protocol"].iloc[0])
    measures = shown_metrics(Shown.TABLES, protocol) | shown_metrics(Shown.COUNTS, protocol)
    scores = clean_scores(results, eval_dataset)
    scores = scores[scores["metric"].isin(list(measures))]
    seeds = scores.groupby([*CELL, "metric"], sort=False)["value"].agg(["mean", "std", "count"])
    for kind in ("mean", "std"):
        seeds[kind] *= [measures[metric].scale for metric in seeds.index.get_level_values("metric")]
    wide = seeds["mean"].unstack("metric").reindex(columns=[m for m in measures if m in set(scores["metric"])])
    if (seeds["count"] > 1).any():
        deviations = seeds["std"].unstack("metric").reindex(columns=wide.columns)
        deviations.columns = [f"{metric}_std" for metric in deviations.columns]
        wide = wide.join(deviations)
    empty = [gap for gap in gaps if gap not in wide.index]
    if empty:
        wide = wide.reindex(wide.index.append(pd.MultiIndex.from_tuples(empty, names=CELL)))
    labels = [*order, REFERENCE_BACKBONE]
    return wide.loc[sorted(wide.index, key=lambda key: labels.index(key[0]))]


@dataclass(frozen=True)
class Row:
    """A row of a table of selected cells: the labels of the row, and the cell whose scores the row shows."""

    labels: tuple[str, ...]
    dataset: str
    backbone: str
    architecture: str
    weighting: str
    rank: int


def table_of_rows(results: pd.DataFrame, rows: Sequence[Row], names: Sequence[str]) -> pd.DataFrame:
    """Return Table V or VI: the scores of selected cells on their own test split, as means over the seeds.

    Args:
        results: The long table.
        rows: The rows in their order.
        names: The names of the index levels that hold the labels.

    Returns:
        A table by the rows' labels. The columns are the metrics that were measured, in percent or pixels, then their standard deviations
        `<metric>_std` if there are several seeds.
    """
    measures = shown_metrics(Shown.TABLES, str(results["protocol"].iloc[0]))
    records: list[dict[str, float]] = []
    for row in rows:
        scores = clean_scores(of_rank(results, row.rank), row.dataset)
        for column in ("dataset", "backbone", "architecture", "weighting"):
            scores = scores[scores[column] == getattr(row, column)]
        values = scores[scores["metric"].isin(list(measures))].groupby("metric")["value"].agg(["mean", "std"])
        values = values.mul([measures[metric].scale for metric in values.index], axis=0)
        means = {metric: values["mean"].get(metric, float("nan")) for metric in measures}
        records.append(means | {f"{metric}_std": values["std"].get(metric, float("nan")) for metric in measures})
    index = pd.MultiIndex.from_tuples([row.labels for row in rows], names=list(names))
    return pd.DataFrame(records, index=index).dropna(axis=1, how="all")


def readable_rows(table: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Return a table of `table_of_rows` with the column heads of the protocol."""
    return table.rename(columns=_heads(protocol))


def _heads(protocol: str) -> dict[str, str]:
    heads = {metric: measure.head for metric, measure in shown_metrics(Shown.TABLES, protocol).items()}
    return heads | {f"{metric}_std": f"± {head}" for metric, head in heads.items()}


def table_cost(costs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the cost of each cell: parameters, and the speed and peak memory of training and inference on its device.

    Args:
        costs: One dict per cell, with the keys dataset, backbone, architecture and weighting (labels) and rank (a text, "-" without
            adapters). A cell with results also has parameters, cost and device, as in its provenance, and latency_ms, the time per image
            in milliseconds in the evaluation of robustness (None if there was none). A cell whose architecture selects experts also has
            the key experts, a text.
    """
    rows = [
        {
            "Dataset": cost["dataset"],
            "Backbone": cost["backbone"],
            "Architecture": cost["architecture"],
            "Weighting": cost["weighting"],
            "Rank": cost["rank"],
            **(_measured_cost(cost) if "cost" in cost else {}),
        }
        for cost in costs
    ]
    table = pd.DataFrame(rows).set_index(["Dataset", "Backbone", "Architecture", "Weighting", "Rank"])
    for column in table:
        if column not in ("Device", "Experts", "Under corruption (ms/image)"):
            table[column] = table[column].round().astype("Int64")
    return table


def _measured_cost(cost: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Trained parameters": cost["parameters"]["trained"],
        "All parameters": cost["parameters"]["total"],
        "Training (images/s)": cost["cost"]["training"]["images_per_second"],
        "Training (MiB)": cost["cost"]["training"]["memory_mib"],
        "Inference (images/s)": cost["cost"]["inference"]["images_per_second"],
        "Inference (MiB)": cost["cost"]["inference"]["memory_mib"],
        "Under corruption (ms/image)": cost["latency_ms"],
        "Device": cost["device"],
        **({"Experts": cost["experts"]} if "experts" in cost else {}),
    }


def readable_index(table: pd.DataFrame, labels: Labels = KNOWN_LABELS) -> pd.DataFrame:
    """Return a table by backbone, architecture and weighting with the names that readers see."""
    shown = table.copy()
    shown.index = pd.MultiIndex.from_tuples(
        [
            (
                "Reference" if backbone == REFERENCE_BACKBONE else backbone,
                labels.architecture(a),
                labels.weighting(w) or "-",
            )
            for backbone, a, w in shown.index
        ],
        names=["Backbone", "Architecture", "Weighting"],
    )
    return shown


def readable_scores(table: pd.DataFrame, protocol: str, labels: Labels = KNOWN_LABELS) -> pd.DataFrame:
    """Return the table of `table_of_scores` with the names that readers see and the column heads of the protocol, without the counts."""
    counted = tuple(shown_metrics(Shown.COUNTS, protocol))
    table = table.drop(columns=[column for column in table if str(column).startswith(counted)])
    return readable_index(table, labels).rename(columns=_heads(protocol)).rename_axis(columns=None)


def table_of_labels(results: pd.DataFrame, of_activities: bool) -> pd.DataFrame:
    """Return the scores of every class, or of every activity: one row per evaluated dataset, model, seed and label.

    Args:
        results: The long table of one protocol.
        of_activities: Whether activities are scored; otherwise classes are.

    Returns:
        A table with the metrics in percent or pixels, and with n, the number of images whose ground truth has the label.
    """
    metrics = label_metrics(of_activities, str(results["protocol"].iloc[0]))
    rows = results[(results["corruption"] == "") & (results["class"] != "") & results["metric"].isin(list(metrics))]
    keys = ["eval_dataset", "backbone_label", "architecture", "weighting", "variant", "class"]
    wide = rows.set_index([*keys, "metric"])["value"].unstack("metric", sort=False)
    wide = wide.reindex(columns=[metric for metric in metrics if metric in wide]).dropna(how="all")
    for metric in wide:
        wide[metric] *= metrics[str(metric)].scale
    images = rows[rows["metric"] == next(iter(metrics))].set_index(keys)["n"]
    wide["n"] = images.reindex(wide.index)
    return wide


def write_csv(table: pd.DataFrame, path: Path, last_columns: Mapping[str, object]) -> None:
    """Write a table as CSV with four decimals; its last columns have one value each, such as whether the data is synthetic."""
    table = table.copy()
    levels = table.columns.nlevels
    for name, value in last_columns.items():
        table[(name, *[""] * (levels - 1)) if levels > 1 else name] = value
    path.write_text(table.to_csv(float_format="%.4f", lineterminator="\n"), encoding="utf-8", newline="\n")
