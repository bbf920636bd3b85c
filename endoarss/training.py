"""A plain training loop: seeded, with a progress bar and a history."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from endoarss.data import LabelledImages, batches, to_input
from endoarss.errors import SettingsError, TrainingError
from endoarss.models import MultiTaskModel
from endoarss.registry import WEIGHTINGS
from endoarss.settings import ACTIVITY
from endoarss.weightings.base import Weighting


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained: Adam at a constant rate (section IV-B of the paper)."""

    epochs: int
    learning_rate: float
    batch_size: int = 16
    weighting: str = "equal"
    weighting_settings: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


def seed_everything(seed: int) -> None:
    """Seed torch's global generator (initial weights, dropout) and forbid nondeterministic kernels where that is free."""
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def make_weighting(settings: TrainingSettings, tasks: tuple[str, ...]) -> Weighting:
    """The weighting a training asks for.

    Raises:
        UnknownNameError: if it is not registered. SettingsError: if it does not take the settings given.
    """
    make = WEIGHTINGS.get(settings.weighting)
    try:
        return make(tasks, settings.epochs, **settings.weighting_settings)
    except TypeError as error:
        raise SettingsError(f"weighting {settings.weighting!r}: {error}") from None


def task_losses(outputs: dict[str, Tensor], masks: Tensor, activities: Tensor | None) -> dict[str, Tensor]:
    """Cross-entropy of each task: over images for the activity, over pixels for the segmentation."""
    losses = {}
    for task, logits in outputs.items():
        if task == ACTIVITY:
            assert activities is not None, "a model with activities needs data with activities"
            losses[task] = F.cross_entropy(logits, activities)
        else:
            losses[task] = F.cross_entropy(logits, masks)
    return losses


def train(
    model: MultiTaskModel,
    data: LabelledImages,
    settings: TrainingSettings,
    device: torch.device,
    label: str = "train",
    validate: Callable[[MultiTaskModel], float] | None = None,
) -> list[dict[str, float]]:
    """Train a model in place.

    Args:
        model: built after `seed_everything(settings.seed)`, so that its initial weights belong to the seed.
        data: the training part.
        settings: schedule and weighting.
        device: where to train.
        label: what the progress bar says.
        validate: scores the model after each epoch; the epoch with the highest score, the first of equals, is kept. Without
            it the last one is.

    Returns:
        One row an epoch: epoch, seconds, for each task its mean loss and mean weight, and the validation score if there is one.

    Raises:
        TrainingError: if a loss is not finite.
    """
    if len(data) < 2:
        raise SettingsError(f"{len(data)} training image(s); expected at least 2.")
    generator = torch.Generator().manual_seed(settings.seed)
    weighting = make_weighting(settings, model.tasks)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate)
    model.to(device).train()
    history: list[dict[str, float]] = []
    best = _Best()
    with tqdm(total=settings.epochs, desc=label, unit="epoch", mininterval=1.0) as progress:
        for epoch in range(settings.epochs):
            started = time.perf_counter()
            weighting.start_epoch(epoch)
            sums = dict.fromkeys([f"{kind}_{task}" for task in model.tasks for kind in ("loss", "weight")], 0.0)
            steps = 0
            for step, chosen in enumerate(batches(len(data), settings.batch_size, generator)):
                images, masks, activities = _to_device(data, chosen, device)
                optimizer.zero_grad(set_to_none=True)
                losses = task_losses(model(images), masks, activities)
                values = {task: float(loss.detach()) for task, loss in losses.items()}
                for task, value in values.items():
                    if not np.isfinite(value):
                        raise TrainingError(
                            f"{label}: the {task} loss is {value} in epoch {epoch + 1}, step {step + 1}. "
                            "A lower learning rate may help."
                        )
                weights = weighting.backward(losses, model)
                optimizer.step()
                for task in model.tasks:
                    sums[f"loss_{task}"] += values[task]
                    sums[f"weight_{task}"] += weights[task]
                steps += 1
            means = {name: total / steps for name, total in sums.items()}
            history.append({"epoch": epoch + 1, "seconds": time.perf_counter() - started, **means})
            if validate is not None:
                history[-1]["validation"] = best.offer(model, validate(model))
                model.train()
            progress.set_postfix({task: f"{means[f'loss_{task}']:.3f}" for task in model.tasks})
            progress.update()
    best.restore(model)
    return history


class _Best:
    """The state of a model at its highest score so far."""

    def __init__(self) -> None:
        self.score = -float("inf")
        self.state: dict[str, Tensor] = {}

    def offer(self, model: MultiTaskModel, score: float) -> float:
        if score > self.score:
            self.score = score
            self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        return score

    def restore(self, model: MultiTaskModel) -> None:
        if self.state:
            model.load_state_dict(self.state)


def _to_device(data: LabelledImages, chosen: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    masks = torch.from_numpy(data.masks[chosen]).to(device, torch.int64)
    activities = None if data.activities is None else torch.from_numpy(data.activities[chosen]).to(device)
    return to_input(data.images[chosen], device), masks, activities
