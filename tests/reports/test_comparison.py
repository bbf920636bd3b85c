"""Models beside each other, against plain loops over replicates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from reports.statistics.bootstrap import draw_weights, with_brackets

from endoarss.metrics import evaluate_classification, scores_from_counts
from reports.errors import ResultsError
from reports.statistics.comparison import compare, replicate_scores
from reports.statistics.condition_scores import EvaluatedModel, images_of
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


def direct(table: pd.DataFrame, times: np.ndarray) -> dict[str, float]:
    """The scores of the images, each repeated as often as it was drawn."""
    drawn = table.loc[table.index.repeat(times)]
    answers = evaluate_classification(drawn["activity_true"], drawn["activity_predicted"], ACTIVITIES)
    counts = np.stack([drawn[[f"{k}_{i}" for i in range(CLASSES)]].sum() for k in ("both", "truth", "predicted")])
    masks = scores_from_counts(counts)
    means = drawn[[f"hd95_{i}" for i in range(1, CLASSES)]].mean()
    return {
        "accuracy": answers.accuracy,
        "macro_f1": answers.macro_f1,
        "miou": masks.miou,
        "dice": masks.dice,
        "hd95": float(means.mean()),
    }


def test_every_replicate_is_what_its_images_score() -> None:
    table = rows(1)
    one = model("A", table)
    found = replicate_scores([one], replicates=40, seed=3)
    images = images_of([one])
    weights = draw_weights(len(images.starts), 40, 3).astype(int)
    units = sorted(set(table["sequence"]))
    for replicate, drawn in enumerate(weights):
        times = table["sequence"].map(dict(zip(units, drawn, strict=True))).to_numpy()
        for metric, expected in direct(table, times).items():
            assert found.scores["A"][metric][replicate] == pytest.approx(expected), (replicate, metric)


def test_intervals_ranks_and_differences_against_loops() -> None:
    models = [
        model("best", rows(1, quality=0.95)),
        model("middle", rows(2, quality=0.7)),
        model("worst", rows(3, quality=0.3)),
    ]
    found, scores = compare(models, 300), replicate_scores(models, 300).scores
    for metric, better in (("miou", 1), ("hd95", -1)):
        table = found.scores[found.scores["metric"] == metric].set_index("model")
        values = better * np.stack([scores[m.label][metric] for m in models], axis=1)
        ranks = np.array([[1 + sum(other > one for other in line) for one in line] for line in values])
        for i, m in enumerate(models):
            assert table.loc[m.label, "rank"] == ranks[0, i]
            low, high = np.quantile(ranks[1:, i], [0.025, 0.975])
            assert table.loc[m.label, ["rank_low", "rank_high"]].tolist() == pytest.approx([low, high])
            gap = scores[m.label][metric] - scores[models[int(values[0].argmax())].label][metric]
            assert table.loc[m.label, "to_best"] == pytest.approx(gap[0])
            assert table.loc[m.label, "to_best_high"] == pytest.approx(np.quantile(gap[1:], 0.975))
    pairs = found.pairs[found.pairs["metric"] == "miou"].set_index(["model", "other"])
    gap = scores["best"]["miou"] - scores["worst"]["miou"]
    assert pairs.loc[("best", "worst"), "difference"] == pytest.approx(gap[0])
    assert pairs.loc[("best", "worst"), "wins"] == np.mean(gap[1:] > 0)
    assert len(pairs) == 3


def test_a_model_ties_with_its_copy() -> None:
    found = compare([model("A", rows(1)), model("B", rows(1)), model("C", rows(2, quality=0.1))], 100)
    miou = found.scores[found.scores["metric"] == "miou"].set_index("model")
    assert miou.loc["A", "rank"] == miou.loc["B", "rank"] == 1 and miou.loc["C", "rank"] == 3
    pair = found.pairs.set_index(["metric", "model", "other"]).loc[("miou", "A", "B")]
    assert pair["difference"] == pair["low"] == pair["high"] == 0 and pair["wins"] == 0.5


def test_several_seeds_are_averaged_in_every_replicate() -> None:
    both = replicate_scores([model("A", rows(1), rows(2))], 50).scores["A"]["miou"]
    single = [replicate_scores([model("A", rows(seed))], 50).scores["A"]["miou"] for seed in (1, 2)]
    np.testing.assert_allclose(both, np.mean(single, axis=0))


def test_one_image_has_no_interval_and_says_so() -> None:
    found = compare([model("A", rows(1, images=1)), model("B", rows(2, images=1))])
    assert found.scores["low"].isna().all() and found.scores["value"].notna().any()
    assert found.intervals == ("Toy: no intervals, for there is 1 sequence alone.",)
    assert "[" not in readable_comparison(found.scores).to_string()
    assert set(found.pairs["wins"]) <= {0.0, 0.5, 1.0}


def test_models_of_one_task_and_datasets_apart() -> None:
    models = [model("A"), model("activities", rows(4, masks=False)), model("A", rows(5), dataset="Other")]
    found = compare(models, 50)
    assert set(found.scores.loc[found.scores["model"] == "activities", "metric"]) == {"accuracy", "macro_f1"}
    other = found.scores[found.scores["dataset"] == "Other"]
    assert set(other["model"]) == {"A"} and (other["rank"] == 1).all()
    assert found.pairs["dataset"].unique().tolist() == ["Toy"]
    shown = readable_comparison(found.scores)
    assert shown.loc[("Toy", "activities"), ("mIoU (%)", "score")] == "-"
    data = table_comparison(found.scores)
    assert data.loc[("Toy", "miou", "A"), "value"] == pytest.approx(
        100 * found.scores.query("dataset == 'Toy' and metric == 'miou'")["value"].iloc[0]
    )
    assert set(data["unit"]) == {"%", "px"} and table_pairs(found.pairs).index.nlevels == 4


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(ResultsError, match="two models are called 'A'"):
        compare([model("A"), model("A", rows(7))])
    with pytest.raises(ResultsError, match="A and B on Toy: evaluated on different images, 'f014'"):
        compare([model("A"), model("B", rows(7, images=14))])
    other = rows(7)
    other.loc[3, "truth_1"] += 1
    with pytest.raises(ResultsError, match="A and B on Toy: truth_1 of the image 'f003' differs"):
        compare([model("A"), model("B", other)])


def test_replicates_without_a_score_are_no_losses() -> None:
    """Class 1 alone is foreground and is in one sequence: a replicate without it has no HD."""
    table = rows(1, images=6, sequences=3)
    for i in (2, 3):
        table[[f"{kind}_{i}" for kind in ("both", "truth", "predicted")]] = 0
        table[[f"{kind}_{i}" for kind in ("hd", "hd95", "assd", "ssim")]] = np.nan
    rare = table["sequence"] != "s0"
    table.loc[rare, ["both_1", "truth_1", "predicted_1"]] = 0
    table.loc[rare, ["hd_1", "hd95_1", "assd_1", "ssim_1"]] = np.nan
    table.loc[~rare, ["both_1", "truth_1", "predicted_1", "hd_1"]] = 5
    worse = table.assign(hd_1=table["hd_1"] + 4)
    pairs = compare([model("A", table), model("B", worse)], 300).pairs.set_index("metric")
    assert pairs.loc["hd", "wins"] == 1 and pairs.loc["hd", "difference"] == -4


def test_brackets() -> None:
    nan = float("nan")
    assert with_brackets(1.25, 1.0, 2.0) == "1.2 [1.0, 2.0]" and with_brackets(1, nan, nan, "+", 2) == "+1.00"
    assert with_brackets(nan, nan, nan) == "-"
