"""Batches, the loop, and what it says when it cannot go on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from endoarss import build_model, gradients
from endoarss.augmentation import AugmentationSettings, ImageCorruption, augment, corrupt_images
from endoarss.data import Batch, ImagesOnDevice, LabelledImages, RowIndices, batches, normalise, to_input
from endoarss.errors import SettingsError, TrainingError
from endoarss.prediction import predict, predict_ready
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train

CPU = torch.device("cpu")


def test_a_last_batch_that_is_smaller_may_be_left_out() -> None:
    assert [part.stop - part.start for part in batches(33, 16, drop_last=True)] == [16, 16]
    assert [part.stop - part.start for part in batches(32, 16, drop_last=True)] == [16, 16]
    assert [part.stop - part.start for part in batches(40, 16)] == [16, 16, 8]


def test_training_without_the_last_batch(make_settings: Callable[..., ModelSettings], data: LabelledImages) -> None:
    """17 images in batches of 8: 16 are seen. Of a batch that is never whole nothing would be."""
    model, label = build_model(make_settings("dinov2", "hps")), "toy"
    (row,) = train(model, data, TrainingSettings(1, 1e-3, 8, drop_last=True), CPU, label)
    assert round(row["images_per_second"] * row["seconds"]) == 16
    with pytest.raises(
        SettingsError, match="17 training images with batch_size 18 and drop_last; expected at least one whole"
    ):
        train(model, data, TrainingSettings(1, 1e-3, 18, drop_last=True), CPU, label)


def test_weight_decay_is_added_to_the_gradient(
    make_settings: Callable[..., ModelSettings], data: LabelledImages
) -> None:
    """Adam's first step is the rate along the sign of the gradient: decay that outweighs the gradient turns it to the parameter's."""
    torch.manual_seed(0)
    model = build_model(make_settings("dinov2", "hps"))
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    train(model, data, TrainingSettings(1, 1e-3, 32, weight_decay=1e4), CPU)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            large = before[name].abs() > 0.01
            expected = before[name] - 1e-3 * before[name].sign()
            torch.testing.assert_close(parameter[large], expected[large], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("count", "sizes"), [(17, [17]), (16, [16]), (18, [16, 2]), (33, [16, 17]), (1, [1]), (5, [5])]
)
def test_a_last_image_joins_the_batch_before(count: int, sizes: list[int]) -> None:
    parts = list(batches(count, 16))
    assert [part.stop - part.start for part in parts] == sizes
    assert [index for part in parts for index in range(count)[part]] == list(range(count))


def test_an_epoch_shows_every_image_once_in_a_drawn_order(data: LabelledImages) -> None:
    def shown(seed: int) -> list[torch.Tensor]:
        batches_of_epoch = ImagesOnDevice(data, CPU).epoch(8, torch.Generator().manual_seed(seed))
        return [image for batch in batches_of_epoch for image in batch.images]

    given = [torch.from_numpy(image).permute(2, 0, 1).float() for image in data.images]
    found = shown(0)
    places = [next(i for i, image in enumerate(given) if torch.equal(image, one)) for one in found]
    assert sorted(places) == list(range(len(data))) and places != sorted(places)
    assert all(torch.equal(one, other) for one, other in zip(found, shown(0), strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(found, shown(1), strict=True))


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


def test_parameters_that_are_not_finite_end_the_training_too(
    make_settings: Callable[..., ModelSettings], data: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The losses of the last step are fine, what it made of the parameters is not."""
    model = build_model(make_settings("resnet", "hps"))
    monkeypatch.setattr(
        gradients.TrainedParameters,
        "set_shared",
        lambda self, update: [setattr(p, "grad", p * torch.nan) for p in self.shared],
    )
    with pytest.raises(TrainingError, match="toy: trained parameters are not finite after epoch 1"):
        train(model, data, TrainingSettings(1, 1e-3, 32, "moco"), CPU, label="toy")


def test_scores_may_be_seen_without_choosing(make_settings: Callable[..., ModelSettings], data: LabelledImages) -> None:
    offered = iter([0.9, 0.1])
    settings = TrainingSettings(epochs=2, learning_rate=1e-3, batch_size=8)
    seed_everything(0)
    model = build_model(make_settings("resnet", "hps"))
    history = train(model, data, settings, CPU, validate=lambda model: next(offered), choose=False)
    assert [row["validation"] for row in history] == [0.9, 0.1]
    seed_everything(0)
    plain = build_model(make_settings("resnet", "hps"))
    train(plain, data, settings, CPU)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))


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


