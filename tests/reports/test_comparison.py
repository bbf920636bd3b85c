"""Models compared with each other, against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from endoarss.metrics import evaluate_classification, scores_from_counts
from reports.errors import ResultsError
from reports.statistics.brackets import with_brackets
from reports.statistics.comparison import compare, vary_scores
from reports.statistics.condition_scores import EvaluatedModel
from reports.statistics.variation import gap_of_best, interval, p_values, say_intervals
from reports.tables.comparison import readable_comparison, table_comparison, table_pairs

CLASSES, ACTIVITIES = 4, 3


def rows(seed: int, images: int = 15, sequences: int = 5, quality: float = 0.7, masks: bool = True) -> pd.DataFrame:
    """Rows of a made-up model; the truth is the same for every seed, class 3 is rare."""
    random, truths = np.random.default_rng(seed), np.random.default_rng(99)
    truth = truths.integers(1, 500, (images, CLASSES)) * (truths.random((images, CLASSES)) < (1, 0.8, 0.6, 0.2))
    activity = truths.integers(0, ACTIVITIES, images)
    both = (truth * random.uniform(quality, 1, truth.shape)).astype(int)
    hit = random.random(images) < quality
    found = {
        "frame_id": [f"f{i:03d}" for i in range(images)],
        "sequence": [f"s{i % sequences}" if sequences else "" for i in range(images)],
        "corruption": "",
        "severity": 0,
        "mask_warped": True,
        "activity_true": activity,
        "activity_predicted": np.where(hit, activity, (activity + 1) % ACTIVITIES),
    }
    if masks:
        predicted = both + random.integers(0, 90, both.shape)
        for i in range(CLASSES):
            found |= {f"both_{i}": both[:, i], f"truth_{i}": truth[:, i], f"predicted_{i}": predicted[:, i]}
            if i:
                present = truth[:, i] > 0
                for kind in ("hd", "hd95", "assd", "ssim"):
                    found[f"{kind}_{i}"] = np.where(present, random.uniform(0, 1, images), np.nan)
    return pd.DataFrame(found)


def model(label: str, *runs: pd.DataFrame, dataset: str = "Toy") -> EvaluatedModel:
    return EvaluatedModel(label, dataset, runs or (rows(len(label)),))


def direct(table: pd.DataFrame) -> dict[str, float]:
    """The scores of some images."""
    answers = evaluate_classification(table["activity_true"], table["activity_predicted"], ACTIVITIES)
    counts = np.stack([table[[f"{k}_{i}" for i in range(CLASSES)]].sum() for k in ("both", "truth", "predicted")])
    masks = scores_from_counts(counts)
    means = table[[f"hd95_{i}" for i in range(1, CLASSES)]].mean()
    return {
        "accuracy": answers.accuracy,
        "macro_f1": answers.macro_f1,
        "miou": masks.miou,
        "dice": masks.dice,
        "hd95": float(means.mean()),
    }


def test_each_row_is_what_the_other_sequences_score() -> None:
    table = rows(1, images=40)
    found = vary_scores([model("A", table)])
    assert found.interval_over == "5 sequences" and found.variation.units == 5
    left_out = [None, *sorted(set(table["sequence"]))]
    for place, sequence in enumerate(left_out):
        for metric, expected in direct(table[table["sequence"] != sequence]).items():
            assert found.scores["A"][metric][place] == pytest.approx(expected), (sequence, metric)


def test_trainings_are_left_out_too_from_three_on() -> None:
    runs = [rows(seed) for seed in (1, 2, 3)]
    found = vary_scores([model("A", *runs), model("B", *runs[:2])])
    assert found.variation.seeds == {"A": 3} and found.seeds == {"A": 3, "B": 2}
    scores = [direct(run)["miou"] for run in runs]
    a, b = found.scores["A"]["miou"], found.scores["B"]["miou"]
    assert a[0] == pytest.approx(np.mean(scores)) and b[0] == pytest.approx(np.mean(scores[:2]))
    np.testing.assert_allclose(a[6:], [np.mean(np.delete(scores, k)) for k in range(3)])
    np.testing.assert_allclose(b[6:], b[0])
    error, _ = found.variation.spread(a)
    images = 4 / 5 * np.sum((a[1:6] - a[1:6].mean()) ** 2)
    assert error**2 == pytest.approx(images + np.var(scores, ddof=1) / 3)


def test_models_of_the_same_trainings_vary_together() -> None:
    runs = [rows(seed) for seed in (1, 2, 3)]
    together = [EvaluatedModel(label, "Toy", runs, "one") for label in "AB"]
    found = vary_scores(together)
    assert found.variation.seeds == {"one": 3}
    np.testing.assert_array_equal(found.scores["A"]["miou"], found.scores["B"]["miou"])


def test_intervals_ranks_and_differences_against_loops() -> None:
    models = [
        model("best", rows(1, quality=0.95)),
        model("middle", rows(2, quality=0.7)),
        model("worst", rows(3, quality=0.3)),
    ]
    found, varied = compare(models), vary_scores(models)
    for metric, better in (("miou", 1), ("hd95", -1)):
        table = found.scores[found.scores["metric"] == metric].set_index("model")
        scores = {m.label: varied.scores[m.label][metric] for m in models}
        values = {label: better * of_model for label, of_model in scores.items()}
        top = max(values, key=lambda label: values[label][0])
        for label, own in values.items():
            others = [values[other] for other in values if other != label]
            row = table.loc[label]
            assert row["rank"] == 1 + sum(other[0] > own[0] for other in others)
            p = [float(p_values(own - other, varied.variation)) for other in others]
            ahead = [q < 0.025 and other[0] > own[0] for q, other in zip(p, others, strict=True)]
            behind = [q < 0.025 and other[0] < own[0] for q, other in zip(p, others, strict=True)]
            assert (row["rank_low"], row["rank_high"]) == (1 + sum(ahead), 3 - sum(behind))
            assert row["best"] == top and row["to_best"] == pytest.approx(scores[label][0] - scores[top][0])
            gaps = np.stack([own - other for other in others], axis=1)[:, None]
            gap = gap_of_best(gaps, varied.variation)
            ends = sorted(better * min(end, 0) for end in (gap.low, gap.high))
            assert row[["to_best_low", "to_best_high"]].tolist() == pytest.approx(ends)
            assert ends[0] <= row["to_best"] <= ends[1]
    pairs = found.pairs[found.pairs["metric"] == "miou"].set_index(["model", "other"])
    gap = varied.scores["best"]["miou"] - varied.scores["worst"]["miou"]
    pair = pairs.loc[("best", "worst")]
    assert pair[["low", "high"]].tolist() == pytest.approx([float(end) for end in interval(gap, varied.variation)])
    assert pair["difference"] == pytest.approx(gap[0]) and pair["p"] == pytest.approx(p_values(gap, varied.variation))
    assert len(pairs) == 3 and (pair["p"] < 0.05) == (pair["low"] > 0)


def test_a_model_ties_with_its_copy() -> None:
    found = compare([model("A", rows(1)), model("B", rows(1)), model("C", rows(2, quality=0.1))])
    miou = found.scores[found.scores["metric"] == "miou"].set_index("model")
    assert miou.loc["A", "rank"] == miou.loc["B", "rank"] == 1 and miou.loc["C", "rank"] == 3
    pair = found.pairs.set_index(["metric", "model", "other"]).loc[("miou", "A", "B")]
    assert pair["difference"] == pair["low"] == pair["high"] == 0 and pair["p"] == 1


def test_one_image_has_no_interval_and_says_so() -> None:
    found = compare([model("A", rows(1, images=1)), model("B", rows(2, images=1))])
    assert found.scores["low"].isna().all() and found.scores["value"].notna().any()
    assert say_intervals(found.intervals) == "Toy: no intervals, because there is only 1 sequence."
    assert "[" not in readable_comparison(found.scores).to_string()
    assert found.pairs["p"].isna().all() and found.scores["rank_low"].isna().all()


def test_models_of_one_task_and_datasets_apart() -> None:
    models = [model("A"), model("activities", rows(4, masks=False)), model("A", rows(5), dataset="Other")]
    found = compare(models)
    assert set(found.scores.loc[found.scores["model"] == "activities", "metric"]) == {"accuracy", "macro_f1"}
    other = found.scores[found.scores["dataset"] == "Other"]
    assert set(other["model"]) == {"A"} and (other["rank"] == 1).all()
    assert found.pairs["dataset"].unique().tolist() == ["Toy"]
    shown = readable_comparison(found.scores)
    assert shown.loc[("Toy, 5 sequences", "activities"), ("mIoU (%)", "score")] == "-"
    alone = shown.loc[("Other, 5 sequences", "A"), "Accuracy (%)"]
    assert alone["score"] != "-" and set(alone[["to best", "place"]]) == {"-"}, "there is no other model"
    assert shown.loc[("Toy, 5 sequences", "A"), ("Accuracy (%)", "place")] != "-"
    data = table_comparison(found.scores)
    assert data.loc[("Toy", "miou", "A"), "value"] == pytest.approx(
        100 * found.scores.query("dataset == 'Toy' and metric == 'miou'")["value"].iloc[0]
    )
    assert set(data["unit"]) == {"%", "px"} and table_pairs(found.pairs).index.nlevels == 4


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(ResultsError, match="two models are called 'A'"):
        compare([model("A"), model("A", rows(7))])
    with pytest.raises(
        ResultsError, match="A and B on Toy: they were evaluated on different images. Only one of them has 'f014'"
    ):
        compare([model("A"), model("B", rows(7, images=14))])
    other = rows(7)
    other.loc[3, "truth_1"] += 1
    with pytest.raises(ResultsError, match="A and B on Toy: truth_1 of the image 'f003' differs"):
        compare([model("A"), model("B", other)])


def rare_class(own: int) -> pd.DataFrame:
    """Rows in which the classes 2 and 3 are nowhere, and class 1 is in one of three sequences, of whose pixels so many are found."""
    table = rows(1, images=6, sequences=3)
    for i in (2, 3):
        table[[f"{kind}_{i}" for kind in ("both", "truth", "predicted")]] = 0
        table[[f"{kind}_{i}" for kind in ("hd", "hd95", "assd", "ssim")]] = np.nan
    there = table["sequence"] == "s0"
    table.loc[~there, ["both_1", "truth_1", "predicted_1"]] = 0
    table.loc[~there, ["hd_1", "hd95_1", "assd_1", "ssim_1"]] = np.nan
    table.loc[there, "both_1"] = own
    table.loc[there, ["truth_1", "predicted_1"]] = 10
    table.loc[there, "hd_1"] = 10 - own
    return table


def test_a_class_of_one_sequence_stays_in_the_mean_without_it() -> None:
    """Its IoU is 1/2 where nothing is known of it; a distance keeps its own."""
    table = rare_class(0)
    found = vary_scores([model("A", table)])
    without = table[table["sequence"] != "s0"][["both_0", "truth_0", "predicted_0"]].sum()
    background = without["both_0"] / (without["truth_0"] + without["predicted_0"] - without["both_0"])
    assert found.scores["A"]["miou"][1] == pytest.approx((background + 0.5) / 2)
    np.testing.assert_allclose(found.scores["A"]["hd"], 10)
    scores = compare([model("A", table)]).scores.set_index("metric").loc["miou"]
    assert scores["low"] < scores["value"] < scores["high"]


def test_a_difference_in_one_sequence_alone_is_not_certain() -> None:
    pairs = compare([model("A", rare_class(8)), model("B", rare_class(2))]).pairs.set_index("metric")
    assert pairs.loc["miou", "difference"] > 0.1 and pairs.loc["miou", "p"] > 0.2
    assert pairs.loc["accuracy", "difference"] == 0 and pairs.loc["accuracy", "p"] == 1


def test_the_accuracy_is_that_of_the_answers_where_an_activity_lacks() -> None:
    table = rows(1, images=6, sequences=3)
    table.loc[table["sequence"] == "s0", "activity_true"] = 2
    table.loc[table["sequence"] != "s0", "activity_true"] = 1
    found = vary_scores([model("A", table)]).scores["A"]["accuracy"]
    rest = table[table["sequence"] != "s0"]
    assert found[1] == pytest.approx((rest["activity_true"] == rest["activity_predicted"]).mean())


def test_the_csv_has_the_computed_interval_and_the_printed_table_the_possible_one() -> None:
    runs = rows(1, sequences=3, quality=0.95)
    hits = runs["sequence"] != "s0"
    runs["activity_predicted"] = runs["activity_true"].where(hits, (runs["activity_true"] + 1) % ACTIVITIES)
    runs.loc[hits, "hd95_1"] = 0.0
    found, varied = compare([model("A", runs)]), vary_scores([model("A", runs)])
    table = table_comparison(found.scores).loc["Toy"]
    for metric, scale in (("accuracy", 100), ("hd95", 1)):
        low, high = interval(varied.scores["A"][metric], varied.variation)
        assert table.loc[(metric, "A"), ["low", "high"]].tolist() == pytest.approx([scale * low, scale * high])
    assert table.loc[("accuracy", "A"), "high"] > 100 and table.loc[("hd95", "A"), "low"] < 0
    shown = readable_comparison(found.scores).iloc[0]
    assert shown["Accuracy (%)", "score"].endswith(", 100.0]") and "[0.0, " in shown["HD95 (px)", "score"]


def test_brackets() -> None:
    nan = float("nan")
    assert with_brackets(1.25, 1.0, 2.0) == "1.2 [1.0, 2.0]" and with_brackets(1, nan, nan, "+", 2) == "+1.00"
    assert with_brackets(nan, nan, nan) == "-"
