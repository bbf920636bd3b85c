"""Measures the robustness of models under corruption: scores per condition and summary quantities, with paired intervals.

Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and Perturbations, ICLR 2019 (CE,
relative CE); Michaelis et al., Benchmarking Robustness in Object Detection, 2019 (mPC, rPC). docs/statistics.md defines the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import Shown, metrics_by_name, shown_metrics
from reports.errors import ResultsError
from reports.names import corruption_in_words
from reports.statistics.condition_scores import EvaluatedModel, Grid, grid_of, images_of, score_model, variation_of
from reports.statistics.variation import (
    Array,
    IntervalNote,
    Variation,
    interval,
    note_of_intervals,
    with_interval,
)

__all__ = ["NOT_MOVED", "OTHER", "EvaluatedModel", "Robustness", "categories_of", "measure_robustness"]

NOT_MOVED = ", masks not moved"
# Signs after the names of corruptions that are not in the standard list, and of corruptions that were applied in training.
OWN_SIGN, TRAINED_ON_SIGN = "*", "†"
OTHER = "other"

CONDITION_COLUMNS = ["dataset", "model", "corruption", "severity", "mask_warped", "metric", "value", "low", "high"]
CONDITION_COLUMNS += ["interval_over"]
SUMMARY_COLUMNS = ["dataset", "model", "metric", "quantity", "of", "value", "low", "high"]
SUMMARY_COLUMNS += ["difference", "difference_low", "difference_high", "against", "interval_over"]


@dataclass(frozen=True)
class Robustness:
    """Tables of robustness. Shares are from 0 to 1, distances in pixels.

    `low` and `high` are the ends of an interval, NaN if there is none.

    Attributes:
        conditions: Table with `CONDITION_COLUMNS`, one row per dataset, model, condition and metric.
        summary: Table with `SUMMARY_COLUMNS`, one row per dataset, model, metric and quantity (mPC, CE, ...). `of` names the corruption,
            category or severity of the quantity. `difference` is the value minus that of the model in `against`, with a paired interval.
        categories: The evaluated corruptions by category.
        intervals: What the intervals of each dataset are computed over.
        notes: Sentences that say which model differences refer to, and which quantities are undefined and why.
        own: Evaluated corruptions that are not in the standard list.
        trained_on: Evaluated corruptions that were also applied to training images.
        how_corrupted: A sentence on a setting of the corruptions that is not the default; "" if all have their default.
    """

    conditions: pd.DataFrame
    summary: pd.DataFrame
    categories: Mapping[str, tuple[str, ...]]
    intervals: tuple[IntervalNote, ...]
    notes: tuple[str, ...]
    own: tuple[str, ...] = ()
    trained_on: tuple[str, ...] = ()
    how_corrupted: str = ""

    def with_signs(self, name: str) -> str:
        """Return the name of a corruption as readers see it, with the signs that `legend` explains.

        Args:
            name: The name, which may end in `NOT_MOVED`.

        Returns:
            The name with its signs.
        """
        corruption = name.removesuffix(NOT_MOVED)
        signs = OWN_SIGN * (corruption in self.own) + TRAINED_ON_SIGN * (corruption in self.trained_on)
        return f"{corruption_in_words(corruption)}{signs}{name[len(corruption) :]}"

    def for_readers(self) -> Robustness:
        """Return a copy whose summary and categories name corruptions as readers see them, see `with_signs`."""
        categories = {category: tuple(map(self.with_signs, names)) for category, names in self.categories.items()}
        summary = self.summary.assign(of=self.summary["of"].map(self.with_signs))
        return replace(self, summary=summary, categories=categories)

    def legend(self) -> str:
        """Return `how_corrupted` and sentences that explain the signs in use, or "" if there are none."""
        own = f"{OWN_SIGN} A corruption of the study, not in the standard list."
        trained_on = (
            f"{TRAINED_ON_SIGN} This corruption was also applied in training; means over unseen corruptions exclude it."
        )
        return " ".join(filter(None, [self.how_corrupted, own * bool(self.own), trained_on * bool(self.trained_on)]))


def measure_robustness(
    models: Sequence[EvaluatedModel],
    categories: Mapping[str, Sequence[str]],
    baselines: Mapping[str, str] | None = None,
    own: Collection[str] = (),
    trained_on: Collection[str] = (),
) -> Robustness:
    """Measure the robustness of models on one or several datasets.

    Args:
        models: The models, in the order of the tables.
        categories: Names of corruptions by category, in order; corruptions without a category are put into "other".
        baselines: By dataset, the label of the model that corruption errors and differences refer to. Without a baseline there are no
            corruption errors, and differences refer to the first model of the dataset that has the metric.
        own: Names of corruptions that are not in the standard list.
        trained_on: Names of corruptions that were applied in training. The mean over the other corruptions is reported in addition to mPC.

    Returns:
        The tables, and the sentences that explain them.

    Raises:
        ResultsError: If there are no models, two models share a label, a baseline is not among the models, or for the reasons of
            `grid_of`, `images_of` and `score_model`.
    """
    by_dataset: dict[str, list[EvaluatedModel]] = {}
    for model in models:
        by_dataset.setdefault(model.dataset, []).append(model)
    _check_names(by_dataset, baselines or {})
    conditions: list[pd.DataFrame] = []
    summaries: list[tuple[Any, ...]] = []
    intervals: list[IntervalNote] = []
    notes: list[str] = []
    names: list[str] = []
    metrics = shown_metrics(Shown.CONDITIONS | Shown.SUMMARY)
    for dataset, group in by_dataset.items():
        grid = grid_of(group, [name for members in categories.values() for name in members])
        images = images_of(group)
        variation = variation_of(group, images)
        evaluated = categories_of(grid.corruptions, categories)
        baseline = (baselines or {}).get(dataset)
        shared = _SharedFacts(dataset, grid, evaluated, baseline, images.in_words(), variation, trained_on)
        scores = {}
        for model in group:
            runs = score_model(model, grid, images, metrics)
            scores[model.label] = {m: variation.vary(values, model.training_group) for m, values in runs.items()}
        conditions += [_condition_rows(shared, label, by_metric) for label, by_metric in scores.items()]
        rows, notes_of_dataset = _summarise(shared, scores)
        summaries += rows
        intervals.append(note_of_intervals(dataset, images.in_words(), variation, images.sequences_known))
        notes += notes_of_dataset
        names += grid.corruptions
    return Robustness(
        pd.concat(conditions, ignore_index=True),
        pd.DataFrame(summaries, columns=SUMMARY_COLUMNS),
        categories_of(list(dict.fromkeys(names)), categories),
        tuple(intervals),
        tuple(notes),
        tuple(name for name in dict.fromkeys(names) if name in own),
        tuple(name for name in dict.fromkeys(names) if name in trained_on),
    )


def categories_of(names: Sequence[str], categories: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return corruptions by category; corruptions without a category are put into "other".

    Args:
        names: Names of corruptions.
        categories: All corruptions by category.

    Returns:
        The categories that have any of the corruptions.
    """
    by_category = {category: tuple(n for n in members if n in names) for category, members in categories.items()}
    known = {name for members in categories.values() for name in members}
    by_category[OTHER] = tuple(sorted(set(names) - known))
    return {category: members for category, members in by_category.items() if members}