def test_the_validation_may_be_every_few_epochs(
    make_settings: Callable[..., ModelSettings], data: LabelledImages
) -> None:
    settings = TrainingSettings(epochs=5, learning_rate=1e-3, batch_size=8, validate_every=2)
    model = build_model(make_settings("resnet", "hps"))
    history = train(model, data, settings, CPU, validate=lambda model: 0.5)
    assert [row["epoch"] for row in history if "validation" in row] == [2, 4, 5]


def test_the_history_says_what_happened(make_settings: Callable[..., ModelSettings], data: LabelledImages) -> None:
    seen: list[dict[str, float]] = []
    settings = TrainingSettings(4, 1e-3, 8, "moco", decay_every=2, decay_factor=0.5)
    history = train(build_model(make_settings("dinov2", "tesla")), data, settings, CPU, observe=seen.append)
    assert seen == history
    assert [row["learning_rate"] for row in history] == [1e-3, 1e-3, 5e-4, 5e-4]
    for row in history:
        assert row["images_per_second"] > 0 and row["memory_mib"] > 50
        assert row["gradient_norm_activity"] > 0 and row["gradient_norm_segmentation"] > 0
        assert -1 <= row["cosine_activity_segmentation"] <= 1
        assert row["weight_activity"] + row["weight_segmentation"] == pytest.approx(1)
    single = train(build_model(make_settings("dinov2", "single_activity")), data, TrainingSettings(1, 1e-3), CPU)
    assert "loss_activity" in single[0] and not any("cosine" in name or "norm" in name for name in single[0])


