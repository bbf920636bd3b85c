"""All scores of a test set from kept rows, against scores computed from the masks and labels themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from sklearn.metrics import f1_score, jaccard_score

from endoarss.errors import UnknownNameError
from endoarss.metrics import (
    AUTHORS_CODE,
    PROTOCOLS,
    STANDARD,
    Evaluator,
    count_mask,
    evaluate_classification,
    evaluate_segmentation,
    expected_calibration_error,
    measure_mask,
    scores_of_rows,
    surface_distances,
)
from endoarss.metrics.authors_code import label_map_ssim, row_hd

CLASSES = ("background", "shaft", "jaw", "never")
ACTIVITIES = ("cut", "grasp", "idle", "never")


class TestSet:
    """Masks and answers of some images; the last class and the last activity never occur in truth."""

    __test__ = False

    def __init__(self, count: int = 8, seed: int = 0, size: tuple[int, int] = (24, 31)) -> None:
        rng = np.random.default_rng(seed)
        self.truth = rng.integers(0, 3, (count, *size), np.uint8)
        self.prediction = np.where(rng.random(self.truth.shape) < 0.7, self.truth, rng.integers(0, 4, self.truth.shape))
        self.prediction = self.prediction.astype(np.uint8)
        self.truth[0] = 0  # an image without foreground
        self.activities = rng.integers(0, 3, count)
        self.probabilities = rng.dirichlet(np.ones(4), count)

    def evaluator(self, order: np.ndarray | None = None) -> Evaluator:
        evaluator = Evaluator(CLASSES, ACTIVITIES)
        for place in range(len(self.truth)) if order is None else order:
            answer = int(self.activities[place]), self.probabilities[place]
            evaluator.add(mask=(self.truth[place], self.prediction[place]), activity=answer)
        return evaluator


def by_name(scores: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    found = {(score["metric"], score["class"]): score["value"] for score in scores}
    assert len(found) == len(scores), "each metric of each class once"
    return found


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_standard_scores_are_those_of_masks_and_labels(count: int, seed: int) -> None:
    data = TestSet(count, seed)
    found = by_name(data.evaluator().scores())
    answers = data.probabilities.argmax(axis=1)
    labels = evaluate_classification(data.activities, answers, 4)
    assert found["accuracy", ""] == (answers == data.activities).mean() == labels.accuracy
    supported = np.unique(data.activities)
    expected = f1_score(data.activities, answers, labels=supported, average="macro", zero_division=0)
    assert found["macro_f1", ""] == pytest.approx(expected)
    assert found["ece", ""] == expected_calibration_error(data.probabilities.max(axis=1), answers == data.activities)
    assert found["modal_share", ""] == np.bincount(answers).max() / count
    assert found["predictions_without_support", ""] == (~np.isin(answers, supported)).sum()
    masks = evaluate_segmentation(data.truth, data.prediction, 4)
    assert found["miou", ""] == masks.miou and found["dice", ""] == masks.dice
    present = np.unique(data.truth)
    iou = jaccard_score(data.truth.ravel(), data.prediction.ravel(), labels=present, average="macro", zero_division=0)
    assert found["miou", ""] == pytest.approx(iou)
    assert found["iou", "never"] is None and found["pixel_recall", "never"] is None
    assert found["miou_foreground", ""] == (None if count == 1 else pytest.approx(masks.miou_foreground))


def test_distances_and_similarity_are_means_over_the_images_that_have_the_class() -> None:
    data = TestSet()
    evaluator = data.evaluator()
    scores = evaluator.scores()
    found, counts = by_name(scores), {(s["metric"], s["class"]): s["n"] for s in scores}
    distances = [surface_distances(t, p, 4) for t, p in zip(data.truth, data.prediction, strict=True)]
    means = {}
    for kind in ("hd", "hd95", "assd"):
        for index, name in enumerate(CLASSES[1:], 1):
            values = np.array([getattr(one, kind)[index] for one in distances])
            means[kind, name] = np.nanmean(values)
            assert found[kind, name] == pytest.approx(means[kind, name])
            assert counts[kind, name] == np.isfinite(values).sum()
        assert found[kind, ""] == pytest.approx((means[kind, "shaft"] + means[kind, "jaw"]) / 2), (
            "without `never`: no truth"
        )
    ssim = [
        structural_similarity((t == 1).astype(float), (p == 1).astype(float), data_range=1)
        for t, p in zip(data.truth, data.prediction, strict=True)
    ]
    assert found["ssim", "shaft"] == pytest.approx(np.mean(ssim), rel=1e-12)
    missing = np.sum([one.missing for one in distances], axis=0)
    assert found["surface_missing", ""] == missing.sum() and found["surface_missing", "never"] == missing[3] > 0


def test_published_scores_are_those_of_the_released_code() -> None:
    data = TestSet()
    found = by_name(data.evaluator().scores(AUTHORS_CODE))
    answers = data.probabilities.argmax(axis=1)
    labels = evaluate_classification(data.activities, answers, 4, AUTHORS_CODE)
    masks = evaluate_segmentation(data.truth, data.prediction, 4, AUTHORS_CODE)
    assert found["accuracy", ""] == labels.accuracy and found["macro_f1", ""] == labels.macro_f1
    assert found["miou", ""] == masks.miou and found["dice", ""] == masks.dice
    pairs = list(zip(data.truth, data.prediction, strict=True))
    assert found["hd", ""] == pytest.approx(np.mean([row_hd(*pair) for pair in pairs]))
    assert found["ssim", ""] == pytest.approx(np.mean([label_map_ssim(*pair) for pair in pairs]))
    recall = [(answers[data.activities == i] == i).mean() if (data.activities == i).any() else 0 for i in range(4)]
    assert found["accuracy_spread", ""] == pytest.approx(np.std(recall))
    assert ("hd95", "") not in found and ("miou_foreground", "") not in found and ("ece", "") not in found


def test_predictions_of_one_class_have_no_published_similarity() -> None:
    """Their range is 0: the authors' code drops them."""
    data = TestSet(3)
    data.prediction[1] = 2
    scores = {s["metric"]: s for s in data.evaluator().scores(AUTHORS_CODE) if not s["class"]}
    rest = [label_map_ssim(data.truth[i], data.prediction[i]) for i in (0, 2)]
    assert scores["ssim"]["value"] == pytest.approx(np.mean(rest)) and scores["ssim"]["n"] == 2
    data.prediction[:] = 0
    scores = {s["metric"]: s for s in data.evaluator().scores(AUTHORS_CODE) if not s["class"]}
    assert scores["ssim"]["value"] is None and scores["ssim"]["n"] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_order_of_images_does_not_matter(protocol: str) -> None:
    data = TestSet(12)
    one = by_name(data.evaluator().scores(protocol))
    other = by_name(data.evaluator(np.random.default_rng(1).permutation(12)).scores(protocol))
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert other[key] == (None if value is None else pytest.approx(value, rel=1e-12)), key


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_perfect_answers(protocol: str) -> None:
    data = TestSet(6)
    data.prediction, data.probabilities = data.truth, np.eye(4)[data.activities]
    found = by_name(data.evaluator().scores(protocol))
    if protocol == STANDARD:
        assert found["accuracy", ""] == found["macro_f1", ""] == found["miou", ""] == found["dice", ""] == 1
        assert found["hd", ""] == found["hd95", ""] == found["assd", ""] == found["ece", ""] == 0
        assert found["ssim", ""] == pytest.approx(1) and found["surface_missing", ""] == 0
        assert found["hd", "never"] is None
    else:
        occurring = len(np.unique(data.activities))
        assert found["macro_f1", ""] == pytest.approx(occurring / 4, abs=2e-3) and found["hd", ""] == 0
        assert found["miou", ""] == pytest.approx(3 / 4, abs=1e-4), "the class that never occurs counts 0"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (6, 6), (7, 7)])