def _check_names(by_dataset: Mapping[str, Sequence[EvaluatedModel]], baselines: Mapping[str, str]) -> None:
    if not by_dataset:
        raise ResultsError("there is no model with rows of corrupted images. Evaluate the robustness of a model.")
    for dataset, group in by_dataset.items():
        labels = [model.label for model in group]
        for label in labels:
            if labels.count(label) > 1:
                raise ResultsError(f"{dataset}: two models are called {label!r}; each needs a name of its own.")
        if dataset in baselines and baselines[dataset] not in labels:
            known = ", ".join(labels)
            raise ResultsError(f"{dataset}: the baseline {baselines[dataset]!r} is not among the models ({known}).")


@dataclass(frozen=True)
class _SharedFacts:
    """What the models of one dataset share, such as the conditions, the baseline and the variation."""

    dataset: str
    grid: Grid
    categories: Mapping[str, Sequence[str]]
    baseline: str | None
    interval_over: str
    variation: Variation
    trained_on: Collection[str]

    @property
    def unseen(self) -> list[int]:
        """Return the positions of corruptions that were not applied in training; an empty list if this is true of all corruptions."""
        unseen = [i for i, name in enumerate(self.grid.corruptions) if name not in self.trained_on]
        return unseen if len(unseen) < len(self.grid.corruptions) else []


