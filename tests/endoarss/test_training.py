"""Batches, the loop, and what it says when it cannot go on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from endoarss import build_model
from endoarss.data import LabelledImages, batches
from endoarss.errors import SettingsError, TrainingError
from endoarss.prediction import predict
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("count", "sizes"), [(17, [17]), (16, [16]), (18, [16, 2]), (33, [16, 17]), (1, [1]), (5, [5])]
)
def test_a_last_image_joins_the_batch_before(count: int, sizes: list[int]) -> None:
    chosen = list(batches(count, 16, torch.Generator().manual_seed(0)))
    assert [len(part) for part in chosen] == sizes
    assert sorted(np.concatenate(chosen)) == list(range(count))


def test_a_seed_decides_everything(make_settings: Callable[..., ModelSettings], data: LabelledImages) -> None:
    def run(seed: int) -> list[torch.Tensor]:
        seed_everything(seed)
        model = build_model(make_settings("endoarss", "tesla"))
        train(model, data, TrainingSettings(2, 1e-3, 8, "db_mtl", seed=seed), CPU)
        return [p.detach() for p in model.parameters() if p.requires_grad]

    first, again, other = run(0), run(0), run(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_it_learns(make_settings: Callable[..., ModelSettings]) -> None:
    """Bright or dark pictures, the left or the right half in class 1 or 2: easy, and learnt."""
    rng = np.random.default_rng(0)
    activities = np.arange(24) % 2
    images = np.where(activities[:, None, None, None] > 0, 200, 60) + rng.integers(-20, 20, (24, 56, 56, 3))
    masks = np.zeros((24, 56, 56), np.uint8)
    masks[:, :, :28] = 1
    masks[:, :, 28:] = 2
    data = LabelledImages(images.astype(np.uint8), masks, activities)
    seed_everything(0)
    model = build_model(make_settings("resnet", "hps"))
    history = train(model, data, TrainingSettings(15, 3e-3, 8), CPU)
    assert history[-1]["loss_activity"] < 0.3 * history[0]["loss_activity"]
    answers = predict(model, data.images, CPU)
    assert (answers.activity.argmax(axis=1) == activities).mean() > 0.9
    assert (answers.masks == masks).mean() > 0.85
    np.testing.assert_allclose(answers.activity.sum(axis=1), 1, rtol=1e-5)


def test_a_loss_that_is_not_finite_ends_the_training(
    make_settings: Callable[..., ModelSettings], data: LabelledImages
) -> None:
    model = build_model(make_settings("resnet", "hps"))
    with torch.no_grad():
        model.heads["segmentation"][-1].bias[0] = float("nan")
    with pytest.raises(TrainingError, match=r"toy: the segmentation loss is nan in epoch 1, step 1"):
        train(model, data, TrainingSettings(1, 1e-3), CPU, label="toy")


def test_one_image_is_not_enough(make_settings: Callable[..., ModelSettings], data: LabelledImages) -> None:
    one = LabelledImages(data.images[:1], data.masks[:1], data.activities[:1])
    with pytest.raises(SettingsError, match="expected at least 2"):
        train(build_model(make_settings("resnet", "hps")), one, TrainingSettings(1, 1e-3), CPU)


def test_validation_keeps_the_best_epoch(make_settings: Callable[..., ModelSettings], data: LabelledImages) -> None:
    settings = TrainingSettings(epochs=4, learning_rate=1e-3, batch_size=8)
    states, offered = [], iter([0.2, 0.7, 0.7, 0.1])

    def validate(model: torch.nn.Module) -> float:
        model.eval()
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(offered)

    seed_everything(0)
    model = build_model(make_settings("resnet", "hps"))
    history = train(model, data, settings, CPU, validate=validate)
    assert [row["validation"] for row in history] == [0.2, 0.7, 0.7, 0.1]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, states[1][name], rtol=0, atol=0)
    # Without it the last epoch stays, and validating changes nothing in the training.
    seed_everything(0)
    plain = build_model(make_settings("resnet", "hps"))
    train(plain, data, settings, CPU)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, states[3][name], rtol=0, atol=0)
