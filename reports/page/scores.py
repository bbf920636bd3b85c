"""Converts measured robustness to the scores against severity that the page's curves and gallery read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import PERCENT, metrics_by_name
from reports.statistics.robustness import Robustness
from reports.statistics.variation import say_intervals

MEAN = "mean"
_UNMOVED = "unmoved"

Point = list[float] | None  # [value], or [value, low, high] with an interval; None without a score


@dataclass(frozen=True)
class Scores:
    """The scores for the curves and the gallery.

    Attributes:
        content: The data that the page's scripts read.
        notes: Sentences that say what the intervals are computed over, and what the signs after names mean.
    """

    content: dict[str, Any]
    notes: tuple[str, ...]


def scores_of(robustness: Robustness) -> Scores:
    """Return the scores by dataset, model, metric and choice of the menu. Each is a list: the clean score, then one score per severity.

    A point is [value, low, high], or [value] without an interval, or None without a score. A mean over corruptions is None if one of the
    corruptions has no score.
    """
    metrics = {name: metrics_by_name()[name] for name in dict.fromkeys(robustness.conditions["metric"])}
    descriptions = {
        name: {"name": m.title, "unit": m.unit, "scale": m.scale, "higher": m.higher_is_better}
        for name, m in metrics.items()
    }
    datasets = [_dataset(robustness, str(title)) for title in dict.fromkeys(robustness.conditions["dataset"])]
    return Scores(
        {"metrics": descriptions, "datasets": datasets},
        (say_intervals(robustness.intervals), *filter(None, [robustness.legend()])),
    )


def _dataset(robustness: Robustness, title: str) -> dict[str, Any]:
    rows = _with_shown_ends(robustness.conditions[robustness.conditions["dataset"] == title])
    known = set(rows["corruption"])
    categories = {c: [n for n in names if n in known] for c, names in robustness.categories.items()}
    categories = {category: names for category, names in categories.items() if names}
    unseen = [name for names in categories.values() for name in names if name not in robustness.trained_on]
    means = {**categories, **({"unseen": unseen} if robustness.trained_on and unseen else {})}
    severities = sorted(int(s) for s in set(rows["severity"]) if s > 0)
    unmoved = list(dict.fromkeys(rows.loc[~rows["mask_warped"].astype(bool), "corruption"]))
    values: dict[str, dict[str, dict[str, list[Point]]]] = {}
    for (model, metric), group in rows.groupby(["model", "metric"], sort=False):
        values.setdefault(str(model), {})[str(metric)] = _series(group, severities, categories, means)
    _add_measured_means(values, robustness.summary[robustness.summary["dataset"] == title], severities)
    return {
        "title": title,
        "severities": severities,
        "choices": _choices(robustness, categories, means, unmoved),
        "models": list(values),
        "metrics": list(dict.fromkeys(rows["metric"])),
        "values": values,
    }


def _choices(
    robustness: Robustness,
    categories: Mapping[str, Sequence[str]],
    groups: Mapping[str, Sequence[str]],
    unmoved: Sequence[str],
) -> list[dict[str, str]]:
    """Return the choices of the page's menu: means, then each corruption under its category."""
    count = sum(len(names) for names in categories.values())
    means = {MEAN: f"mean over all {count} corruptions"} if count > 1 else {}
    means |= {f"{MEAN}:{c}": f"mean of {_spaced(c)} ({len(n)})" for c, n in groups.items() if 1 < len(n) < count}
    choices = [{"key": key, "label": label, "group": "Means"} for key, label in means.items()]
    for category, names in categories.items():
        choices += [{"key": name, "label": robustness.with_signs(name), "group": _spaced(category)} for name in names]
    group = "Masks not moved"
    return choices + [
        {"key": f"{_UNMOVED}:{n}", "label": f"{robustness.with_signs(n)}, masks not moved", "group": group}
        for n in unmoved
    ]


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _series(
    rows: pd.DataFrame,
    severities: Sequence[int],
    categories: Mapping[str, Sequence[str]],
    groups: Mapping[str, Sequence[str]],
) -> dict[str, list[Point]]:
    """Return the points of one model and metric, by the key of each choice of the menu."""
    points: dict[tuple[str, int, bool], Point] = {
        (str(name), int(severity), bool(moved)): _point(value, low, high)
        for name, severity, moved, value, low, high in rows[
            ["corruption", "severity", "mask_warped", "value", "low", "high"]
        ].itertuples(index=False, name=None)
    }
    clean = points.get(("", 0, True))
    series: dict[str, list[Point]] = {}
    for name, moved in dict.fromkeys((name, moved) for name, _, moved in points if name):
        key = name if moved else f"{_UNMOVED}:{name}"
        series[key] = [clean, *(points.get((name, severity, moved)) for severity in severities)]
    corruptions = [name for names in categories.values() for name in names]
    for key, names in {MEAN: corruptions, **{f"{MEAN}:{c}": n for c, n in groups.items()}}.items():
        series[key] = [clean, *(_mean([points.get((n, s, True)) for n in names]) for s in severities)]
    return series


def _point(value: float, low: float, high: float) -> Point:
    numbers = [value] if pd.isna(low) or pd.isna(high) else [value, low, high]
    return [round(float(number), 6) for number in numbers]


def _with_shown_ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose intervals are clipped to the possible range of their metric: shares are from 0 to 1, distances are not negative."""
    highest = rows["metric"].map({name: 1.0 if m.unit == PERCENT else np.inf for name, m in metrics_by_name().items()})
    return rows.assign(low=rows["low"].clip(lower=0.0), high=rows["high"].clip(upper=highest))


def _mean(points: Sequence[Point]) -> Point:
    known = [point[0] for point in points if point is not None]
    return [round(sum(known) / len(known), 6)] if known and len(known) == len(points) else None


def _add_measured_means(
    values: Mapping[str, Mapping[str, dict[str, list[Point]]]], summary: pd.DataFrame, severities: Sequence[int]
) -> None:
    """Replace the means over corruptions with the measured means, which have intervals."""
    for row in _with_shown_ends(summary[summary["quantity"] == "severity_mean"]).to_dict("records"):
        series = values.get(row["model"], {}).get(row["metric"], {}).get(MEAN)
        if series is not None and int(row["of"]) in severities and not pd.isna(row["value"]):
            series[1 + severities.index(int(row["of"]))] = _point(row["value"], row["low"], row["high"])