def test_one_image_of_any_size(protocol: str, size: tuple[int, int]) -> None:
    evaluator = Evaluator(CLASSES)
    mask = np.ones(size, np.uint8)
    evaluator.add(mask=(mask, mask))
    found = by_name(evaluator.scores(protocol))
    assert found["miou", ""] == pytest.approx(1 if protocol == STANDARD else 0.25, abs=1e-3)
    assert found["hd", ""] == 0
    assert (found["ssim", ""] is None) == (protocol == AUTHORS_CODE or min(size) < 7)


def test_all_background_has_no_foreground_scores() -> None:
    evaluator = Evaluator(CLASSES)
    empty = np.zeros((9, 9), np.uint8)
    evaluator.add(mask=(empty, empty))
    found = by_name(evaluator.scores())
    assert found["miou", ""] == 1 and found["miou_foreground", ""] is None
    assert found["hd", ""] is None and found["ssim", ""] is None and found["surface_missing", ""] == 0


def test_background_alone_can_be_scored() -> None:
    evaluator = Evaluator(("background",))
    empty = np.zeros((9, 9), np.uint8)
    evaluator.add(mask=(empty, empty))
    assert by_name(evaluator.scores())["miou", ""] == 1 and by_name(evaluator.scores(AUTHORS_CODE))["hd", ""] == 0


