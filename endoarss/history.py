"""What a training says of each epoch: one row of numbers."""

from __future__ import annotations

import math
import time
from itertools import combinations

import torch
from torch import Tensor

from endoarss.devices import peak_memory_mib
from endoarss.errors import TrainingError
from endoarss.gradients import Step, norms_and_cosines

_STEPS_BETWEEN_LOOKS = 16


class Epoch:
    """Collects the steps of one epoch; values stay on the device, so that no step waits for the one before it.

    Args:
        number: counted from 0. tasks: their names. label: of the training, for errors.
    """

    def __init__(self, number: int, tasks: tuple[str, ...], label: str) -> None:
        self.number, self.tasks, self.label = number, tasks, label
        self.steps: list[Step] = []
        self.images = 0
        self.started = time.perf_counter()
        self._checked = 0

    def add(self, step: Step, images: int) -> None:
        """Take note of a step.

        Raises:
            TrainingError: if a loss was not finite. Looked at every few steps: a look waits for the device.
        """
        self.steps.append(step)
        self.images += images
        if len(self.steps) - self._checked >= _STEPS_BETWEEN_LOOKS:
            self.check()

    def check(self) -> None:
        """Raise TrainingError if a loss of a step so far is not finite: with epoch, step and task."""
        if self._checked == len(self.steps):
            return
        looked_at = torch.stack([step.losses for step in self.steps[self._checked :]]).tolist()
        for index, losses in enumerate(looked_at, start=self._checked):
            for task, value in zip(self.tasks, losses, strict=True):
                if not math.isfinite(value):
                    raise TrainingError(
                        f"{self.label}: the {task} loss is {value} in epoch {self.number + 1}, step {index + 1}. "
                        "A lower learning rate may help."
                    )
        self._checked = len(self.steps)

    def row(self, learning_rate: float, device: torch.device) -> dict[str, float]:
        """The epoch's means. Raises TrainingError as `check` does."""
        self.check()
        seconds = time.perf_counter() - self.started
        row = {
            "epoch": self.number + 1,
            "seconds": seconds,
            "images_per_second": self.images / seconds,
            "memory_mib": peak_memory_mib(device),
            "learning_rate": learning_rate,
        }
        row |= self._named("loss", torch.stack([step.losses for step in self.steps]))
        row |= self._named("weight", torch.stack([step.weights for step in self.steps]))
        measured = [norms_and_cosines(step.gram) for step in self.steps if step.gram is not None]
        if measured and len(self.tasks) > 1:
            row |= self._named("gradient_norm", torch.stack([norms for norms, _ in measured]))
            cosines = torch.stack([cosine for _, cosine in measured]).double().mean(dim=0)
            for (i, one), (j, other) in combinations(enumerate(self.tasks), 2):
                row[f"cosine_{one}_{other}"] = float(cosines[i, j])
        return row

    def _named(self, kind: str, values: Tensor) -> dict[str, float]:
        means = values.double().mean(dim=0).tolist()
        return {f"{kind}_{task}": mean for task, mean in zip(self.tasks, means, strict=True)}
