"""The history of a training: one row of numbers per epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from endoarss.devices import peak_memory_mib
from endoarss.errors import TrainingError
from endoarss.gradients import Step, norms_and_cosines


class Epoch:
    """Collects the steps of one epoch. The values stay on the device, so that no step waits for the one before it.

    Args:
        number: the epoch, counted from 0.
        tasks: the names of the tasks.
        label: the name of the training in error messages.
    """

    def __init__(self, number: int, tasks: tuple[str, ...], label: str) -> None:
        self.number, self.tasks, self.label = number, tasks, label
        self.steps: list[Step] = []
        self.images = 0
        self.started = time.perf_counter()

    def add(self, step: Step, images: int) -> None:
        """Record a step.

        Args:
            step: losses, weights and inner products of the gradients.
            images: the number of images in the batch.

        Raises:
            TrainingError: if a loss is not finite. On a GPU this is checked at the end of the epoch, because reading waits for the GPU.
        """
        self.steps.append(step)
        self.images += images
        if step.losses.device.type == "cpu":
            self._check(step.losses.tolist(), len(self.steps))

    def _check(self, losses: Sequence[float], step: int) -> None:
        for task, value in zip(self.tasks, losses, strict=True):
            if not math.isfinite(value):
                raise TrainingError(
                    f"{self.label}: the {task} loss is {value} in epoch {self.number + 1}, step {step}. A lower learning rate may help."
                )

    def summary(self) -> Tensor:
        """Return everything that `row` needs as one tensor on the device, so that it can be read at once.

        Returns:
            float64 (rows, T) for T tasks: one row of losses per step; one row of mean losses and one of mean weights; and, if there are
            several tasks and gradients were measured, one row of mean gradient norms and T rows of mean cosines between the gradients.
        """
        losses = torch.stack([step.losses for step in self.steps]).double()
        weights = torch.stack([step.weights for step in self.steps]).double()
        parts = [losses, losses.mean(dim=0, keepdim=True), weights.mean(dim=0, keepdim=True)]
        grams = [step.gram for step in self.steps if step.gram is not None]
        if grams and len(self.tasks) > 1:
            measured = [norms_and_cosines(gram) for gram in grams]
            parts.append(torch.stack([norms for norms, _ in measured]).double().mean(dim=0, keepdim=True))
            parts.append(torch.stack([cosines for _, cosines in measured]).double().mean(dim=0))
        return torch.cat(parts)

    def row(self, learning_rate: float, device: torch.device) -> dict[str, float]:
        """Return the epoch's row of the history.

        Args:
            learning_rate: the learning rate of the epoch.
            device: the device of the training; its peak memory is recorded.

        Returns:
            The values by column name.

        Raises:
            TrainingError: if a loss was not finite.
        """
        values = self.summary().tolist()  # the only time that the epoch reads from the device
        for step in range(len(self.steps)):
            self._check(values[step], step + 1)
        seconds = time.perf_counter() - self.started
        row = {
            "epoch": self.number + 1,
            "seconds": seconds,
            "images_per_second": self.images / seconds,
            "memory_mib": peak_memory_mib(device),
            "learning_rate": learning_rate,
        }
        losses, weights, *measured = values[len(self.steps) :]
        row |= self._named("loss", losses) | self._named("weight", weights)
        if measured:
            norms, *cosines = measured
            row |= self._named("gradient_norm", norms)
            for (i, first), (j, second) in combinations(enumerate(self.tasks), 2):
                row[f"cosine_{first}_{second}"] = cosines[i][j]
        return row

    def _named(self, kind: str, values: Sequence[float]) -> dict[str, float]:
        return {f"{kind}_{task}": value for task, value in zip(self.tasks, values, strict=True)}