@pytest.mark.parametrize("weighting", ["equal", "stch"])
def test_cosines_are_measured_for_weightings_of_losses_too(
    weighting: str,
    make_settings: Callable[..., ModelSettings],
    data: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the first step of an epoch, and without a change of what is learnt."""
    settings = TrainingSettings(3, 1e-3, 8, weighting, {"warmup_epochs": 0} if weighting == "stch" else {})

    def run() -> tuple[list[dict[str, float]], list[torch.Tensor]]:
        seed_everything(0)
        model = build_model(make_settings("endoarss", "tesla"))
        return train(model, data, settings, CPU), [p.detach() for p in model.parameters()]

    history, learnt = run()
    assert all(abs(row["cosine_activity_segmentation"]) <= 1 + 1e-6 for row in history)
    plain = gradients.backward
    monkeypatch.setattr("endoarss.training.backward", lambda *given, measure: plain(*given, measure=False))
    unmeasured, learnt_without = run()
    assert "cosine_activity_segmentation" not in unmeasured[0]
    assert all(torch.equal(a, b) for a, b in zip(learnt, learnt_without, strict=True))


def test_memory_that_runs_out_is_explained(
    make_settings: Callable[..., ModelSettings], data: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(make_settings("resnet", "hps"))

    def burst(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.50 GiB. GPU 0 has ...")

    monkeypatch.setattr(model, "forward", burst)
    with pytest.raises(
        TrainingError, match=r"toy: out of memory in epoch 1, step 1: 3.50 GiB more .* training.batch_size \(now 16\)"
    ):
        train(model, data, TrainingSettings(1, 1e-3), CPU, label="toy")


def test_other_errors_are_not_taken_for_memory(
    make_settings: Callable[..., ModelSettings], data: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build_model(make_settings("resnet", "hps"))
    monkeypatch.setattr(model, "forward", lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        train(model, data, TrainingSettings(1, 1e-3), CPU)


def test_images_in_memory_are_what_decoding_gives(data: LabelledImages) -> None:
    batch = ImagesOnDevice(data, CPU).batch(RowIndices.upload(torch.tensor([3, 0]), CPU))
    torch.testing.assert_close(normalise(batch.images, "imagenet"), to_input(data.images[[3, 0]], CPU))
    assert torch.equal(batch.masks, torch.from_numpy(data.masks[[3, 0]]).long())
    assert batch.activities.tolist() == data.activities[[3, 0]].tolist()
    plain = normalise(batch.images, "none")
    assert plain.min() >= 0 and plain.max() <= 1


def test_precision_is_of_the_model(make_settings: Callable[..., ModelSettings], data: LabelledImages) -> None:
    """bf16 changes the outputs a little, their type not at all; parameters stay float32."""
    model = build_model(make_settings("dinov2", "hps")).eval()
    images = to_input(data.images[:2], CPU)
    with torch.inference_mode():
        full = model(images)
        model.precision = "bf16"
        half = model(images)
    for task, logits in half.items():
        assert logits.dtype == torch.float32 and not torch.equal(logits, full[task])
        torch.testing.assert_close(logits, full[task], rtol=0.1, atol=0.1)
    history = train(model, data, TrainingSettings(1, 1e-3, weighting="aligned_mtl", precision="bf16"), CPU)
    assert np.isfinite(history[0]["loss_segmentation"])
    assert all(p.dtype == torch.float32 for p in model.parameters())


def checkered(data: LabelledImages) -> Batch:
    """Pictures that say where each pixel was, and masks that agree with them."""
    masks = torch.from_numpy(data.masks[:6]).long()
    return Batch((masks * 100.0).unsqueeze(1).repeat(1, 3, 1, 1), masks, None)


def test_augmentation_is_off_unless_asked_for(data: LabelledImages) -> None:
    batch = checkered(data)
    assert augment(batch, AugmentationSettings(), torch.Generator()) is batch


@pytest.mark.parametrize("axis", [-1, -2])
def test_flips_move_images_and_masks_together(axis: int, data: LabelledImages) -> None:
    batch = checkered(data)
    name = {-1: "flip_horizontal", -2: "flip_vertical"}[axis]
    always = augment(batch, AugmentationSettings(**{name: 1.0}), torch.Generator().manual_seed(0))
    assert torch.equal(always.images, batch.images.flip(axis)) and torch.equal(always.masks, batch.masks.flip(axis))
    sometimes = augment(batch, AugmentationSettings(**{name: 0.5}), torch.Generator().manual_seed(0))
    same = [torch.equal(a, b) for a, b in zip(sometimes.masks, batch.masks, strict=True)]
    assert any(same) and not all(same)
    assert torch.equal(sometimes.images[:, 0], sometimes.masks * 100.0)


def test_rotation_and_scale_move_images_and_masks_together() -> None:
    masks = torch.zeros(4, 56, 56, dtype=torch.int64)
    masks[:, 10:30, 12:44] = 2
    batch = Batch((masks * 100.0).unsqueeze(1).repeat(1, 3, 1, 1), masks, None)
    settings = AugmentationSettings(rotation=30, scale=0.3, flip_horizontal=0.5)
    moved = augment(batch, settings, torch.Generator().manual_seed(1))
    assert set(moved.masks.unique().tolist()) == {0, 2} and not torch.equal(moved.masks, masks)
    agree = ((moved.images[:, 0] > 100) == (moved.masks == 2)).float().mean()
    assert agree > 0.99
    # A flip drawn together with a rotation of nothing is the flip.
    still = augment(batch, AugmentationSettings(flip_horizontal=1, rotation=1e-6), torch.Generator().manual_seed(1))
    assert torch.equal(still.masks, masks.flip(-1))


def test_colours_change_within_bounds(data: LabelledImages) -> None:
    batch = checkered(data)
    changed = augment(batch, AugmentationSettings(brightness=0.5, contrast=0.5), torch.Generator().manual_seed(1))
    assert torch.equal(changed.masks, batch.masks) and not torch.equal(changed.images, batch.images)
    assert changed.images.min() >= 0 and changed.images.max() <= 255
    with pytest.raises(SettingsError, match="brightness 3"):
        AugmentationSettings(brightness=3)


def test_some_images_are_corrupted_and_the_same_numbers_drawn_whatever_is_done(data: LabelledImages) -> None:
    batch, seen = checkered(data), []

    def turn(image: np.ndarray, mask: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert image.dtype == mask.dtype == np.uint8 and image.shape == (*mask.shape, 3)
        seen.append(tuple(draws))
        return image[::-1], mask[::-1]

    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    some = corrupt_images(batch, ImageCorruption(turn, 0.5), generators[0])
    turned = [torch.equal(one, before.flip(0)) for one, before in zip(some.masks, batch.masks, strict=True)]
    same = [torch.equal(one, before) for one, before in zip(some.masks, batch.masks, strict=True)]
    assert 0 < sum(turned) == len(seen) < 6 and sum(same) == 6 - sum(turned)
    assert len({len(draws) for draws in seen}) == 1 and all(0 <= one < 1 for draws in seen for one in draws)
    assert torch.equal(some.images[:, 0], some.masks * 100.0) and some.images.dtype == batch.images.dtype
    assert corrupt_images(batch, ImageCorruption(turn, 0), generators[1]).images.equal(batch.images)
    assert torch.equal(*(generator.get_state() for generator in generators))


def test_masks_are_the_first_of_equal_classes(
    make_settings: Callable[..., ModelSettings], data: LabelledImages
) -> None:
    """As argmax has it, on a model that is ready and on one in training mode alike."""
    model = build_model(make_settings("resnet", "hps"))
    with torch.no_grad():
        model.heads["segmentation"][-1].weight.zero_()
        model.heads["segmentation"][-1].bias.zero_()
        model.heads["segmentation"][-1].bias[1:] = 1.0
    answers = predict(model.train(), data.images[:3], CPU)
    assert not model.training and (answers.masks == 1).all()
    np.testing.assert_array_equal(predict_ready(model, data.images[:3], CPU).activity, answers.activity)