def _condition_rows(shared: _SharedFacts, model: str, scores: Mapping[str, Array]) -> pd.DataFrame:
    """Return the rows of one model in the table of conditions, without undefined scores."""
    frames = []
    for metric, varied in scores.items():
        rows = pd.DataFrame(shared.grid.conditions(), columns=["corruption", "severity", "mask_warped"])
        low, high = interval(varied, shared.variation)
        rows = rows.assign(dataset=shared.dataset, model=model, metric=metric, interval_over=shared.interval_over)
        frames.append(rows.assign(value=varied[0], low=low, high=high)[~np.isnan(varied[0])])
    return pd.concat(frames, ignore_index=True)[CONDITION_COLUMNS]


@dataclass(frozen=True)
class _Quantity:
    """A summary quantity of a model: its name, the corruption, category or severity it belongs to, and its varied value (R,)."""

    name: str
    of: str
    varied: Array


def _summarise(
    shared: _SharedFacts, scores: Mapping[str, Mapping[str, Array]]
) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return the summary rows of one dataset, and notes on them."""
    rows: list[tuple[Any, ...]] = []
    notes: list[str] = []
    compared: dict[str, list[str]] = {}
    for metric, description in shown_metrics(Shown.SUMMARY).items():
        labels = [label for label, of_model in scores.items() if metric in of_model]
        if not labels:
            continue
        baseline = scores[shared.baseline].get(metric) if shared.baseline else None
        by_label = {label: _quantities(scores[label][metric], baseline, shared) for label in labels}
        against = shared.baseline or labels[0]
        if len(labels) > 1 and against in by_label:
            compared.setdefault(against, []).append(description.text)
        for label, quantities in by_label.items():
            for own, other in zip(quantities, by_label.get(against, quantities), strict=True):
                difference = with_interval(own.varied - other.varied, shared.variation)
                compares = (*difference, against) if against in by_label else (*[np.nan] * 3, "")
                key = (shared.dataset, label, metric, own.name, own.of)
                rows.append((*key, *with_interval(own.varied, shared.variation), *compares, shared.interval_over))
        notes += _notes(by_label, metric, shared, baseline is not None)
    references = [
        f"{shared.dataset}: differences in {' and '.join(metrics)} are relative to {against}."
        for against, metrics in compared.items()
    ]
    return rows, references + notes


def _quantities(scores: Array, baseline: Array | None, shared: _SharedFacts) -> list[_Quantity]:
    """Return the summary quantities of a model's scores (R, conditions), in the same order for all models of a dataset."""
    grid = shared.grid
    clean, corrupted, unmoved = grid.parts(scores)
    by_corruption, by_severity = corrupted.mean(axis=2), corrupted.mean(axis=1)
    mpc = by_corruption.mean(axis=1)
    quantities = [_Quantity("clean", "", clean), _Quantity("mPC", "", mpc), _Quantity("rPC", "", ratio(mpc, clean))]
    if shared.unseen:
        quantities.append(_Quantity("mPC_unseen", "", by_corruption[:, shared.unseen].mean(axis=1)))
    quantities += [_Quantity("severity_mean", str(s), by_severity[:, i]) for i, s in enumerate(grid.severities)]
    for category, names in shared.categories.items():
        mean = by_corruption[:, [grid.corruptions.index(name) for name in names]].mean(axis=1)
        quantities += [
            _Quantity("category_mean", category, mean),
            _Quantity("category_rPC", category, ratio(mean, clean)),
        ]
    quantities += [_Quantity("corruption_mean", name, by_corruption[:, i]) for i, name in enumerate(grid.corruptions)]
    for i, name in enumerate(grid.unmoved):
        quantities.append(_Quantity("corruption_mean", f"{name}{NOT_MOVED}", unmoved[:, i].mean(axis=1)))
    levels = np.array([0, *grid.severities])
    curve = ratio(np.concatenate([clean[:, None], by_severity], axis=1), clean[:, None])
    quantities += [_Quantity("retention", str(s), curve[:, i]) for i, s in enumerate(levels)]
    quantities.append(_Quantity("retention_area", "", np.trapezoid(curve, levels, axis=1) / (levels[-1] - levels[0])))
    worst = int(by_corruption[0].round(12).argmin())  # rounded, so that the first of equal corruptions is the worst
    quantities.append(_Quantity("worst_corruption", grid.corruptions[worst], by_corruption[:, worst]))
    if baseline is not None:
        quantities += _corruption_errors(clean, corrupted, *grid.parts(baseline)[:2], grid.corruptions)
    return quantities


