"""Compares merged models with individual and jointly trained models: scores, bias, and the effect of Surgery.

Yang et al. 2024, Representation Surgery for Multi-Task Model Merging, arXiv:2402.02705. docs/merging.md defines every column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from endoarss.metrics.catalogue import MAIN, Shown, metrics_by_name, shown_metrics
from reports.names import merged_label
from reports.statistics.brackets import SHARE, SHARE_DIFFERENCE, with_brackets
from reports.statistics.comparison import VariedScores, vary_mpc, vary_scores
from reports.statistics.condition_scores import EvaluatedModel
from reports.statistics.variation import Array, IntervalNote, with_interval

INDIVIDUAL, JOINT = "Individual models", "Jointly trained"
INDEX = ["Dataset", "Backbone", "Model"]


@dataclass(frozen=True)
class ComparedModel:
    """A model of a merging experiment; it has one row in the tables.

    Attributes:
        label: Name that readers see.
        merger: Merging method, "" for individual and jointly trained models.
        rank: Rank of Surgery, 0 without Surgery.
        clean: Predictions on clean images, one run per seed.
        robust: Predictions on clean and corrupted images, None if robustness was not evaluated.
        scores: By metric, the stored scores, one per seed, in shares from 0 to 1 or pixels.
        bias: By task, the mean L1 distance between the model's representations and those of the individual model, one value per seed.
        coefficient: The merging coefficients, in words.
        parameters: Number of parameters that Surgery adds.
    """

    label: str
    merger: str
    rank: int
    clean: EvaluatedModel
    robust: EvaluatedModel | None
    scores: Mapping[str, Sequence[float]]
    bias: Mapping[str, Sequence[float]] = field(default_factory=dict)
    coefficient: str = ""
    parameters: int = 0


@dataclass(frozen=True)
class MergingCase:
    """The models of one merging experiment, tested on one dataset.

    Attributes:
        dataset: Title of the test images.
        backbone: Label of the backbone.
        models: Individual models, merged models, then the jointly trained model. All have the same seeds.
    """

    dataset: str
    backbone: str
    models: Sequence[ComparedModel]


@dataclass(frozen=True)
class Merging:
    """The results of merging experiments that tables and figures show.

    Attributes:
        rows: One row per experiment and model, with the columns of `INDEX`, merger, rank, and the measured values. Scores are in percent
            or pixels, bias has no unit, and `<x>_low` and `<x>_high` are the ends of the interval of `<x>`.
        surgery_effects: Sentences about the effect of Surgery, each with the rank of Surgery.
        intervals: What the intervals of each dataset are computed over.
        same: Sentences that name merged models with the same predictions.
    """

    rows: pd.DataFrame
    surgery_effects: tuple[tuple[int, str], ...]
    intervals: tuple[IntervalNote, ...]
    same: tuple[str, ...] = ()

    def note_on_surgery(self, rank: int) -> str:
        """Return the sentences about the effect of Surgery of one rank.

        Args:
            rank: The rank.

        Returns:
            The sentences as one text.
        """
        return " ".join(sentence for of_rank, sentence in self.surgery_effects if of_rank == rank)


def measure_merging(cases: Sequence[MergingCase]) -> Merging:
    """Measure merging experiments for tables and figures.

    Args:
        cases: Experiments with results, scored under the standard protocol.

    Returns:
        The rows of the tables, and sentences about them.

    Raises:
        ResultsError: For the reasons of `vary_scores` and `vary_mpc`.
    """
    frames, effects, intervals, same = [], [], [], list[str]()
    for case in cases:
        scores = vary_scores([model.clean for model in case.models])
        frame = pd.DataFrame([_row(case, model, scores) for model in case.models])
        robust = [model.robust for model in case.models if model.robust is not None]
        if robust:
            mpc = vary_mpc(robust).scores
            for metric in MAIN:
                values = {label: 100 * means[metric][0] for label, means in mpc.items() if metric in means}
                frame[f"mpc_{metric}"] = frame["Model"].map(values)
        frames.append(frame)
        same += _identical(case)
        effects += _surgery_effects(case, frame)
        intervals.append(scores.note(case.dataset))
    return Merging(pd.concat(frames, ignore_index=True), tuple(effects), tuple(intervals), tuple(same))


def _mean(scores: Mapping[str, Array]) -> Array:
    """Return the mean of accuracy and mIoU as a varied value."""
    return np.mean([scores[metric] for metric in MAIN], axis=0)


def _row(case: MergingCase, model: ComparedModel, scores: VariedScores) -> dict[str, float | str | int]:
    row: dict[str, float | str | int] = {
        "Dataset": case.dataset,
        "Backbone": case.backbone,
        "Model": model.label,
        "merger": model.merger,
        "rank": model.rank,
    }
    for metric, measure in shown_metrics(Shown.TABLES).items():
        values = measure.scale * np.asarray(model.scores.get(metric, [np.nan]), np.float64)
        row[metric] = float(values.mean())
        if len(values) > 1:
            row[f"{metric}_std"] = float(values.std(ddof=1))
    means = {label: _mean(by_metric) for label, by_metric in scores.scores.items()}
    own = means[model.label]
    row |= _with_ends("mean", own, scores) | {"interval_over": scores.interval_over}
    without = _model_of(case, model.merger, 0)
    if model.rank and without is not None:
        row |= _with_ends("surgery_gain", own - means[without.label], scores)
    joint = _model_of(case, "", 0, JOINT)
    if model.merger and joint is not None:
        row |= _with_ends("to_joint", own - means[joint.label], scores)
    individual = _model_of(case, "", 0, INDIVIDUAL)
    if model.merger and individual is not None:
        row |= _with_ends("to_individual", own - means[individual.label], scores)
    row |= {f"bias_{task}": float(np.mean(of_seeds)) for task, of_seeds in model.bias.items()}
    if model.bias:
        bias = float(np.mean(list(model.bias.values())))
        row["bias"] = bias
        if model.rank and without is not None:
            row["bias_change"] = 100 * (bias / float(np.mean(list(without.bias.values()))) - 1)
    row["coefficient"] = model.coefficient
    row["surgery_parameters"] = model.parameters
    return row


def _with_ends(name: str, varied: Array, scores: VariedScores) -> dict[str, float]:
    value, low, high = with_interval(100 * varied, scores.variation)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _model_of(case: MergingCase, merger: str, rank: int, label: str = "") -> ComparedModel | None:
    return next(
        (m for m in case.models if (m.merger, m.rank) == (merger, rank) and m.label.startswith(label)),
        None,
    )


def _surgery_effects(case: MergingCase, frame: pd.DataFrame) -> list[tuple[int, str]]:
    """Return sentences with the rank they are about: how Surgery changes bias and scores, and the difference to joint training."""
    where = f"{case.dataset}, {case.backbone}: "
    effects = []
    if "surgery_gain" not in frame:
        return []  # there is no merged model without Surgery to compare with
    for rank, with_surgery in frame[frame["surgery_gain"].notna()].groupby("rank", sort=False):
        changes = []
        if "bias_change" in with_surgery and with_surgery["bias_change"].notna().any():
            merger = merged_label(str(with_surgery["merger"].iloc[0]))
            whose = "every merger" if len(with_surgery) > 1 else merger
            changes.append(f"the bias of {whose} by {_range(with_surgery['bias_change'], '+z.0f')} %")
        gains = with_surgery["surgery_gain"]
        intervals = _without_zero(with_surgery, "surgery_gain")
        changes.append(f"the mean of accuracy and mIoU by {_range(gains, '+z.2f')} points ({intervals})")
        sentences = [f"{where}Surgery of rank {rank} changes {' and '.join(changes)}."]
        worse = with_surgery[gains < -1e-9]
        if len(worse):
            sentences.append(f"{where}with Surgery of rank {rank}, this mean is lower for {_listed(frame, worse)}.")
        if "to_joint" in with_surgery and with_surgery["to_joint"].notna().any():
            gap, intervals = _range(with_surgery["to_joint"], "+z.2f"), _without_zero(with_surgery, "to_joint")
            sentences.append(
                f"{where}with Surgery, merged models differ from the jointly trained model by {gap} points ({intervals})."
            )
        sentences += [f"{where}{sentence}" for sentence in _under_corruption(frame, with_surgery)]
        effects += [(int(str(rank)), sentence) for sentence in sentences]
    return effects


def _identical(case: MergingCase) -> list[str]:
    """Return a sentence per group of mergers whose models give the same predictions for every image and seed."""
    groups: list[list[ComparedModel]] = []
    for model in case.models:
        if model.merger and not model.rank:
            group = next((group for group in groups if _same_predictions(group[0], model)), None)
            if group is None:
                groups.append([model])
            else:
                group.append(model)
    sentences = []
    for group in groups:
        if len(group) > 1:
            names = " and ".join(
                f"{merged_label(m.merger)} (coefficient {m.coefficient})" if m.coefficient else merged_label(m.merger)
                for m in group
            )
            sentences.append(
                f"{case.dataset}, {case.backbone}: {names} give the same prediction for every test image, so their "
                "scores are equal."
            )
    return sentences


def _same_predictions(model: ComparedModel, other: ComparedModel) -> bool:
    runs, others = model.clean.rows, other.clean.rows
    return len(runs) == len(others) and all(a.equals(b) for a, b in zip(runs, others, strict=True))


def _without_zero(rows: pd.DataFrame, name: str) -> str:
    """Return in words how many intervals exclude 0."""
    known = int(rows[f"{name}_low"].notna().sum())
    count = int(((rows[f"{name}_low"] > 0) | (rows[f"{name}_high"] < 0)).sum())
    return f"intervals without 0: {count} of {known}" if known else "without intervals"


def _under_corruption(frame: pd.DataFrame, with_surgery: pd.DataFrame) -> list[str]:
    """Return a sentence on how Surgery changes the means over corruptions, or nothing if these were not measured."""
    changes = []
    for metric in MAIN:
        name = f"mpc_{metric}"
        if name in frame and with_surgery[name].notna().any():
            without = frame[(frame["rank"] == 0) & (frame["merger"] != "")].set_index("merger")[name]
            scores = with_surgery.set_index("merger")[name]
            gains = (scores - without.reindex(scores.index)).dropna()
            if len(gains):
                changes.append(f"mPC of {metrics_by_name()[metric].title} by {_range(gains, '+z.2f')} points")
    return [f"Surgery changes {' and '.join(changes)}."] if changes else []


def _range(values: pd.Series, form: str) -> str:
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"


def _listed(frame: pd.DataFrame, worse: pd.DataFrame) -> str:
    """Return in words by how much Surgery lowers each model, and which of these were not below the individual models before Surgery."""
    words = []
    for row in worse.to_dict("records"):
        gain = (row["surgery_gain"], row["surgery_gain_low"], row["surgery_gain_high"])
        gap = with_brackets(*gain, sign="+", digits=2, limits=SHARE_DIFFERENCE)
        without = frame[(frame["merger"] == row["merger"]) & (frame["rank"] == 0)].iloc[0]
        above = float(without.get("to_individual", np.nan))
        because = (
            f"; without Surgery it is {above:.2f} points above the individual models, and Surgery pulls it towards them"
            if above >= 0
            else ""
        )
        words.append(f"{merged_label(str(row['merger']))} ({gap} points{because})")
    return ", ".join(words)


def table_merging(merging: Merging, rank: int) -> pd.DataFrame:
    """Return the data of the table `merging`: individual models, each merger without and with Surgery, and the jointly trained model.

    Args:
        merging: The measured experiments.
        rank: The rank of Surgery.

    Returns:
        The table, indexed by `INDEX`.
    """
    rows = merging.rows[merging.rows["rank"].isin([0, rank])]
    return rows.set_index(INDEX).rename(columns={"rank": "surgery_rank"}).dropna(axis=1, how="all")


def readable_merging(merging: Merging, rank: int) -> pd.DataFrame:
    """Return the table `merging` as readers see it.

    Args:
        merging: The measured experiments.
        rank: The rank of Surgery.

    Returns:
        The table with readable heads.
    """
    rows = merging.rows[merging.rows["rank"].isin([0, rank])]
    names = [merged_label(m) if m else label for m, label in zip(rows["merger"], rows["Model"], strict=True)]
    surgery = [f"rank {r}" if r else "without" if m else "-" for m, r in zip(rows["merger"], rows["rank"], strict=True)]
    table = rows.assign(**{"Data": _trained_on(rows), "Model": names, "Surgery": surgery})
    table = table.set_index(["Data", "Model", "Surgery"])
    shown = pd.DataFrame(index=table.index)
    for name, metric in shown_metrics(Shown.MERGING).items():
        if name in table and table[name].notna().any():
            shown[metric.head] = table[name]
            if f"{name}_std" in table:
                shown[f"± {metric.head}"] = table[f"{name}_std"]
    shown["Mean (%)"] = _bracketed(table, "mean")
    shown["Change by Surgery"] = _bracketed(table, "surgery_gain", "+", 2)
    shown["To joint"] = _bracketed(table, "to_joint", "+", 2)
    shown["Bias (L1)"] = [_number(value, "{:.4f}") for value in table.get("bias", pd.Series(np.nan, table.index))]
    if "bias_change" in table:
        shown["Change of bias"] = [_number(value, "{:+.0f} %") for value in table["bias_change"]]
    for name in MAIN:
        if f"mpc_{name}" in table:
            shown[f"mPC {metrics_by_name()[name].title} (%)"] = table[f"mpc_{name}"]
    shown["Coefficient"] = [value or "-" for value in table["coefficient"]]
    return shown


def _trained_on(rows: pd.DataFrame) -> list[str]:
    columns = (rows["Dataset"], rows["Backbone"], rows["interval_over"])
    return [", ".join(texts) for texts in zip(*columns, strict=True)]


def table_surgery_ranks(merging: Merging) -> pd.DataFrame:
    """Return the data of the ablation of Surgery's rank: every merger without Surgery, then with each rank in ascending order.

    Args:
        merging: The measured experiments.

    Returns:
        The table, indexed by `INDEX`.
    """
    rows = merging.rows[merging.rows["merger"] != ""]
    columns = ["merger", "rank", "surgery_parameters", *MAIN, "mean", "mean_low", "mean_high"]
    columns += ["surgery_gain", "surgery_gain_low", "surgery_gain_high", "bias_activity", "bias_segmentation", "bias"]
    table = _by_rank(rows).set_index(INDEX)[[name for name in (*columns, "bias_change") if name in rows]]
    return table.rename(columns={"rank": "surgery_rank"})


def readable_surgery_ranks(merging: Merging) -> pd.DataFrame:
    """Return the ablation of Surgery's rank as readers see it, one row per merger and rank.

    Args:
        merging: The measured experiments.

    Returns:
        The table with readable heads.
    """
    rows = _by_rank(merging.rows[merging.rows["merger"] != ""])
    shown = pd.DataFrame(
        {
            "Data": _trained_on(rows),
            "Merger": [merged_label(merger) for merger in rows["merger"]],
            "Surgery": ["without" if rank == 0 else f"rank {rank}" for rank in rows["rank"]],
            "Added parameters": rows["surgery_parameters"],
            **{metrics_by_name()[metric].head: rows[metric] for metric in MAIN if metric in rows},
            "Mean (%)": rows["mean"],
            "Change by Surgery": _bracketed(rows, "surgery_gain", "+", 2),
            "Bias, activity": [_number(value, "{:.4f}") for value in rows["bias_activity"]],
            "Bias, segmentation": [_number(value, "{:.4f}") for value in rows["bias_segmentation"]],
        }
    )
    if "bias_change" in rows:
        shown["Change of bias"] = [_number(value, "{:+.0f} %") for value in rows["bias_change"]]
    return shown.set_index(["Data", "Merger", "Surgery"])


def _by_rank(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows ordered by merger and then by rank; the order of the mergers stays."""
    keys = list(dict.fromkeys(rows[["Dataset", "Backbone", "merger"]].itertuples(index=False, name=None)))
    place = [keys.index(key) for key in rows[["Dataset", "Backbone", "merger"]].itertuples(index=False, name=None)]
    return rows.assign(place=place).sort_values(["place", "rank"], kind="stable").drop(columns="place")


def _bracketed(table: pd.DataFrame, name: str, sign: str = "", digits: int = 1) -> list[str]:
    if name not in table:
        return ["-"] * len(table)
    values = table[[name, f"{name}_low", f"{name}_high"]].itertuples(index=False, name=None)
    limits = SHARE if name == "mean" else SHARE_DIFFERENCE
    return [with_brackets(value, low, high, sign, digits, limits) for value, low, high in values]


def _number(value: float, form: str) -> str:
    return "-" if np.isnan(value) else form.format(value)
