"""What somebody's predictor may return: it works, or is told what was given and what was expected."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.predictor_host import Expected, RefusedError, labels_of, predict

N, C, K, S = 3, 4, 5, 8
EXPECTED = Expected(N, C, K, S)
RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(N, C, S, S)).astype(np.float32)
SHARES = RANDOM.random((N, K))
MASKS, ACTIVITIES = SCORES.argmax(axis=1), SHARES.argmax(axis=1)
IMAGES = np.zeros((N, S, S, 3), np.uint8)
Output = namedtuple("Output", "masks activity")


@pytest.mark.parametrize(
    "returned",
    [
        {"segmentation": SCORES, "activity": SHARES},
        OrderedDict(activity=SHARES.astype(np.float16), segmentation=SCORES.astype(np.float64)),
        (SCORES, SHARES),
        (SHARES, MASKS),
        Output(SCORES, SHARES),
        {"segmentation": MASKS, "activity": ACTIVITIES},
        {"segmentation": MASKS.astype(np.uint8), "activity": ACTIVITIES.astype(np.int16)},
        {"segmentation": torch.from_numpy(SCORES).requires_grad_(), "activity": torch.from_numpy(SHARES)},
        {
            "segmentation": torch.from_numpy(SCORES).clone().requires_grad_() * 2,
            "activity": torch.from_numpy(ACTIVITIES),
        },
        {"segmentation": list(SCORES), "activity": SHARES.tolist()},
        {
            "segmentation": [torch.from_numpy(one).requires_grad_() for one in SCORES],
            "activity": list(map(int, ACTIVITIES)),
        },
        {"segmentation": list(MASKS), "activity": list(ACTIVITIES)},
        (torch.from_numpy(SCORES).permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), torch.from_numpy(SHARES)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_both_tasks_in_every_form(returned: Any) -> None:
    activity, masks = labels_of(returned, EXPECTED)
    assert activity is not None and masks is not None
    np.testing.assert_array_equal(activity, ACTIVITIES)
    np.testing.assert_array_equal(masks, MASKS)
    assert activity.dtype == np.int64 and masks.dtype == np.uint8 and masks.flags.c_contiguous


@pytest.mark.parametrize(
    ("returned", "segments"),
    [
        (SCORES, True),
        (MASKS, True),
        (SHARES, False),
        (ACTIVITIES, False),
        ((SCORES,), True),
        ((None, SHARES), False),
        ({"segmentation": SCORES, "activity": None}, True),
        (torch.from_numpy(SHARES).to(torch.bfloat16).float(), False),
    ],
)
def test_one_task(returned: Any, segments: bool) -> None:
    activity, masks = labels_of(returned, EXPECTED)
    assert (masks is not None) == segments and (activity is not None) != segments


def test_half_precision_of_torch_is_read() -> None:
    scores = torch.from_numpy(SCORES).to(torch.bfloat16).requires_grad_()
    np.testing.assert_array_equal(labels_of(scores, EXPECTED)[1], scores.detach().float().numpy().argmax(axis=1))


NAN = np.where(np.arange(K) == 2, np.nan, SHARES)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (None, "it returned None, as a function without `return` does; expected float scores of classes (3, 4, 8, 8) or integer class ids"),
        ({}, "it returned a value of type dict without a prediction"),
        ({"segmentation": None}, "without a prediction; expected float scores"),
        ((None, None), "it returned a tuple of 2 items without a prediction"),
        ({"mask": SCORES}, "it returned a dict with the key 'mask'; expected 'segmentation', 'activity' or both"),
        ({0: SCORES}, "it returned a dict with the key '0'"),
        ((SCORES, SCORES), "it returned segmentation twice"),
        ((SCORES, SHARES, SHARES), "it returned a tuple of 3 items; expected one item per task"),
        ([SCORES, SHARES], "it returned a list of 2 items, which is not an array"),
        ({"segmentation": [[1.0], [1.0, 2.0]]}, "it returned segmentation as a list of 2 items, which is not an array"),
        ([], "expected activity scores, floats (3, 5)"),
        ("cutting", "it returned a value of type str; expected"),
        (3, "it returned a value of type int; expected"),
        (["cutting"] * N, "it returned a list of 3 items; expected"),
        ((row for row in SCORES), "it returned a value of type generator; expected"),
        (object(), "it returned a value of type object; expected"),
        (SCORES.astype(complex), "it returned numpy.ndarray of shape (3, 4, 8, 8) and type complex128; expected"),
        (MASKS > 0, "and type bool; expected"),
        (MASKS.astype(object), "and type object; expected"),
        (SCORES.astype(int), "it returned segmentation as int64 (3, 4, 8, 8); expected class scores, floats (3, 4, 8, 8), or class ids, "
         "integers (3, 8, 8). Scores must be floats, because integers are read as ids"),
        (MASKS.astype(np.float32), "it returned segmentation as float32 (3, 8, 8); expected class scores, floats (3, 4, 8, 8), or class "
         "ids, integers (3, 8, 8). Ids must be integers: convert them"),
        (SCORES.transpose(0, 2, 3, 1), "The second axis must be the classes: use transpose(0, 3, 1, 2)"),
        (SCORES[:, :3], "it returned segmentation as float32 (3, 3, 8, 8); expected class scores, floats (3, 4, 8, 8)"),
        (SCORES[..., ::2, ::2], "Resize the scores to the size of the images"),
        (SCORES[:2], "3 images were passed; the first axis must be the images"),
        (SCORES[0], "3 images were passed; the first axis must be the images"),
        (MASKS[:1], "3 images were passed"),
        (SHARES[:, :2], "it returned activity as float64 (3, 2); expected activity scores, floats (3, 5), or activity ids, integers (3,)"),
        (SHARES[0], "3 images were passed"),
        (MASKS + 2, "it returned segmentation as int64 (3, 8, 8) with the class id 5; expected class ids from 0 to 3"),
        (MASKS - 1, "with the class id -1; expected class ids from 0 to 3"),
        (ACTIVITIES + 9, "expected activity ids from 0 to 4"),
        (NAN, "it returned activity as float64 (3, 5) with 3 of 15 values that are not finite (NaN or infinite)"),
        (torch.from_numpy(SCORES).to_sparse(),
         "it returned torch.Tensor of shape (3, 4, 8, 8) and type torch.float32, which is not an array"),
    ],
)  # fmt: skip
def test_what_was_given_and_what_is_expected_is_said(returned: Any, words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        labels_of(returned, EXPECTED)
    said = str(refused.value)
    assert words in said and len(said) < 500


def test_a_dataset_without_activities() -> None:
    expected = Expected(N, C, 0, S)
    assert labels_of(SCORES, expected)[0] is None
    with pytest.raises(RefusedError, match="it returned activities, but the dataset has none"):
        labels_of((SCORES, SHARES), expected)
    with pytest.raises(RefusedError) as refused:
        labels_of(None, expected)
    assert "activit" not in str(refused.value)


@given(st.lists(st.integers(0, 6), max_size=5), st.sampled_from("?bBhefdFO"))
def test_any_other_array_is_refused_in_words(shape: list[int], kind: str) -> None:
    array = np.zeros(shape, kind)
    right = {(N, C, S, S), (N, S, S), (N, K), (N,)}
    if tuple(array.shape) not in right:
        with pytest.raises(RefusedError, match="expected"):
            labels_of(array, EXPECTED)


class Strange(Exception):
    """An error that fails when it is printed."""

    def __str__(self) -> str:
        raise ValueError


def inner(images: np.ndarray) -> np.ndarray:
    raise ValueError("the weights are lost")


def outer(images: np.ndarray) -> np.ndarray:
    return inner(images)


def in_library(images: np.ndarray) -> np.ndarray:
    return np.stack([image for image in images if image.any()])


def ends(images: np.ndarray) -> None:
    raise SystemExit(2)


def two_arguments(images: np.ndarray, threshold: float) -> None: ...


def strange(images: np.ndarray) -> None:
    raise Strange


def long(images: np.ndarray) -> None:
    raise ValueError("x" * 10_000)


def deep(images: np.ndarray, left: int = 50) -> None:
    deep(images, left - 1) if left else inner(images)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (outer, ", in inner: ValueError: the weights are lost"),
        (in_library, ", in in_library: ValueError: need at least one array to stack"),
        (ends, ", in ends: SystemExit: 2"),
        (
            two_arguments,
            "failed for images (3, 8, 8, 3): TypeError: two_arguments() missing 1 required positional argument",
        ),
        (strange, ", in strange: Strange"),
        (long, "xxx ..."),
        (deep, ", in inner: ValueError"),
    ],
)
def test_an_error_in_their_code_names_their_line(function: Callable[[np.ndarray], Any], words: str) -> None:
    with pytest.raises(RefusedError) as refused:
        predict(function, IMAGES, EXPECTED)
    said = str(refused.value)
    assert words in said and len(said) < 600 and "\n" not in said and "/predictor_host.py" not in said
    assert "test_predictor_host.py, line " in said or function is two_arguments
