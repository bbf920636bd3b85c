"""A weighting of the user's own that returns a wrong value is named, with what it returned and what is expected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from endoarss import build_model
from endoarss.data import LabelledImages
from endoarss.errors import SettingsError
from endoarss.registry import WEIGHTINGS
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings
from endoarss.training import TrainingSettings, train
from endoarss.weightings.base import GradientWeighting, GramWeighting, LossWeighting, Weighting

BACKBONE = BackboneSettings("resnet10t", {"channels": (8, 8, 8, 8)})
SETTINGS = ModelSettings("resnet", "hps", ("b", "x"), ("i", "c"), 32, BACKBONE, heads=HeadSettings(8, 8))


def of_losses(combine: Callable[[Tensor], object]) -> type[Weighting]:
    return type("Mine", (LossWeighting,), {"combine": lambda self, losses: combine(losses)})


def of_gradients(combine: Callable[[Tensor], object], scales: object = None) -> type[Weighting]:
    methods = {
        "combine": lambda self, gradients, losses: combine(gradients),
        "owned_scales": lambda self, losses: scales,
    }
    return type("Mine", (GradientWeighting,), methods)


def of_gram(weights: object) -> type[Weighting]:
    return type("Mine", (GramWeighting,), {"weights": lambda self, gram: weights})


@pytest.mark.parametrize(
    ("weighting", "message"),
    [
        (of_losses(lambda losses: losses.sum()), r"combine returned a float32 tensor of shape \(\); expected the loss"),
        (
            of_losses(lambda losses: None),
            "combine returned None; expected the loss to minimise, a scalar with a gradient, and",
        ),
        (
            of_losses(lambda losses: (losses, losses.detach())),
            r"returned \(a float32 tensor of shape \(2,\), a float32",
        ),
        (of_losses(lambda losses: (losses.sum(), 1.0)), r"returned \(a float32 tensor of shape \(\), 1.0\); expected"),
        (of_losses(lambda losses: (losses.detach().sum(), torch.ones(2))), r"of shape \(\) without a gradient, a"),
        (of_losses(lambda losses: (losses.sum(), torch.ones(3))), r"the weight of each task in it, \(T,\) with T = 2"),
        (
            of_gradients(lambda rows: rows),
            r"combine returned a float32 tensor of shape \(2, \d+\) without a gradient; expected",
        ),
        (
            of_gradients(lambda rows: (rows, torch.ones(2))),
            r"the gradient to descend along, float32 \(P,\) with P = \d+, and",
        ),
        (of_gradients(lambda rows: (rows.sum(0).double(), torch.ones(2))), r"returned \(a float64 tensor"),
        (of_gradients(lambda rows: rows.sum(0)), r"combine returned a float32 tensor of shape \(\d+,\)"),
        (
            of_gradients(lambda rows: (rows.sum(0), torch.ones(2)), [1.0, 1.0]),
            r"owned_scales returned \(1.0, 1.0\); expected",
        ),
        (
            of_gram([1.0, 1.0]),
            r"weights returned \(1.0, 1.0\); expected one number per task, a tensor \(T,\) with T = 2",
        ),
    ],
)
def test_a_wrong_returned_value_is_named(
    weighting: type[Weighting], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(WEIGHTINGS._imported, "mine", weighting)
    rng = np.random.default_rng(0)
    pixels, masks = rng.integers(0, 256, (4, 32, 32, 3), np.uint8), rng.integers(0, 2, (4, 32, 32), np.uint8)
    data = LabelledImages(pixels, masks, rng.integers(0, 2, 4))
    with pytest.raises(SettingsError, match=f"weighting 'mine': .*{message}"):
        train(build_model(SETTINGS), data, TrainingSettings(1, 1e-2, 2, "mine"), torch.device("cpu"))
