"""Merging: what is computed of individual, merged and jointly trained models, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from reports.statistics.condition_scores import EvaluatedModel
from reports.statistics.merging import (
    INDIVIDUAL,
    JOINT,
    ComparedModel,
    Merging,
    MergingCase,
    measure_merging,
    readable_merging,
    readable_surgery_ranks,
    table_merging,
    table_surgery_ranks,
)

IMAGES = 40


def rows(hits: float, overlap: float, seed: int = 0, corruption: bool = False) -> pd.DataFrame:
    """Kept rows of a model that tells a share of activities and covers a share of the one class."""
    random = np.random.default_rng(seed)
    true = np.arange(IMAGES) % 4
    predicted = np.where(np.arange(IMAGES) < round(hits * IMAGES), true, (true + 1) % 4)
    covered = np.round(overlap * 100 + random.uniform(-5, 5, IMAGES))
    clean = pd.DataFrame(
        {
            "frame_id": [f"f{i:02}" for i in range(IMAGES)],
            "sequence": "",
            "corruption": "",
            "severity": 0,
            "mask_warped": True,
            "activity_true": true,
            "activity_predicted": predicted,
            "both_0": 900,
            "truth_0": 900,
            "predicted_0": 900 + (100 - covered),
            "both_1": covered,
            "truth_1": 100,
            "predicted_1": covered,
        }
    )
    if not corruption:
        return clean
    return pd.concat([clean, clean.assign(corruption="smoke", severity=3)], ignore_index=True)


def subject(
    label: str,
    merger: str = "",
    rank: int = 0,
    hits: float = 0.8,
    overlap: float = 0.5,
    bias: float | None = None,
    robust: bool = False,
    seeds: Sequence[int] = (0,),
) -> ComparedModel:
    def model(corruption: bool) -> EvaluatedModel:
        return EvaluatedModel(label, "Toy", [rows(hits, overlap, seed, corruption) for seed in seeds])

    scores = {"accuracy": [hits] * len(seeds), "miou": [overlap + seed / 100 for seed in seeds]}
    biases = {} if bias is None else {"activity": [bias] * len(seeds), "segmentation": [bias] * len(seeds)}
    return ComparedModel(
        label, merger, rank, model(False), model(True) if robust else None, scores, biases, "0.50", 10 * rank
    )


def case(*merged: ComparedModel, joint: bool = True) -> MergingCase:
    last = [subject(f"{JOINT}: TESLA", hits=0.9, overlap=0.6)] if joint else []
    return MergingCase("Toy", "V", [subject(INDIVIDUAL, hits=0.85), *merged, *last])


def measured(*merged: ComparedModel, joint: bool = True) -> Merging:
    return measure_merging([case(*merged, joint=joint)])


def row(found: Merging, label: str) -> pd.Series:
    return found.rows.set_index("Model").loc[label]


def test_the_mean_and_its_changes_are_of_accuracy_and_miou() -> None:
    found = measured(subject("TIES", "ties", 0, 0.7, 0.4, 0.2), subject("TIES + Surgery 16", "ties", 16, 0.8, 0.5, 0.1))
    before, after, joint = (row(found, label) for label in ("TIES", "TIES + Surgery 16", f"{JOINT}: TESLA"))
    assert after["surgery_gain"] == pytest.approx(after["mean"] - before["mean"])
    assert after["surgery_gain_low"] <= after["surgery_gain"] <= after["surgery_gain_high"]
    assert before["to_joint"] == pytest.approx(before["mean"] - joint["mean"]) and before["to_joint"] < 0
    assert after["bias_change"] == pytest.approx(-50)
    assert np.isnan(before["surgery_gain"]) and np.isnan(joint["to_joint"])
    assert row(found, INDIVIDUAL)["accuracy"] == pytest.approx(85)


def test_intervals_are_paired() -> None:
    """Two models that differ by a constant differ by it without each image, however wide their own intervals are."""
    same = rows(0.7, 0.5)
    better = same.assign(activity_predicted=same["activity_true"])
    before = ComparedModel("TIES", "ties", 0, EvaluatedModel("TIES", "Toy", [better]), None, {})
    after = ComparedModel("TIES + Surgery 4", "ties", 4, EvaluatedModel("TIES + Surgery 4", "Toy", [better]), None, {})
    found = row(measured(before, after), "TIES + Surgery 4")
    assert found["surgery_gain"] == found["surgery_gain_low"] == found["surgery_gain_high"] == 0
    assert found["mean_high"] > found["mean_low"]


def test_what_surgery_does_is_said_also_where_it_harms() -> None:
    good = measured(subject("TIES", "ties", 0, 0.7, 0.4, 0.2), subject("TIES + Surgery 16", "ties", 16, 0.8, 0.5, 0.1))
    said = good.note_on_surgery(16)
    assert "Surgery of rank 16 changes the bias of TIES by -50 % and the mean of accuracy and mIoU by +" in said
    assert "intervals without 0" in said and "lower" not in said
    assert "from the jointly trained model" in said and not good.note_on_surgery(4)
    bad = measured(subject("TIES", "ties", 0, 0.9, 0.6, 0.2), subject("TIES + Surgery 16", "ties", 16, 0.8, 0.5, 0.1))
    said = bad.note_on_surgery(16)
    assert "with Surgery of rank 16, this mean is lower for TIES (-" in said
    assert "above the individual models, and Surgery pulls it towards them" in said
    worse = measured(subject("TIES", "ties", 0, 0.5, 0.3, 0.2), subject("TIES + Surgery 16", "ties", 16, 0.4, 0.3, 0.1))
    assert "this mean is lower" in worse.note_on_surgery(16) and "pulls it towards" not in worse.note_on_surgery(16)


def test_tables_hold_the_shown_rank_and_the_ablation_all() -> None:
    merged = [subject(f"TIES {rank}", "ties", rank, bias=0.3 / (1 + rank)) for rank in (0, 16, 4)]
    found = measured(*merged, subject("Averaging", "averaging", 0, bias=0.2))
    table = table_merging(found, 16)
    assert [key[2] for key in table.index] == [INDIVIDUAL, "TIES 0", "TIES 16", "Averaging", f"{JOINT}: TESLA"]
    ranks = table_surgery_ranks(found)
    assert list(zip(ranks["merger"], ranks["surgery_rank"], strict=True)) == [
        ("ties", 0),
        ("ties", 4),
        ("ties", 16),
        ("averaging", 0),
    ]
    assert ranks["surgery_parameters"].tolist() == [0, 40, 160, 0]
    shown = readable_merging(found, 16)
    assert list(shown.index.get_level_values("Surgery")) == ["-", "without", "rank 16", "without", "-"]
    assert readable_surgery_ranks(found).index.get_level_values("Merger").tolist() == ["TIES"] * 3 + ["Averaging"]


def test_seeds_have_a_deviation_and_robustness_a_column() -> None:
    merged = [subject(f"TIES {rank}", "ties", rank, bias=0.2, robust=True, seeds=(0, 1)) for rank in (0, 16)]
    found = measured(*merged)
    assert row(found, "TIES 0")["miou_std"] == pytest.approx(100 * np.std([0.5, 0.51], ddof=1))
    shown = readable_merging(found, 16)
    assert "± mIoU (%)" in shown and "mPC Accuracy (%)" in shown and "mPC mIoU (%)" in shown
    assert row(found, "TIES 0")["mpc_accuracy"] == pytest.approx(80) and np.isnan(
        row(found, INDIVIDUAL)["mpc_accuracy"]
    )


def test_without_a_jointly_trained_model_there_is_no_distance_to_it() -> None:
    found = measured(
        subject("TIES", "ties", 0, bias=0.2), subject("TIES + Surgery 16", "ties", 16, bias=0.1), joint=False
    )
    assert "to_joint" not in found.rows and "jointly" not in found.note_on_surgery(16)
    assert set(readable_merging(found, 16)["To joint"]) == {"-"}


def test_mergers_with_the_same_predictions_are_named() -> None:
    alike = measured(
        subject("Averaging", "averaging"), subject("Sum", "task_arithmetic"), subject("T", "ties", hits=0.7)
    )
    (said,) = alike.same
    assert said.startswith(
        "Toy, V: Averaging (coefficient 0.50) and Task arithmetic (coefficient 0.50) give the same prediction"
    )
    assert "TIES" not in said
    assert measured(subject("A", "averaging"), subject("B", "ties", overlap=0.4)).same == ()
    assert measured(subject("A", "averaging"), subject("B", "averaging", 4)).same == (), "Surgery that changes nothing"


def test_cases_stay_apart() -> None:
    one = case(subject("TIES", "ties", 0, bias=0.2))
    other = MergingCase("Other", "V", [subject(INDIVIDUAL, hits=0.1), subject("TIES", "ties", 0, bias=0.4)])
    found = measure_merging([one, other]).rows.set_index(["Dataset", "Model"])
    assert found.loc[("Toy", INDIVIDUAL), "accuracy"] == 85 and found.loc[("Other", INDIVIDUAL), "accuracy"] == 10
    assert found.loc[("Other", "TIES"), "bias"] == pytest.approx(0.4)


def test_a_dataset_that_only_tests_generalisation_has_no_bias_and_its_harm_is_said() -> None:
    found = measured(subject("TIES", "ties", 0, 0.9, 0.6), subject("TIES + Surgery 16", "ties", 16, 0.8, 0.5))
    assert "bias" not in found.rows
    said = found.note_on_surgery(16)
    assert (
        "Surgery of rank 16 changes the mean of accuracy and mIoU by -" in said and "mean is lower for TIES (-" in said
    )
    shown = readable_merging(found, 16)
    assert set(shown["Bias (L1)"]) == {"-"} and "Change of bias" not in shown
    better = measured(subject("TIES", "ties", 0, 0.7, 0.4), subject("TIES + Surgery 16", "ties", 16, 0.8, 0.5))
    said = better.note_on_surgery(16)
    assert "Surgery of rank 16 changes the mean of accuracy and mIoU by +" in said and "lower" not in said


def test_every_merger_is_said_of_the_compared_ones_and_a_bias_may_rise() -> None:
    models = [
        subject(f"{name} {rank}", name, rank, bias=0.2 + rank / 100)
        for name in ("ties", "averaging")
        for rank in (0, 16)
    ]
    said = measured(*models, subject("task_arithmetic 16", "task_arithmetic", 16, bias=0.1)).note_on_surgery(16)
    assert "changes the bias of every merger by +80 % and" in said and "of 2)" in said
