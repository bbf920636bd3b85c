"""Robustness against plain loops, its properties, and input that is not as one would wish."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from endoarss.metrics import evaluate_classification, scores_from_counts
from endoarss.metrics.catalogue import Shown, shown_metrics
from pipeline.reporting.robustness import write_robustness_report
from pipeline.reporting.robustness_page import report_robustness
from reports.errors import ResultsError
from reports.figures.robustness import draw_retention, draw_severity
from reports.page import scores_of
from reports.statistics.comparison import vary_mpc
from reports.statistics.condition_scores import KEYS, grid_of, images_of, score_model, score_run
from reports.statistics.robustness import EvaluatedModel, Robustness, measure_robustness, ratio
from reports.statistics.variation import say_intervals
from reports.tables import robustness as robustness_tables
from reports.tables import scores as tables
from reports.tables.latex import to_latex
from tests.sampled import one_in

CATEGORIES = {"occlusion": ("smoke", "spatter"), "digital": ("contrast", "elastic_transform")}
NAMES = ("contrast", "elastic_transform", "smoke")
CLASSES = 4
COUNTS = [f"{kind}_{index}" for kind in ("both", "truth", "predicted") for index in range(CLASSES)]
MARK = "SYNTHETIC DATA. Study toy"


def answers(
    seed: int, images: int = 12, sequences: int = 4, names: Sequence[str] = NAMES, severities: Sequence[int] = (1, 3, 5)
) -> pd.DataFrame:
    """Rows of a made-up model that gets worse with severity. Truth is the same for every seed; class 3 is rare."""
    random, truths = np.random.default_rng(seed), np.random.default_rng(99)
    truth = truths.integers(1, 500, (images, CLASSES)) * (truths.random((images, CLASSES)) < (1, 0.8, 0.6, 0.2))
    activity = truths.integers(0, 3, images)
    conditions = [("", 0, True), *((name, s, True) for name in names for s in severities)]
    conditions += [("elastic_transform", s, False) for s in severities if "elastic_transform" in names]
    frames = []
    for name, severity, moved in conditions:
        share = random.uniform(0.5, 0.95, (images, CLASSES)) ** (1 + severity * (1 if moved else 2) / 2)
        both = (truth * share).astype(int)
        predicted = both + random.integers(0, 100, (images, CLASSES))
        hit = random.random(images) < 0.9 - 0.12 * severity
        rows = {
            "frame_id": [f"frame_{i:03d}" for i in range(images)],
            "sequence": [f"s{i % sequences}" if sequences else "" for i in range(images)],
            "corruption": name,
            "severity": severity,
            "mask_warped": moved,
            "activity_true": activity,
            "activity_predicted": np.where(hit, activity, (activity + 1) % 3),
        }
        for index in range(CLASSES):
            rows |= {f"both_{index}": both[:, index], f"truth_{index}": truth[:, index]}
            rows[f"predicted_{index}"] = predicted[:, index]
            if index:
                for kind in ("hd95", "assd"):
                    measured = (truth[:, index] > 0) | (random.random(images) < 0.3)
                    rows[f"{kind}_{index}"] = np.where(measured, random.uniform(0, 40, images), np.nan)
        frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)


def model(label: str = "A", *runs: pd.DataFrame, dataset: str = "Toy") -> EvaluatedModel:
    return EvaluatedModel(label, dataset, runs or (answers(len(label)),))


def measured(*models: EvaluatedModel, baseline: str | None = None) -> Robustness:
    return measure_robustness(models, CATEGORIES, {"Toy": baseline} if baseline else {})


def row(found: Robustness, quantity: str, of: str = "", metric: str = "miou", label: str = "A") -> pd.Series:
    """The one row of a quantity."""
    rows = found.summary[
        (found.summary[["quantity", "of", "metric", "model"]] == [quantity, of, metric, label]).all(axis=1)
    ]
    assert len(rows) == 1
    return rows.iloc[0]


def one_condition(rows: pd.DataFrame, name: str, severity: int, moved: bool = True) -> pd.DataFrame:
    return rows[(rows["corruption"] == name) & (rows["severity"] == severity) & (rows["mask_warped"] == moved)]


def plain_score(rows: pd.DataFrame, metric: str) -> float:
    """A score of some rows as the standard protocol computes it."""
    if metric in ("accuracy", "macro_f1"):
        true, predicted = rows["activity_true"].to_numpy(), rows["activity_predicted"].to_numpy()
        return float(getattr(evaluate_classification(true, predicted, 3, "standard"), metric))
    if metric in ("miou", "dice"):
        return float(getattr(scores_from_counts(rows[COUNTS].to_numpy().sum(axis=0).reshape(3, CLASSES)), metric))
    if metric == "modal_share":
        return float(rows["activity_predicted"].value_counts().max() / len(rows))
    of_class = []
    for index in range(1, CLASSES):
        if rows[f"truth_{index}"].sum():
            of_class.append(np.mean([value for value in rows[f"{metric}_{index}"] if not np.isnan(value)]))
    return float(np.mean(of_class))


def plain_grid(rows: pd.DataFrame, metric: str) -> tuple[float, dict[str, list[float]]]:
    """The clean score, and by corruption the scores at the severities."""
    grid = {n: [plain_score(one_condition(rows, n, s), metric) for s in (1, 3, 5)] for n in NAMES}
    return plain_score(one_condition(rows, "", 0), metric), grid


def test_scores_of_conditions_are_those_of_the_standard_protocol() -> None:
    rows = answers(1)
    found = measured(model("A", rows)).conditions
    assert set(found["metric"]) == {"accuracy", "macro_f1", "modal_share", "miou", "dice", "hd95", "assd"}
    for one in found.itertuples():
        expected = plain_score(one_condition(rows, one.corruption, one.severity, one.mask_warped), one.metric)
        assert one.value == pytest.approx(expected), one
    # Clean, three corruptions at three severities; elastic once more, of what depends on masks.
    assert found["metric"].value_counts().to_dict() == {
        "accuracy": 10,
        "macro_f1": 10,
        "modal_share": 10,
        "miou": 13,
        "dice": 13,
        "hd95": 13,
        "assd": 13,
    }


def test_scores_stand_in_place_of_rows() -> None:
    """Of two seeds, of a model without masks, and in the order of another grid: the same bits."""
    without_masks = answers(3)[["frame_id", "sequence", *KEYS, "activity_true", "activity_predicted"]]
    given = [
        model("A", answers(1), answers(2)),
        model("B", without_masks[without_masks["mask_warped"]].reset_index(drop=True)),
        model("C", answers(4)),
    ]
    metrics, order = (
        shown_metrics(Shown.CONDITIONS | Shown.SUMMARY),
        [n for names in CATEGORIES.values() for n in names],
    )
    scored = [
        model(one.label, *(score_run(model(one.label, run), order, metrics) for run in one.rows)) for one in given
    ]
    assert all(len(run.rows) < 30 for one in scored for run in one.runs), "the most of the rows is released"
    expected, found = measured(*given, baseline="A"), measured(*scored, baseline="A")
    pd.testing.assert_frame_equal(found.summary, expected.summary, check_exact=True)
    pd.testing.assert_frame_equal(found.conditions, expected.conditions, check_exact=True)
    for label, scores in vary_mpc(given).scores.items():
        for metric, values in vary_mpc(scored).scores[label].items():
            np.testing.assert_array_equal(values, scores[metric])


def test_scores_of_other_sequences_are_not_compared() -> None:
    other = answers(2, sequences=3)
    metrics = shown_metrics(Shown.SUMMARY)
    scored = [model("A", score_run(model("A", answers(1, sequences=0)), (), metrics))]
    with pytest.raises(
        ResultsError, match="A on Toy: its rows assign the images to other sequences than the rows of the models"
    ):
        measured(*scored, model("B", other))


@pytest.mark.parametrize("sequences", [4, 0])
def test_scores_without_a_unit_are_those_of_the_others(sequences: int) -> None:
    rows = answers(1, 24, sequences)
    one = model("A", rows)
    grid, images = grid_of([one], []), images_of([one])
    scores = score_model(one, grid, images, shown_metrics(Shown.CONDITIONS))
    assert len(images.starts) == (sequences or 24)
    units = [[], *np.split(np.array(images.frame_ids), images.starts[1:])]
    for metric, (varied,) in scores.items():
        if metric == "modal_share":
            continue  # its class is the one of all images
        for index, (name, severity, moved) in enumerate(grid.conditions()):
            by_frame = one_condition(rows, name, severity, moved).set_index("frame_id", drop=False)
            for unit, value in zip(units, varied[:, index], strict=True):
                if metric in ("accuracy", "macro_f1") and not moved:
                    assert np.isnan(value)
                else:
                    assert value == pytest.approx(plain_score(by_frame.drop(unit), metric))


@pytest.mark.parametrize("metric", ["accuracy", "miou"])
def test_summaries_against_plain_loops(metric: str) -> None:
    of_a, of_b = answers(1), answers(2)
    found = measured(model("A", of_a), model("B", of_b), baseline="B")
    (clean, grid), (base_clean, base_grid) = plain_grid(of_a, metric), plain_grid(of_b, metric)
    means = {name: sum(values) / 3 for name, values in grid.items()}
    mpc = sum(means.values()) / 3
    digital = (means["contrast"] + means["elastic_transform"]) / 2
    curve = [1.0] + [sum(grid[name][i] for name in NAMES) / 3 / clean for i in range(3)]
    area = sum((b - a) * (u + v) / 2 for a, b, u, v in zip((0, 1, 3), (1, 3, 5), curve, curve[1:], strict=False)) / 5
    errors = {n: sum(1 - v for v in grid[n]) / sum(1 - v for v in base_grid[n]) for n in NAMES}
    losses = {n: sum(clean - v for v in grid[n]) / sum(base_clean - v for v in base_grid[n]) for n in NAMES}
    worst = min(("smoke", "contrast", "elastic_transform"), key=lambda name: round(means[name], 12))
    expected = {
        ("clean", ""): clean,
        ("mPC", ""): mpc,
        ("rPC", ""): mpc / clean,
        ("severity_mean", "3"): curve[2] * clean,
        ("corruption_mean", "smoke"): means["smoke"],
        ("category_mean", "digital"): digital,
        ("category_rPC", "digital"): digital / clean,
        ("retention", "0"): 1,
        ("retention", "5"): curve[3],
        ("retention_area", ""): area,
        ("worst_corruption", worst): means[worst],
        ("CE", "smoke"): errors["smoke"],
        ("mCE", ""): sum(errors.values()) / 3,
        ("relative_CE", "contrast"): losses["contrast"],
        ("relative_mCE", ""): sum(losses.values()) / 3,
    }
    for (quantity, of), value in expected.items():
        assert row(found, quantity, of, metric)["value"] == pytest.approx(value), quantity
    difference = row(found, "mPC", "", metric)["difference"]
    assert difference == pytest.approx(mpc - sum(sum(values) for values in base_grid.values()) / 9)
    unmoved = [plain_score(one_condition(of_a, "elastic_transform", s, False), "miou") for s in (1, 3, 5)]
    apart = row(found, "corruption_mean", "elastic_transform, masks not moved", "miou")["value"]
    assert apart == pytest.approx(sum(unmoved) / 3)


def test_intervals_hold_the_estimate() -> None:
    found = measured(model("A"), model("BB"), baseline="A")
    for table in (found.conditions[found.conditions["metric"] == "accuracy"], found.summary):
        known = table[table["low"].notna()]
        assert len(known) >= 20 and (known["high"] > known["low"] + 0.01).mean() > 0.5
        assert (known["low"] <= known["value"] + 1e-12).all() and (known["value"] <= known["high"] + 1e-12).all()
    accuracy = found.conditions[found.conditions["metric"] == "accuracy"]
    half = accuracy["value"] - accuracy["low"], accuracy["high"] - accuracy["value"]
    assert accuracy["high"].max() > 1, "tables hold the interval as it was computed"
    np.testing.assert_allclose(*half, atol=1e-12)
    points = [
        point
        for model in scores_of(found).content["datasets"][0]["values"].values()
        for series in model["accuracy"].values()
        for point in series
        if point is not None and len(point) == 3
    ]
    assert min(low for _, low, _ in points) >= 0 and max(high for *_, high in points) == 1, "the page clips it"


def test_ratios_of_nothing_are_undefined() -> None:
    np.testing.assert_array_equal(ratio([1, 1, 1], [2, 0, -1]), [0.5, np.nan, np.nan])


def test_the_baselines_trainings_vary_corruption_errors() -> None:
    """Of a model that never varies against one of three trainings, the interval is wider than against its mean."""
    runs = [answers(seed) for seed in (3, 4, 5)]
    ends = []
    for baseline in (runs, [pd.concat(runs).groupby(["frame_id", *KEYS], as_index=False).first()]):
        found = measured(model("A", answers(1)), model("B", *baseline), baseline="B")
        ends.append(row(found, "mCE"))
    assert ends[0]["low"] < ends[0]["value"] < ends[0]["high"]
    assert "and over 3 trainings of each model that has 3 or more" in say_intervals(
        measured(model("B", *runs)).intervals
    )


def test_a_model_differs_from_itself_by_nothing() -> None:
    rows = answers(1)
    shuffled = rows.sample(frac=1, random_state=0)
    found = measured(model("A", rows), model("same", shuffled), baseline="A").summary
    assert (found["against"] == "A").all()
    # What is not defined (NaN) aside, exactly zero.
    for column in ("difference", "difference_low", "difference_high"):
        assert (found[column].dropna() == 0).all() and found[column].notna().sum() > 50
    errors = found[found["quantity"].isin(["CE", "mCE", "relative_CE", "relative_mCE"])]
    np.testing.assert_allclose(errors["value"], 1, rtol=1e-12)
    np.testing.assert_allclose(errors[["low", "high"]].dropna(), 1, rtol=1e-12)
    assert errors["low"].notna().sum() > 10


def test_neither_the_order_of_rows_nor_that_of_models_matters() -> None:
    rows, other = answers(1), answers(2)
    shuffled = rows.sample(frac=1, random_state=0)
    one = measured(model("A", rows), model("B", other), baseline="B")
    two = measured(model("B", other), model("A", shuffled), baseline="B")
    keys = ["model", "metric", "quantity", "of"]
    for first, second, by in (
        (one.summary, two.summary, keys),
        (one.conditions, two.conditions, ["model", "metric", "corruption", "severity", "mask_warped"]),
    ):
        pd.testing.assert_frame_equal(
            first.sort_values(by, ignore_index=True), second.sort_values(by, ignore_index=True), rtol=1e-12
        )


def test_paired_differences_are_narrower_than_apart() -> None:
    rows = answers(1, images=60, sequences=0)
    worse = rows.copy()
    fooled = worse.index[(worse["corruption"] == "smoke") & (worse["severity"] == 5)][:5]
    worse.loc[fooled, "activity_predicted"] = 9
    found = measured(model("A", rows), model("B", worse))
    smoke = row(found, "mPC", "", "accuracy", "B")
    assert smoke["difference_high"] - smoke["difference_low"] < 0.3 * (smoke["high"] - smoke["low"])


def test_scores_are_means_over_seeds() -> None:
    rows, other = answers(1), answers(2)
    apart = [measured(model("A", one)) for one in (rows, other)]
    together = measured(model("A", rows, other))
    for quantity in ("clean", "mPC"):
        values = [row(one, quantity)["value"] for one in apart]
        assert row(together, quantity)["value"] == pytest.approx(np.mean(values))
    twice = measured(model("A", rows, rows))
    pd.testing.assert_frame_equal(twice.summary, apart[0].summary, rtol=1e-12)
    different = measured(model("A", rows, other, answers(3)))
    assert row(different, "clean")["high"] - row(different, "clean")["low"] > 0


def test_what_intervals_are_over_is_said() -> None:
    found = measured(model("A", answers(1)))
    assert say_intervals(found.intervals) == (
        "The intervals are 95 % t intervals over 4 sequences (Toy). They hold only for these trained models: with fewer than 3 seeds, "
        "chance in the trainings is not included. Models are compared on the same images."
    )
    assert set(found.summary["interval_over"]) == {"4 sequences"}
    assert "over 12 images" in say_intervals(measured(model("A", answers(1, sequences=0))).intervals)
    assert "these intervals are too narrow" in say_intervals(measured(model("A", answers(1, sequences=0))).intervals)
    unknown = answers(1).assign(sequence=None)
    assert "over 12 images" in say_intervals(measured(model("A", unknown)).intervals)
    mixed = answers(1)
    mixed.loc[mixed["sequence"] == "s0", "sequence"] = ""
    assert "over 3 sequences and 3 images" in say_intervals(measured(model("A", mixed)).intervals)
    assert say_intervals(measured(model("A", mixed)).intervals).endswith("these intervals are too narrow.")


@pytest.mark.parametrize(("images", "sequences", "alone"), [(1, 0, "1 image"), (12, 1, "1 sequence")])
def test_one_unit_has_no_intervals(
    images: int, sequences: int, alone: str, tmp_path: Path, figures: list[Figure]
) -> None:
    found = measured(model("A", answers(1, images, sequences)), model("B", answers(2, images, sequences)), baseline="A")
    assert say_intervals(found.intervals) == f"Toy: no intervals, because there is only {alone}."
    ends = [name for name in found.summary if name.endswith(("low", "high"))]
    assert len(ends) == 4 and found.summary[ends].isna().all(axis=None)
    assert found.conditions["value"].notna().all() and "[" not in shown_text(found)
    draw(found, tmp_path)


def shown_text(found: Robustness) -> str:
    return robustness_tables.readable_robustness_summary(found.summary).to_string()


def draw(found: Robustness, folder: Path) -> list[Path]:
    files = [folder / name for name in ("a.png", "a.pdf", "b.png", "b.pdf")]
    draw_severity(found.summary, MARK, *files[:2])
    draw_retention(found.summary, MARK, *files[2:])
    return files


def test_a_clean_score_of_zero_has_no_relative_one(tmp_path: Path, figures: list[Figure]) -> None:
    rows = answers(1)
    rows["activity_predicted"] = 9
    found = measured(model("A", rows), model("B", answers(2)), baseline="B")
    assert row(found, "clean", "", "accuracy")["value"] == 0
    for quantity, of in (("rPC", ""), ("category_rPC", "digital"), ("retention", "5"), ("retention_area", "")):
        assert np.isnan(row(found, quantity, of, "accuracy")["value"])
        assert np.isnan(row(found, quantity, of, "accuracy")["difference"])
    assert "Toy, accuracy: A has no rPC and no retention, because its clean score is 0." in found.notes
    assert row(found, "mCE", "", "accuracy")["value"] > 1
    draw(found, tmp_path)


def test_a_baseline_without_error_gives_no_corruption_error() -> None:
    perfect = answers(1)
    smoke = perfect["corruption"] == "smoke"
    perfect.loc[smoke | (perfect["corruption"] == ""), "activity_predicted"] = perfect["activity_true"]
    found = measured(model("A", answers(3)), model("B", perfect), baseline="B")
    for label in "AB":
        assert np.isnan(row(found, "CE", "smoke", "accuracy", label)["value"])
    others = [row(found, "CE", name, "accuracy")["value"] for name in ("contrast", "elastic_transform")]
    assert row(found, "mCE", "", "accuracy")["value"] == pytest.approx(np.mean(others))
    assert (
        "Toy, accuracy: smoke has no CE, because the baseline B makes no error there. The mean is over the other corruptions."
        in found.notes
    )
    assert any(
        note.startswith("Toy, accuracy: smoke has no relative CE, because the baseline B") for note in found.notes
    )


def test_without_a_baseline_differences_are_to_the_first_model() -> None:
    found = measured(model("A"), model("BB"))
    assert not set(found.summary["quantity"]) & {"CE", "mCE", "relative_CE", "relative_mCE"}
    assert set(found.summary["against"]) == {"A"}
    assert found.notes == ("Toy: differences in accuracy and mIoU are relative to A.",)


def test_models_of_one_task_are_measured_by_what_they_have(tmp_path: Path, figures: list[Figure]) -> None:
    rows, both = answers(1), answers(2)
    masks = [name for name in rows if str(name)[-1].isdigit()]
    classifies = model("classifies", rows.drop(columns=masks)[rows["mask_warped"]])
    segments = model("segments", rows.drop(columns=["activity_true", "activity_predicted"]))
    found = measured(classifies, segments, model("both", both), baseline="classifies")
    of_model = found.summary.groupby("model")["metric"].unique().map(set).to_dict()
    assert of_model == {"classifies": {"accuracy"}, "segments": {"miou"}, "both": {"accuracy", "miou"}}
    assert (
        "Toy, mIoU: there are no corruption errors, because the baseline classifies has no such score." in found.notes
    )
    assert found.summary.loc[found.summary["metric"] == "miou", "difference"].isna().all()
    table = robustness_tables.table_robustness(found.summary, found.categories)
    assert ("accuracy", "Toy", "segments", "value") not in table.columns
    assert table[("accuracy", "Toy", "both", "value")].isna().sum() == 1, "that of the masks not moved"
    draw(found, tmp_path)
    alone = measured(classifies)
    assert set(alone.summary["metric"]) == {"accuracy"} and not alone.summary["of"].str.contains("not moved").any()
    draw(alone, tmp_path)


def test_one_severity_and_corruptions_of_no_category(tmp_path: Path, figures: list[Figure]) -> None:
    found = measured(model("A", answers(1, names=("own", "smoke"), severities=(2,))))
    assert found.categories == {"occlusion": ("smoke",), "other": ("own",)}
    last = row(found, "retention", "2")["value"]
    assert row(found, "retention_area")["value"] == pytest.approx((1 + last) / 2)
    draw(found, tmp_path)


def test_two_datasets_stand_apart(tmp_path: Path, figures: list[Figure]) -> None:
    small = answers(3, images=5, sequences=0, severities=(1, 2))
    models = [model("A"), model("BB"), model("A", small, dataset="Other")]
    found = measure_robustness(models, CATEGORIES, {"Toy": "BB"})
    other = found.summary[found.summary["dataset"] == "Other"]
    assert (other["against"] == "A").all() and "mCE" not in set(other["quantity"])
    assert "mCE" in set(found.summary.loc[found.summary["dataset"] == "Toy", "quantity"])
    alone = measure_robustness(models[:2], CATEGORIES, {"Toy": "BB"}).summary
    toy = found.summary[found.summary["dataset"] == "Toy"]
    pd.testing.assert_frame_equal(toy.reset_index(drop=True), alone)
    draw(found, tmp_path)


def spoilt(kind: str) -> tuple[list[EvaluatedModel], str | None, str]:
    """Models that cannot be compared, their baseline, and what is said."""
    rows, other = answers(1), answers(2)
    smoke = (other["corruption"] == "smoke") & (other["severity"] == 3)
    if kind == "images":
        return (
            [model("A", rows), model("B", other[other["frame_id"] != "frame_003"])],
            None,
            "A and B on Toy: .*frame_003",
        )
    if kind == "condition":
        return [model("A", rows), model("B", other[~smoke])], None, "B on Toy: it has no rows of smoke at severity 3\\."
    if kind == "clean":
        return [model("B", other[other["corruption"] != ""])], None, "B on Toy: it has no rows of clean images"
    if kind == "unmoved":
        return (
            [model("A", rows), model("B", other[other["mask_warped"]])],
            None,
            "no rows of elastic_transform.*not moved",
        )
    if kind == "image":
        return (
            [model("B", other[~(smoke & (other["frame_id"] == "frame_002"))])],
            None,
            "frame_002.* 0 times in the rows of smoke",
        )
    if kind == "twice":
        return (
            [model("B", pd.concat([other, other[smoke]]))],
            None,
            "frame_000.* 2 times in the rows of smoke at severity 3",
        )
    if kind == "stranger":
        strange = other.assign(frame_id=other["frame_id"].where(~smoke, "x" + other["frame_id"]))
        return [model("B", strange)], None, "xframe_000' occurs in the rows of smoke at severity 3, but not"
    if kind == "sequences":
        return [model("A", rows), model("B", other.assign(sequence="t"))], None, "frame_000' is in two sequences"
    if kind == "column":
        return [model("A", rows.drop(columns="mask_warped"))], None, "A on Toy: its rows lack the column.s. mask_warped"
    if kind == "nothing":
        return [model("A", rows[["frame_id", "sequence", "corruption", "severity", "mask_warped"]])], None, "neither"
    if kind == "uncorrupted":
        return [model("A", rows[rows["corruption"] == ""])], None, "A on Toy: it has no rows of corrupted images"
    if kind == "label":
        return [model("A", rows), model("A", other)], None, "two models are called 'A'"
    if kind == "baseline":
        return [model("A", rows)], "C", "the baseline 'C' is not among the models .A."
    if kind == "count":
        return (
            [model("A", rows.assign(both_1=rows["both_1"] + 0.5))],
            None,
            "A on Toy, .*: both_1 of row 0 is .*integer",
        )
    if kind == "activity":
        predicted = rows["activity_predicted"].where(rows["frame_id"] != "frame_000")
        return [model("A", rows.assign(activity_predicted=predicted))], None, "activity_predicted of row 0 is nan"
    if kind == "names":
        named = rows.assign(activity_true=rows["activity_true"].map({0: "cut", 1: "idle", 2: "sew"}))
        return [model("A", named)], None, "A on Toy, .*: activity_true: .* is not a number; expected integers"
    return [], None, "no model"


SPOILT = ("images", "condition", "clean", "unmoved", "image", "twice", "stranger", "sequences", "column", "nothing")


@pytest.mark.parametrize("kind", [*SPOILT, "uncorrupted", "label", "baseline", "count", "activity", "names", "none"])
def test_what_cannot_be_compared_is_named(kind: str) -> None:
    models, baseline, said = spoilt(kind)
    with pytest.raises(ResultsError, match=said):
        measured(*models, baseline=baseline)


def test_table_7_keeps_unmoved_masks_out_of_means(tmp_path: Path) -> None:
    found = measured(model("A_1"), model("BB"), baseline="BB")
    table = robustness_tables.table_robustness(found.summary, found.categories)
    assert list(table.index) == [
        ("occlusion", "smoke"),
        ("digital", "contrast"),
        ("digital", "elastic_transform"),
        ("", "mean corrupted"),
        ("", "clean"),
        ("not averaged", "elastic_transform, masks not moved"),
    ]
    miou = table["miou", "Toy", "A_1"]
    assert list(miou) == ["value", "low", "high"]
    assert miou["value"].iloc[:3].mean() == pytest.approx(miou["value"].iloc[3])
    assert miou["value"].iloc[5] < miou["value"].iloc[2]
    shown = robustness_tables.readable_robustness(table)
    assert list(shown.columns) == [(m, "Toy", n) for m in ("Accuracy (%)", "mIoU (%)") for n in ("A_1", "BB")]
    latex = to_latex(shown, "c", "l", highlight=False)
    assert r"A\_1" in latex and r"\bottomrule" in latex
    tables.write_csv(table, tmp_path / "t.csv", {"synthetic": True})
    again = pd.read_csv(tmp_path / "t.csv", header=[0, 1, 2, 3], index_col=[0, 1])
    assert len(again) == len(table) and "synthetic" in again.columns.get_level_values(0)


def test_the_long_tables_say_their_unit(tmp_path: Path) -> None:
    found = measured(model("A"), model("BB"), baseline="BB")
    conditions = robustness_tables.table_robustness_conditions(found.conditions)
    assert set(conditions["unit"][:, :, "hd95"]) == {"px"} and set(conditions["unit"][:, :, "miou"]) == {"%"}
    clean = found.conditions[(found.conditions["corruption"] == "") & (found.conditions["model"] == "A")]
    for one in clean.itertuples():
        factor = 1 if one.metric in ("hd95", "assd") else 100
        stored = conditions.loc[("Toy", "A", one.metric, "", 0, True), "value"]
        assert stored == pytest.approx(factor * one.value)
    tables.write_csv(conditions, tmp_path / "c.csv", {"synthetic": True})
    assert len(pd.read_csv(tmp_path / "c.csv")) == len(conditions)
    summary = robustness_tables.table_robustness_summary(found.summary)
    assert summary.loc[("Toy", "BB", "miou", "mCE", ""), "value"] == pytest.approx(100)


def test_a_report_of_any_models_is_written_whole_and_marked(tmp_path: Path) -> None:
    models = [model("A"), model("BB")]
    write_robustness_report(measure_robustness(models, CATEGORIES, {"Toy": "A"}), tmp_path, MARK, {"synthetic": True})
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    names = [f"tables/{name}" for name in ("table7_robustness", "table_robustness_summary")]
    figures = [f"figures/{name}" for name in ("fig6_severity", "fig_retention", "fig_heatmap")]
    assert found == {
        "tables/table_robustness_conditions.csv",
        *(f"{name}.{kind}" for name in names for kind in ("csv", "tex")),
        *(f"{name}.{kind}" for name in figures for kind in ("png", "pdf")),
    }
    for path in (tmp_path / "tables").glob("*.tex"):
        text = path.read_text()
        assert MARK in text and "t intervals over 4 sequences" in text
    for path in (tmp_path / "tables").glob("*.csv"):
        assert "synthetic" in path.read_text().splitlines()[0]


@pytest.mark.parametrize("synthetic", one_in(2, [True, False]))
def test_the_page_of_models_without_a_study(tmp_path: Path, synthetic: bool) -> None:
    masks = [name for name in answers(1) if str(name)[-1].isdigit()]
    rows = answers(1).drop(columns=masks)
    found = measured(model("A", rows[rows["mask_warped"]]), model("B_net", answers(2)))
    report_robustness(found, tmp_path, "My <models>", 64, synthetic=synthetic)
    text = (tmp_path / "report/index.html").read_text(encoding="utf-8")
    assert "<h1>My &lt;models&gt;</h1>" in text and 'id="scores-data"' in text and "B_net" in text
    assert "was not drawn" not in text and "<dt>Study</dt>" not in text and "64 \u00d7 64 pixels" in text
    assert ("Synthetic data" in text) == synthetic
    table = pd.read_csv(tmp_path / "tables/table7_robustness.csv", header=[0, 1, 2, 3], index_col=[0, 1])
    assert set(table["synthetic"].to_numpy().flat) == {synthetic}
    assert (tmp_path / "figures/fig6_severity.pdf").is_file()


def test_the_short_summary_has_one_row_a_model_and_metric() -> None:
    found = measured(model("A"), model("BB"), baseline="BB")
    shown = robustness_tables.readable_robustness_summary(found.summary)
    assert list(shown.index) == [
        ("Toy, 4 sequences", metric, name) for metric in ("accuracy", "mIoU") for name in ("A", "BB")
    ]
    one = shown.loc[("Toy, 4 sequences", "mIoU", "BB")]
    assert one["mCE"] == "100.0 [100.0, 100.0]" and one["mPC, difference"] == "-"
    assert shown.loc[("Toy, 4 sequences", "mIoU", "A"), "mPC, difference"][0] in "+-"
    mpc = row(found, "mPC")
    assert shown.loc[("Toy, 4 sequences", "mIoU", "A"), "mPC"].startswith(
        f"{100 * mpc['value']:.1f} [{100 * mpc['low']:.1f}, "
    )
    assert "mCE" not in robustness_tables.readable_robustness_summary(measured(model("A")).summary)


@pytest.mark.slow
def test_figures_are_the_same_from_the_same(tmp_path: Path) -> None:
    found = measured(*(model("A" * i, answers(i)) for i in range(1, 10)))
    written = [file.read_bytes() for file in draw(found, tmp_path)]
    assert written == [file.read_bytes() for file in draw(found, tmp_path)]
    for name in ("a.png", "b.png"):
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 5


def test_without_accuracies_figure_6_has_one_panel(tmp_path: Path, figures: list[Figure]) -> None:
    found = measured(model("A")).summary
    draw_severity(found, MARK, tmp_path / "two.png", tmp_path / "two.pdf")
    draw_severity(found[found["metric"] == "miou"], MARK, tmp_path / "one.png", tmp_path / "one.pdf")
    two, one = figures
    assert one.get_figwidth() < 0.7 * two.get_figwidth() and len(one.axes) < len(two.axes)


def test_own_corruptions_and_those_trained_on_are_marked_and_the_unseen_have_a_mean() -> None:
    models = [model(), model("BB")]
    found = measure_robustness(models, CATEGORIES, None, own=["smoke"], trained_on=["smoke", "fog"])
    assert (found.own, found.trained_on) == (("smoke",), ("smoke",))
    unseen = [row(found, "corruption_mean", name)["value"] for name in ("contrast", "elastic_transform")]
    assert row(found, "mPC_unseen")["value"] == pytest.approx(np.mean(unseen))
    data, shown = (
        robustness_tables.table_robustness(one.summary, one.categories) for one in (found, found.for_readers())
    )
    assert ("occlusion", "smoke") in data.index and ("", "mean unseen") in data.index
    names = list(robustness_tables.readable_robustness(shown).index.get_level_values(1))
    assert {"smoke*†", "contrast", "elastic transform", "elastic transform, masks not moved"} <= set(names)
    assert data.to_numpy().tobytes() == shown.to_numpy().tobytes()
    assert "mPC, unseen" in robustness_tables.readable_robustness_summary(found.summary)
    assert (
        "* A corruption of the study" in found.legend()
        and "† This corruption was also applied in training" in found.legend()
    )
    labels = [one["label"] for one in scores_of(found).content["datasets"][0]["choices"]]
    assert {"smoke*†", "contrast", "mean of unseen (2)"} <= set(labels)


def test_without_any_nothing_is_marked() -> None:
    found = measured(model())
    assert found.legend() == "" and "smoke" in set(found.for_readers().summary["of"])
    assert [found.with_signs(name) for name in ("gaussian_noise", "jpeg_compression", "fog")] == [
        "Gaussian noise",
        "JPEG compression",
        "fog",
    ]
    assert not (found.summary["quantity"] == "mPC_unseen").any()
    everything = measure_robustness([model()], CATEGORIES, trained_on=NAMES)
    assert not (everything.summary["quantity"] == "mPC_unseen").any(), "none is unseen"