def _corruption_errors(
    clean: Array, corrupted: Array, baseline_clean: Array, baseline_corrupted: Array, names: Sequence[str]
) -> list[_Quantity]:
    """Return CE and relative CE of each corruption, and their means over the corruptions for which they are defined.

    E_s = 1 - score is the error of the model at severity s, and B_s the error of the baseline. E_0 and B_0 are the errors on clean images.
    Then CE = sum_s E_s / sum_s B_s and relative CE = sum_s (E_s - E_0) / sum_s (B_s - B_0), with sums over the evaluated severities
    (Hendrycks and Dietterich 2019, section 4). CE is undefined if the baseline makes no error under the corruption, and relative CE if
    the baseline's mean score under the corruption is not below its clean score.
    """
    errors = ratio((1 - corrupted).sum(axis=2), (1 - baseline_corrupted).sum(axis=2))
    losses = ratio(
        (clean[:, None, None] - corrupted).sum(axis=2), (baseline_clean[:, None, None] - baseline_corrupted).sum(axis=2)
    )
    quantities = []
    for kind, mean, values in (("CE", "mCE", errors), ("relative_CE", "relative_mCE", losses)):
        # All replicates use the corruptions for which the estimate is defined.
        known = ~np.isnan(values[0])
        usable = known & ~np.isnan(values)
        quantities += [_Quantity(kind, name, np.where(known[i], values[:, i], np.nan)) for i, name in enumerate(names)]
        quantities.append(_Quantity(mean, "", ratio(np.where(usable, values, 0).sum(axis=1), usable.sum(axis=1))))
    return quantities


def _notes(
    by_label: Mapping[str, Sequence[_Quantity]], metric: str, shared: _SharedFacts, has_errors: bool
) -> list[str]:
    """Return sentences that say which quantities are undefined, and why."""
    where, notes = f"{shared.dataset}, {metrics_by_name()[metric].text}", []
    for label, quantities in by_label.items():
        if any(quantity.name == "rPC" and np.isnan(quantity.varied[0]) for quantity in quantities):
            notes.append(f"{where}: {label} has no rPC and no retention, because its clean score is 0.")
    if shared.baseline and not has_errors:
        return [
            *notes,
            f"{where}: there are no corruption errors, because the baseline {shared.baseline} has no such score.",
        ]
    for kind, name, reason in (
        ("CE", "CE", "makes no error there"),
        ("relative_CE", "relative CE", "does not lose score there"),
    ):
        # The baseline is in the denominator, so a quantity is undefined for all models or for none.
        quantities = next(iter(by_label.values()))
        undefined = [q.of for q in quantities if q.name == kind and np.isnan(q.varied[0])]
        if undefined:
            names = ", ".join(map(corruption_in_words, undefined))
            notes.append(
                f"{where}: {names} {'have' if len(undefined) > 1 else 'has'} no {name}, because the baseline {shared.baseline} {reason}. "
                "The mean is over the other corruptions."
            )
    return notes


def ratio(numerator: Any, denominator: Any) -> Array:
    """Return a ratio, NaN where the denominator is at most 1e-12.

    Args:
        numerator: Array of any shape.
        denominator: Array of a shape that broadcasts with that of the numerator.

    Returns:
        Array of the broadcast shape.
    """
    above, below = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(above, below, out=np.full(below.shape, np.nan), where=below > 1e-12)
