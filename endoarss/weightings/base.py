"""What a weighting is: it turns the tasks' losses, or their gradients, into one update of the shared parameters.

There are two kinds. A `LossWeighting` makes one loss of the tasks' losses: one backward pass follows. A `GradientWeighting` makes
one direction of the tasks' gradients of the shared parameters; `endoarss.gradients` computes those. Neither knows models.
Task-owned parameters get their own task's gradient, unscaled, except where a method says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor


class Weighting:
    """A way to combine tasks: subclass `LossWeighting` or `GradientWeighting`; those with state extend the state methods.

    Args:
        tasks: the tasks' names, in the order of the model.
        epochs: how many epochs the training has, for methods with phases.
    """

    def __init__(self, tasks: Sequence[str], epochs: int) -> None:
        self.tasks = tuple(tasks)
        self.epochs = epochs

    def start_epoch(self, epoch: int) -> None:
        """Called before the first step of each epoch, counted from 0."""

    def state_dict(self) -> dict[str, Tensor]:
        """What must be kept to go on with a training."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a kept state."""


class LossWeighting(Weighting, ABC):
    """One loss of several."""

    @abstractmethod
    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The loss to minimise, a scalar, and the weight each task had in it (T,), from the losses (T,)."""


class GradientWeighting(Weighting, ABC):
    """One direction of several gradients."""

    @abstractmethod
    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient to descend along (P,) and the weight each task had in it (T,).

        Args:
            gradients: float32 (T, P), of the raw losses with respect to the P shared trained values.
            losses: (T,), raw, without a graph.
        """

    def owned_scales(self, losses: Tensor) -> Tensor | None:
        """What multiplies each task's gradient of the parameters it owns, (T,); None leaves them as they are."""
        return None
