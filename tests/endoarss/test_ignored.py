"""Pixels that belong to no class: what is predicted there changes no metric, no loss and no gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity
from sklearn.metrics import confusion_matrix
from torch.nn import functional as F

from endoarss import build_model
from endoarss.augmentation import AugmentationSettings, augment
from endoarss.data import Batch, LabelledImages
from endoarss.labels import IGNORED
from endoarss.metrics import (
    PROTOCOLS,
    Evaluator,
    class_structural_similarity,
    confuse_mask,
    confusion_of_pixels,
    evaluate_segmentation,
    measure_mask,
    pixel_counts,
    surface_distances,
)
from endoarss.metrics.authors_code import label_map_ssim, row_hd
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings, seed_everything, task_losses, train

CPU = torch.device("cpu")
NAMES = ("background", "a", "b", "c", "d")


@st.composite
def masks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Truth with ignored pixels (some, a border, a half, all or none), two predictions that differ there alone, classes."""
    height, width, classes = draw(st.integers(1, 24)), draw(st.integers(1, 24)), draw(st.integers(2, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    blocks = rng.integers(0, classes, (-(-height // 4), -(-width // 4)), np.uint8)
    truth = np.kron(blocks, np.ones((4, 4), np.uint8))[:height, :width]
    prediction = np.where(rng.random(truth.shape) < 0.2, rng.integers(0, classes, truth.shape, np.uint8), truth)
    ignored = {
        "some": rng.random(truth.shape) < 0.3,
        "border": np.pad(np.zeros((max(0, height - 4), max(0, width - 4)), bool), 2, constant_values=True)[
            :height, :width
        ],
        "half": np.arange(width)[None] < np.full((height, 1), width // 2),
        "all": np.ones(truth.shape, bool),
        "none": np.zeros(truth.shape, bool),
    }[draw(st.sampled_from(["some", "border", "half", "all", "none"]))]
    other = np.where(ignored, rng.integers(0, classes, truth.shape, np.uint8), prediction)
    return np.where(ignored, np.uint8(IGNORED), truth), prediction.astype(np.uint8), other, classes


@settings(max_examples=60, deadline=None)
@given(masks())
def test_what_is_predicted_under_ignored_pixels_changes_no_metric(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    truth, prediction, other, classes = drawn
    before = truth.copy(), prediction.copy()
    one, two = (measure_mask(truth, p, classes) | confuse_mask(truth, p, classes) for p in (prediction, other))
    np.testing.assert_equal(one, two)
    if (truth != IGNORED).any():
        for protocol in PROTOCOLS:
            scores = []
            for predicted in (prediction, other):
                evaluator = Evaluator(NAMES[:classes])
                evaluator.add(mask=(truth, predicted))
                scores.append(evaluator.scores(protocol))
            assert scores[0] == scores[1]
            found = [evaluate_segmentation(truth[None], p[None], classes, protocol) for p in (prediction, other)]
            np.testing.assert_equal(vars(found[0]), vars(found[1]))
    np.testing.assert_array_equal(truth, before[0])
    np.testing.assert_array_equal(prediction, before[1])


@settings(max_examples=60, deadline=None)
@given(masks())
def test_counts_are_of_the_other_pixels_and_distances_of_masks_with_background_there(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    truth, prediction, _, classes = drawn
    counted = truth != IGNORED
    labels = list(range(classes))
    expected = (
        confusion_matrix(truth[counted], prediction[counted], labels=labels)
        if counted.any()
        else np.zeros((classes, classes), int)
    )
    np.testing.assert_array_equal(confusion_of_pixels(truth, prediction, classes), expected)
    np.testing.assert_array_equal(
        pixel_counts(truth, prediction, classes), [np.diag(expected), expected.sum(axis=1), expected.sum(axis=0)]
    )
    bare, predicted = np.where(counted, truth, 0).astype(np.uint8), np.where(counted, prediction, 0).astype(np.uint8)
    found, plain = surface_distances(truth, prediction, classes), surface_distances(bare, predicted, classes)
    np.testing.assert_equal(vars(found), vars(plain))
    assert row_hd(truth, prediction) == row_hd(bare, predicted)


@settings(max_examples=60, deadline=None)
@given(masks())
def test_similarity_is_the_mean_over_windows_around_the_other_pixels(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, int],
) -> None:
    truth, prediction, _, classes = drawn
    counted = truth != IGNORED
    found = class_structural_similarity(truth, prediction, classes)
    inner = counted[3:-3, 3:-3]
    bare, predicted = np.where(counted, truth, 0), np.where(counted, prediction, 0)
    for index in range(1, classes):
        one, other = (bare == index).astype(np.float64), (predicted == index).astype(np.float64)
        if min(truth.shape) < 7 or not inner.any() or not (one.any() or other.any()):
            assert np.isnan(found[index])
            continue
        _, full = structural_similarity(one, other, data_range=1, full=True)
        assert found[index] == pytest.approx(full[3:-3, 3:-3][inner].mean(), abs=1e-9)
    span = np.ptp(prediction[counted]) if counted.any() else 0
    whole = label_map_ssim(truth, prediction)
    if min(truth.shape) < 7 or not inner.any() or span == 0:
        assert np.isnan(whole)
    else:
        _, full = structural_similarity(bare.astype(float), predicted.astype(float), data_range=float(span), full=True)
        assert whole == pytest.approx(full[3:-3, 3:-3][inner].mean(), abs=1e-6)


def test_an_image_of_ignored_pixels_alone_has_no_scores_and_changes_none() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 20, 30), np.uint8)
    without, with_one = Evaluator(NAMES[:3]), Evaluator(NAMES[:3])
    for evaluator in (without, with_one):
        evaluator.add(mask=(truth, prediction))
    with_one.add(mask=(np.full_like(truth, IGNORED), prediction))
    for protocol in PROTOCOLS:
        found, expected = (
            {(s["metric"], s["class"]): s["value"] for s in e.scores(protocol)} for e in (with_one, without)
        )
        assert found == expected


def test_255_is_a_class_where_there_are_256() -> None:
    truth = np.array([[255, 0]], np.uint8)
    assert confusion_of_pixels(truth, truth, 256)[255, 255] == 1


@pytest.mark.parametrize("ignores", [False, True])
def test_without_ignored_pixels_the_loss_is_the_same_to_the_last_bit(ignores: bool) -> None:
    torch.manual_seed(0)
    logits, masks = torch.randn(3, 5, 17, 19), torch.randint(0, 5, (3, 17, 19))
    gradients = []
    for loss_of in (F.cross_entropy, lambda x, y: task_losses({"segmentation": x}, y, None, ignores)["segmentation"]):
        given = logits.clone().requires_grad_()
        loss = loss_of(given, masks)
        loss.backward()
        gradients.append((loss.detach(), given.grad))
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("ignores", [False, True])
def test_what_is_predicted_under_ignored_pixels_changes_no_loss_and_no_gradient(ignores: bool) -> None:
    torch.manual_seed(0)
    logits, masks = torch.randn(3, 5, 17, 19), torch.randint(0, 5, (3, 17, 19))
    left_out = torch.rand(masks.shape) < 0.4
    masks[left_out] = IGNORED
    found = []
    for _ in range(2):
        given = torch.where(left_out.unsqueeze(1), torch.randn_like(logits), logits).requires_grad_()
        loss = task_losses({"segmentation": given}, masks, None, ignores)["segmentation"]
        loss.backward()
        assert given.grad is not None
        assert not given.grad.permute(0, 2, 3, 1)[left_out].any()
        found.append((loss.detach(), given.grad))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    counted = logits.permute(0, 2, 3, 1)[~left_out]
    torch.testing.assert_close(found[0][0], F.cross_entropy(counted, masks[~left_out]))


def test_a_batch_of_ignored_pixels_alone_has_no_loss_and_no_gradient() -> None:
    logits = torch.randn(2, 3, 8, 8, requires_grad=True)
    loss = task_losses({"segmentation": logits}, torch.full((2, 8, 8), IGNORED), None, ignores=True)["segmentation"]
    loss.backward()
    assert loss == 0 and logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("weighting", ["equal", "db_mtl", "aligned_mtl", "stch", "moco"])
def test_trainings_with_batches_that_are_wholly_ignored_stay_finite(
    make_settings: Callable[..., ModelSettings], data: LabelledImages, weighting: str
) -> None:
    masks = data.masks[:6].copy()
    masks[:, :20] = masks[:4] = IGNORED
    few = LabelledImages(data.images[:6], masks, None if data.activities is None else data.activities[:6])
    seed_everything(0)
    model = build_model(make_settings("resnet", "hps"))
    given: dict[str, Any] = {"warmup_epochs": 0} if weighting == "stch" else {}
    history = train(model, few, TrainingSettings(2, 1e-3, 2, weighting, given), CPU)
    assert all(np.isfinite(value) for row in history for value in row.values())
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


@pytest.mark.parametrize(
    "changes",
    [
        AugmentationSettings(flip_horizontal=1.0, flip_vertical=1.0),
        AugmentationSettings(flip_horizontal=0.5, rotation=90, scale=0.4, brightness=0.2),
    ],
)
def test_augmentation_moves_ignored_pixels_as_those_of_a_class(changes: AugmentationSettings) -> None:
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 3, (4, 7, 7)), np.ones((8, 8), int))

    def moved(values: Sequence[int]) -> torch.Tensor:
        masks = torch.from_numpy(np.array(values)[blocks])
        batch = Batch(torch.zeros(4, 3, 56, 56), masks, None)
        return augment(batch, changes, torch.Generator().manual_seed(5)).masks

    as_class, as_ignored = moved([0, 1, 2]), moved([0, 1, IGNORED])
    assert torch.equal(torch.where(as_class == 2, IGNORED, as_class), as_ignored)
    assert set(as_ignored.unique().tolist()) == {0, 1, IGNORED}
