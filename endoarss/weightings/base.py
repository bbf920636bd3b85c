"""What a weighting is: it turns the tasks' losses, or their gradients, into one update of the shared parameters.

There are two kinds. A `LossWeighting` makes one loss of the tasks' losses: one backward pass follows. A `GradientWeighting` makes
one direction of the tasks' gradients of the shared parameters; `endoarss.gradients` computes those. Neither knows models.
Task-owned parameters get their own task's gradient, unscaled, except where a method says otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn


class Weighting:
    """A way to combine tasks: subclass `LossWeighting` or `GradientWeighting`; those with state extend the state methods.

    The training makes it under its own device (`with device:`), so that tensors made in the constructor lie there.

    Args:
        tasks: the tasks' names, in the order of the model.
        epochs: how many epochs the training has, for methods with phases.
    """

    losses_after_step: ClassVar[bool] = False
    """Whether the training calls `after_step`, which costs a second forward pass per step."""

    def __init__(self, tasks: Sequence[str], epochs: int) -> None:
        self.tasks = tuple(tasks)
        self.epochs = epochs

    def seed(self, seed: int) -> None:
        """Take the seed of what is drawn at random; called once, before the first step."""

    def start_epoch(self, epoch: int) -> None:
        """Called before the first step of each epoch, counted from 0."""

    def after_step(self, losses: Tensor) -> None:
        """Take the losses (T,) of the same batch after the optimizer's step; called only with `losses_after_step`."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """Return what the training's optimizer trains beside the model, at the same learning rate and without weight decay.

        The training saves and resumes these values; `state_dict` need not have them. `LossWeighting`s get their gradients from the
        loss, `GradientWeighting`s set `.grad` in `combine`.
        """
        return ()

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


class GramWeighting(GradientWeighting):
    """Weights that follow from the gradients' products alone: one product of long vectors before, one after."""

    @abstractmethod
    def weights(self, gram: Tensor) -> Tensor:
        """Return the tasks' weights (T,), float64, from the products of their gradients (T, T), float64 and finite."""

    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted sum of the gradients. It is NaN where one of them is, whatever its weight."""
        gram = torch.nan_to_num(gradients @ gradients.T, 0.0, 0.0, 0.0).double()
        weights = self.weights(gram).to(gradients)
        return weights @ gradients, weights


class DrawsAtRandom(Weighting):
    """A weighting that draws at random: from a generator of its own, on the host, saved and resumed with the training.

    Draws are dealt to the tasks in the order of their names, so that the order in which a model has them does not matter. Python
    numbers go to the device as arguments of kernels, which waits for nothing; a tensor would have to be copied.
    """

    def __init__(self, tasks: Sequence[str], epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.generator = torch.Generator()
        self.by_name = sorted(range(len(self.tasks)), key=self.tasks.__getitem__)

    def seed(self, seed: int) -> None:
        """Start the generator anew."""
        self.generator.manual_seed(seed)

    def rounds(self, units: Tensor) -> Iterator[Tensor]:
        """Let each task meet all others, in a random order of its own; nothing is drawn where there is one other.

        Args:
            units: the unit matrix (T, T).

        Yields:
            T - 1 matrices (T, T): row t is the unit vector of the task that t meets.
        """
        orders = {}
        for task in self.by_name:
            others = [index for index in self.by_name if index != task]
            count = len(others)
            drawn = torch.randperm(count, generator=self.generator).tolist() if count > 1 else range(count)
            orders[task] = [others[index] for index in drawn]
        for turn in range(len(units) - 1):
            yield torch.stack([units[orders[task][turn]] for task in range(len(units))])

    def state_dict(self) -> dict[str, Tensor]:
        """The generator's state."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing where it stopped."""
        self.generator.set_state(state["generator"].cpu())
