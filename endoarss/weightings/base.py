"""The base classes of weightings. A weighting combines the tasks' losses, or their gradients, into one update of the shared parameters.

There are two kinds. A `LossWeighting` combines the losses into one loss, which needs one backward pass; all parameters get the gradient of
this loss. A `GradientWeighting` combines the tasks' gradients with respect to the shared parameters, which `endoarss.gradients` computes;
parameters that belong to one task get the gradient of this task's loss, multiplied by `owned_scales`. Neither kind depends on the model.
T is the number of tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from endoarss.weightings.returned import check_factors

_TENSOR, _NUMBER = "tensor.", "number."  # begin the keys of `Weighting.state_dict`


class Weighting:
    """The base class of both kinds; new weightings are subclasses of `LossWeighting` or `GradientWeighting`.

    Attributes that are tensors or numbers are saved with a training and restored when it is resumed. A weighting with other state overrides
    `state_dict` and `load_state_dict`. The training constructs the weighting within `with device:`, so
    tensors that the constructor creates are on the training's device.

    Args:
        tasks: the names of the tasks, in the order of the model.
        epochs: the number of epochs of the training, for weightings with phases.
    """

    losses_after_step: ClassVar[bool] = False
    """Whether the training calls `after_step`, which costs a second forward pass per step."""

    def __init__(self, tasks: Sequence[str], epochs: int) -> None:
        self.tasks = tuple(tasks)
        self.epochs = epochs

    def seed(self, seed: int) -> None:
        """Set the seed of random numbers. The training calls this once, before the first step.

        Args:
            seed: the seed.
        """

    def start_epoch(self, epoch: int) -> None:
        """Prepare for an epoch. The training calls this before the first step of each epoch.

        Args:
            epoch: the epoch, counted from 0.
        """

    def after_step(self, losses: Tensor) -> None:
        """Use the losses after the optimizer's step. The training calls this only if `losses_after_step` is true.

        Args:
            losses: the losses of the same batch after the step (T,).
        """

    def parameters(self) -> Iterable[nn.Parameter]:
        """Return parameters that the training's optimizer also trains, at the same learning rate and without weight decay.

        The training saves and resumes their values, so `state_dict` need not contain them. The parameters of a `LossWeighting` get their
        gradients from the loss; a `GradientWeighting` sets their `.grad` in `combine`.
        """
        return ()

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state that must be saved to resume a training: by default every attribute that is a tensor or a number."""
        state = {}
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                state[_TENSOR + name] = value.detach()
            elif isinstance(value, int | float) and not isinstance(value, bool):
                state[_NUMBER + name] = torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore a saved state.

        Args:
            state: the tensors that `state_dict` returned.
        """
        for key, value in state.items():
            if key.startswith(_TENSOR):
                setattr(self, key.removeprefix(_TENSOR), value)
            elif key.startswith(_NUMBER):
                setattr(self, key.removeprefix(_NUMBER), value.item())


class LossWeighting(Weighting, ABC):
    """A weighting that combines the losses of T tasks into one loss. Subclasses implement `combine`."""

    @abstractmethod
    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Combine the losses.

        Args:
            losses: the losses of the tasks (T,).

        Returns:
            The loss to minimise, a scalar, and the weight of each task in it (T,).
        """


class GradientWeighting(Weighting, ABC):
    """A weighting that combines the gradients of T tasks into one update of the shared parameters. Subclasses implement `combine`."""

    @abstractmethod
    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Combine the gradients.

        Args:
            gradients: the gradients of the raw losses with respect to the P shared trained values, float32 (T, P).
            losses: the raw losses (T,), which no method has scaled, without a graph.

        Returns:
            The gradient to descend along (P,), and the weight of each task in it (T,).
        """

    def owned_scales(self, losses: Tensor) -> Tensor | None:
        """Return a factor per task for the gradients of the parameters that the task owns, (T,); None leaves them unchanged.

        Args:
            losses: the raw losses (T,).
        """
        return None


class GramWeighting(GradientWeighting):
    """A weighting whose weights depend only on the inner products of the gradients. Subclasses implement `weights`.

    This is fast, because only two matrix products contain the gradients (T, P).
    """

    @abstractmethod
    def weights(self, gram: Tensor) -> Tensor:
        """Return the weights of the tasks, float64 (T,).

        Args:
            gram: the inner products of the gradients, float64 (T, T), finite.
        """

    def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the gradients, and the weights. The sum is NaN where a gradient is NaN, even if its weight is 0."""
        gram = torch.nan_to_num(gradients @ gradients.T, 0.0, 0.0, 0.0).double()
        weights = check_factors("weights", self.weights(gram), len(gradients)).to(gradients)
        return weights @ gradients, weights


class DrawsAtRandom(Weighting):
    """A weighting with random numbers from its own generator on the CPU, whose state is saved and resumed with the training.

    The numbers are assigned to the tasks in the order of their names, so the order of the tasks in a model does not matter. They are passed
    to the device as Python numbers, because copying a tensor would wait for the device.
    """

    def __init__(self, tasks: Sequence[str], epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.generator = torch.Generator()
        self.by_name = sorted(range(len(self.tasks)), key=self.tasks.__getitem__)

    def seed(self, seed: int) -> None:
        """Seed the generator.

        Args:
            seed: the seed.
        """
        self.generator.manual_seed(seed)

    def rounds(self, units: Tensor) -> Iterator[Tensor]:
        """Pair each task with all other tasks, in a separate random order for each task. With two tasks nothing is drawn.

        Args:
            units: the identity matrix (T, T).

        Yields:
            T - 1 matrices (T, T), in which row t is the unit vector of the task that is paired with t.
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
        """Return the state of the generator, and of attributes."""
        return {**super().state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the state of the generator, and of attributes."""
        super().load_state_dict(state)
        self.generator.set_state(state["generator"].cpu())