def test_views_are_measured_as_copies_are() -> None:
    data = TestSet(2, size=(40, 50))
    views = data.truth[0][::2, ::-1], data.prediction[0][::2, ::-1]
    copies = tuple(view.copy() for view in views)
    assert measure_mask(*views, 4) == pytest.approx(measure_mask(*copies, 4), nan_ok=True)


@pytest.mark.parametrize(
    ("column", "value"), [("truth_1", -1), ("truth_1", 0.5), ("both_0", np.nan), ("predicted_2", np.inf)]
)
def test_counts_that_are_no_whole_numbers_are_named(column: str, value: float) -> None:
    mask = np.zeros((4, 4), np.uint8)
    rows = {name: np.array([count, count], np.float64) for name, count in count_mask(mask, mask, 3).items()}
    rows[column][1] = value
    with pytest.raises(ValueError, match=rf"{column} of row 1 is .*; expected an integer of at least 0"):
        scores_of_rows(rows, CLASSES[:3], ())


@pytest.mark.parametrize("value", [-1.0, 0.5, np.nan])
def test_activities_that_are_no_whole_numbers_are_named(value: float) -> None:
    rows = {"activity_true": np.array([0.0, value]), "activity_predicted": np.array([0.0, 1.0])}
    with pytest.raises(ValueError, match="activity_true of row 1"):
        scores_of_rows(rows, (), ACTIVITIES)


def test_nothing_to_score_is_said() -> None:
    with pytest.raises(ValueError, match="no image was added"):
        Evaluator(CLASSES).scores()
    for rows in ({}, {"activity_true": np.array([])}):
        with pytest.raises(ValueError, match="no row to score"):
            scores_of_rows(rows, CLASSES, ACTIVITIES)
    with pytest.raises(UnknownNameError, match="Known: standard"):
        TestSet(1).evaluator().scores("other")


@pytest.mark.parametrize("answer", [4, -1, 1.5, np.nan])
def test_an_answer_that_is_no_activity_is_named(answer: float) -> None:
    with pytest.raises(ValueError, match=r"expected an integer in 0\.\.3"):
        Evaluator((), ACTIVITIES).add(activity=(0, answer))
    with pytest.raises(ValueError, match=r"expected an integer in 0\.\.3"):
        Evaluator((), ACTIVITIES).add(activity=(answer, 0))  # type: ignore[arg-type]


def test_bad_images_are_named_and_not_kept() -> None:
    data = TestSet(2)
    evaluator = Evaluator(CLASSES, ACTIVITIES)
    with pytest.raises(ValueError, match="an activity, a mask, or both"):
        evaluator.add()
    with pytest.raises(ValueError, match=r"probabilities of shape \(3,\); expected \(4,\)"):
        evaluator.add(activity=(0, [0.2, 0.3, 0.5]))
    with pytest.raises(ValueError, match="not finite"):
        evaluator.add(activity=(0, [0.2, np.nan, 0.5, 0.3]))
    with pytest.raises(ValueError, match=r"outside 0\.\.3"):
        evaluator.add(mask=(data.truth[0], data.prediction[0] + np.uint8(4)))
    evaluator.add(activity=(0, 1))
    with pytest.raises(ValueError, match="expected the same ones for all images"):
        evaluator.add(mask=(data.truth[0], data.prediction[0]))
    assert len(evaluator.rows) == 1
