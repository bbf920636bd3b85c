"""What a weighting is: it turns the tasks' losses of one step into gradients of the trained parameters.

Task-owned parameters get their own task's gradient, unscaled, except where a method says otherwise. Gradients are taken
with respect to trained parameters alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn


class SharesParameters(Protocol):
    """What a weighting asks of a model."""

    def shared_parameters(self) -> list[nn.Parameter]:
        """Trained parameters that several tasks act on."""
        ...

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Trained parameters of one task alone."""
        ...


class Weighting(ABC):
    """A way to combine tasks. Subclasses implement `backward`; those with state extend the three state methods.

    Args:
        tasks: the tasks' names, in the order of the model.
        epochs: how many epochs the training has, for methods with phases.
    """

    def __init__(self, tasks: Sequence[str], epochs: int) -> None:
        self.tasks = tuple(tasks)
        self.epochs = epochs

    def start_epoch(self, epoch: int) -> None:  # noqa: B027 - most methods have no phases
        """Called before the first step of each epoch, counted from 0."""

    @abstractmethod
    def backward(self, losses: dict[str, Tensor], model: SharesParameters) -> dict[str, float]:
        """Set `.grad` of every trained parameter from the losses of one step.

        Returns:
            The weight each task had, for the history.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """What must be kept to go on with a training."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:  # noqa: B027 - most methods have no state
        """Go on from a kept state."""


def gradients_by_task(losses: Sequence[Tensor], tasks: Sequence[str], model: SharesParameters) -> Tensor:
    """Differentiate each task's loss apart: one row a task over the shared parameters.

    The gradients of task-owned parameters are put into their `.grad` on the way.

    Returns:
        float32 (T, P), P the number of shared trained values.
    """
    shared = model.shared_parameters()
    rows = []
    for index, (loss, task) in enumerate(zip(losses, tasks, strict=True)):
        owned = model.task_parameters(task)
        keep = index < len(tasks) - 1
        gradients = torch.autograd.grad(loss, [*shared, *owned], retain_graph=keep, allow_unused=True)
        for parameter, gradient in zip(owned, gradients[len(shared) :], strict=True):
            parameter.grad = gradient
        row = [
            (torch.zeros_like(parameter) if gradient is None else gradient).flatten().float()
            for parameter, gradient in zip(shared, gradients, strict=False)
        ]
        rows.append(torch.cat(row))
    return torch.stack(rows)


def set_shared_gradient(update: Tensor, model: SharesParameters) -> None:
    """Put a flat update (P,) into the `.grad` of the shared parameters."""
    shared = model.shared_parameters()
    for parameter, part in zip(shared, update.split([p.numel() for p in shared]), strict=True):
        parameter.grad = part.view_as(parameter).to(parameter.dtype)
