"""Comparison of merged models with individual and jointly trained ones: scores, bias, and the effect of Surgery.

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
from reports.statistics.variation import Array, note_of_intervals, with_interval

INDIVIDUAL, JOINT = "Individual models", "Jointly trained"
INDEX = ["Dataset", "Backbone", "Model"]


@dataclass(frozen=True)
class ComparedModel:
    """A model that the tables compare; one row of them.

    Attributes:
        label: Name that readers see.
        merger: Merging method, "" for individual and jointly trained models.
        rank: Rank of Surgery, 0 without Surgery.
        clean: Predictions on clean images, one run per seed.
        robust: Predictions under corruption, None if they were not evaluated.
        scores: By metric, the stored scores, one per seed.
        bias: By task, the mean L1 distance to the individual model's representations, one per seed.
        coefficient: Coefficients that the merger selected, in words.
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
        subjects: Individual models, merged models, then the jointly trained model, all with the same seeds, so that differences are paired.
    """

    dataset: str
    backbone: str
    subjects: Sequence[ComparedModel]


@dataclass(frozen=True)
class Merging:
    """The results of merging experiments that tables and figures show.

    Attributes:
        rows: One row per model with `INDEX`, merger and rank; scores in percent or pixels, bias without unit, `<x>_low` and
            `<x>_high` the ends of intervals.
        said: Pairs of a rank and a sentence about the effect of Surgery of that rank.
        intervals: Sentences that say what the intervals are computed over.
        same: Sentences that name merged models with the same predictions, whose rows are identical.
    """

    rows: pd.DataFrame
    said: tuple[tuple[int, str], ...]
    intervals: tuple[str, ...]
    same: tuple[str, ...] = ()

    def words(self, rank: int) -> str:
        """Return the sentences about Surgery of a rank.

        Args:
            rank: The rank.

        Returns:
            The sentences as one text.
        """
        return " ".join(sentence for of, sentence in self.said if of == rank)


def measure_merging(cases: Sequence[MergingCase]) -> Merging:
    """Measure merging experiments for tables and figures.

    Args:
        cases: Experiments with results, scored under the standard protocol.

    Returns:
        The rows and sentences that are shown.

    Raises:
        ResultsError: For the reasons of `vary_scores` and `vary_mpc`.
    """
    frames, said, intervals, same = [], [], [], list[str]()
    for case in cases:
        found = vary_scores([subject.clean for subject in case.subjects])
        frame = pd.DataFrame([_row(case, subject, found) for subject in case.subjects])
        robust = [subject.robust for subject in case.subjects if subject.robust is not None]
        if robust:
            mpc = vary_mpc(robust).scores
            for metric in MAIN:
                values = {label: 100 * scores[metric][0] for label, scores in mpc.items() if metric in scores}
                frame[f"mpc_{metric}"] = frame["Model"].map(values)
        frames.append(frame)
        same += _identical(case)
        said += _sentences(case, frame)
        intervals.append(note_of_intervals(case.dataset, found.units, found.variation))
    return Merging(pd.concat(frames, ignore_index=True), tuple(said), tuple(dict.fromkeys(intervals)), tuple(same))


def _mean(scores: Mapping[str, Array]) -> Array:
    """Return the mean of accuracy and mIoU as a varied value."""
    return np.mean([scores[metric] for metric in MAIN], axis=0)


def _row(case: MergingCase, subject: ComparedModel, found: VariedScores) -> dict[str, float | str | int]:
    row: dict[str, float | str | int] = {
        "Dataset": case.dataset,
        "Backbone": case.backbone,
        "Model": subject.label,
        "merger": subject.merger,
        "rank": subject.rank,
    }
    for metric, measure in shown_metrics(Shown.TABLES).items():
        values = measure.scale * np.asarray(subject.scores.get(metric, [np.nan]), np.float64)
        row[metric] = float(values.mean())
        if len(values) > 1:
            row[f"{metric}_std"] = float(values.std(ddof=1))
    means = {label: _mean(scores) for label, scores in found.scores.items()}
    own = means[subject.label]
    row |= _with_ends("mean", own, found) | {"interval_over": found.units}
    without = _model_of(case, subject.merger, 0)
    if subject.rank and without is not None:
        row |= _with_ends("surgery_gain", own - means[without.label], found)
    joint = _model_of(case, "", 0, JOINT)
    if subject.merger and joint is not None:
        row |= _with_ends("to_joint", own - means[joint.label], found)
    individual = _model_of(case, "", 0, INDIVIDUAL)
    if subject.merger and individual is not None:
        row |= _with_ends("to_individual", own - means[individual.label], found)
    row |= {f"bias_{task}": float(np.mean(of_seeds)) for task, of_seeds in subject.bias.items()}
    if subject.bias:
        bias = float(np.mean(list(subject.bias.values())))
        row["bias"] = bias
        if subject.rank and without is not None:
            row["bias_change"] = 100 * (bias / float(np.mean(list(without.bias.values()))) - 1)
    row["coefficient"] = subject.coefficient
    row["surgery_parameters"] = subject.parameters
    return row


def _with_ends(name: str, varied: Array, of: VariedScores) -> dict[str, float]:
    value, low, high = with_interval(100 * varied, of.variation)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _model_of(case: MergingCase, merger: str, rank: int, label: str = "") -> ComparedModel | None:
    return next(
        (s for s in case.subjects if (s.merger, s.rank) == (merger, rank) and s.label.startswith(label)),
        None,
    )


def _sentences(case: MergingCase, frame: pd.DataFrame) -> list[tuple[int, str]]:
    """Return sentences on how Surgery of each rank changes bias and scores, and how far merged models are from joint training."""
    where = f"{case.dataset}, {case.backbone}: "
    said = []
    for rank, operated in frame[frame["rank"] > 0].groupby("rank", sort=False):
        if "surgery_gain" not in operated or operated["surgery_gain"].isna().all():
            continue  # no merger without it to compare with
        gains = operated["surgery_gain"]
        worse = operated[gains < -1e-9]
        measured = "bias_change" in operated and operated["bias_change"].notna().any()
        does = f"{where}Surgery of rank {rank}"
        if measured:
            of = "every merger" if len(operated) > 1 else str(operated["Model"].iloc[0])
            does += f" cuts the bias of {of} by {_range(-operated['bias_change'], '.0f')} %"
        if worse.empty:
            does += f"{' and' if measured else ''} lowers the mean of accuracy and mIoU of none"
            does += f" ({_range(gains, '+.2f')} points; {_sure(operated, 'surgery_gain')})."
        else:
            does += f"{', BUT' if measured else ''} LOWERS the mean of accuracy and mIoU of {_listed(frame, worse)}."
        sentences = [does]
        if "to_joint" in operated and operated["to_joint"].notna().any():
            far, sure = _range(operated["to_joint"], "+.2f"), _sure(operated, "to_joint")
            sentences.append(f"{where}with it, merged models are {far} points from the jointly trained one ({sure}).")
        sentences += [f"{where}{sentence}" for sentence in _under_corruption(frame, operated)]
        said += [(int(str(rank)), sentence) for sentence in sentences]
    return said


def _identical(case: MergingCase) -> list[str]:
    """Return a sentence per group of mergers whose models give the same predictions for every image and seed."""
    groups: list[list[ComparedModel]] = []
    for subject in case.subjects:
        if subject.merger and not subject.rank:
            group = next((group for group in groups if _same_predictions(group[0], subject)), None)
            if group is None:
                groups.append([subject])
            else:
                group.append(subject)
    sentences = []
    for group in groups:
        if len(group) > 1:
            names = " and ".join(
                f"{merged_label(s.merger)} (coefficient {s.coefficient})" if s.coefficient else merged_label(s.merger)
                for s in group
            )
            sentences.append(
                f"{case.dataset}, {case.backbone}: {names} are the same model here, because they give the same prediction for every "
                "test image; their rows are identical."
            )
    return sentences


def _same_predictions(one: ComparedModel, other: ComparedModel) -> bool:
    runs, others = one.clean.rows, other.clean.rows
    return len(runs) == len(others) and all(a.equals(b) for a, b in zip(runs, others, strict=True))


def _sure(rows: pd.DataFrame, name: str) -> str:
    """Return in words how many intervals exclude 0."""
    out = int(((rows[f"{name}_low"] > 0) | (rows[f"{name}_high"] < 0)).sum())
    return f"{out} of {len(rows)} intervals exclude 0"


def _under_corruption(frame: pd.DataFrame, operated: pd.DataFrame) -> list[str]:
    """Return sentences on how Surgery changes the means over corruptions."""
    changes = []
    for metric in MAIN:
        name = f"mpc_{metric}"
        if name in frame and operated[name].notna().any():
            without = frame[(frame["rank"] == 0) & (frame["merger"] != "")].set_index("merger")[name]
            gains = pd.Series(operated[name].to_numpy() - without.reindex(operated["merger"]).to_numpy()).dropna()
            if len(gains):
                changes.append(f"mPC of {metrics_by_name()[metric].title} by {_range(gains, '+.2f')} points")
    return [f"it changes {' and '.join(changes)}."] if changes else []


def _range(values: pd.Series, form: str) -> str:
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"


def _listed(frame: pd.DataFrame, worse: pd.DataFrame) -> str:
    """Return the models that Surgery makes worse, by how much, and whether they were better than the individual models."""
    words = []
    for row in worse.to_dict("records"):
        gain = (row["surgery_gain"], row["surgery_gain_low"], row["surgery_gain_high"])
        gap = with_brackets(*gain, sign="+", digits=2, limits=SHARE_DIFFERENCE)
        without = frame[(frame["merger"] == row["merger"]) & (frame["rank"] == 0)].iloc[0]
        above = float(without.get("to_individual", np.nan))
        because = (
            f", which without it was {above:+.2f} points from the individual models that Surgery pulls towards"
            if above >= 0
            else ""
        )
        words.append(f"{merged_label(str(row['merger']))} ({gap} points{because})")
    return ", ".join(words)


def table_merging(found: Merging, rank: int) -> pd.DataFrame:
    """Return the table `merging` as data: individual models, each merger without Surgery and with one rank, and the joint model.

    Args:
        found: The measured experiments.
        rank: The rank of Surgery.

    Returns:
        The table, indexed by `INDEX`.
    """
    rows = found.rows[found.rows["rank"].isin([0, rank])]
    return rows.set_index(INDEX).rename(columns={"rank": "surgery_rank"}).dropna(axis=1, how="all")


def readable_merging(found: Merging, rank: int) -> pd.DataFrame:
    """Return the table `merging` as readers see it.

    Args:
        found: The measured experiments.
        rank: The rank of Surgery.

    Returns:
        The table with readable heads.
    """
    rows = found.rows[found.rows["rank"].isin([0, rank])]
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


def table_surgery_ranks(found: Merging) -> pd.DataFrame:
    """Return the ablation of ranks as data: every merger without Surgery and with each rank in ascending order.

    Args:
        found: The measured experiments.

    Returns:
        The table, indexed by `INDEX`.
    """
    rows = found.rows[found.rows["merger"] != ""]
    columns = ["merger", "rank", "surgery_parameters", *MAIN, "mean", "mean_low", "mean_high"]
    columns += ["surgery_gain", "surgery_gain_low", "surgery_gain_high", "bias_activity", "bias_segmentation", "bias"]
    chosen = _by_rank(rows).set_index(INDEX)[[name for name in (*columns, "bias_change") if name in rows]]
    return chosen.rename(columns={"rank": "surgery_rank"})


def readable_surgery_ranks(found: Merging) -> pd.DataFrame:
    """Return the ablation of ranks as readers see it, one row per merger and rank.

    Args:
        found: The measured experiments.

    Returns:
        The table with readable heads.
    """
    rows = _by_rank(found.rows[found.rows["merger"] != ""])
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
    """Return the rows by merger, in the given order, and by ascending rank."""
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
