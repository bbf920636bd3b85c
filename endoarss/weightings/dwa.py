"""DWA: dynamic weight average (Liu et al., CVPR 2019, arXiv:1803.10704)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting

_EPSILON = 1e-8  # smallest mean loss, because a ratio to 0 is not defined


@register_weighting("dwa")
class DynamicWeightAverage(LossWeighting):
    """The loss is sum_t w_t l_t, with the losses l_t of the T tasks and w = T softmax(r / temperature).

    r_t is the mean loss of the previous epoch, divided by the mean loss of the epoch before it. The weights are 1 in the first two epochs.

    Args:
        temperature: a number above 0; a higher temperature gives more similar weights.
    """

    BOUNDS: ClassVar = {"temperature": "[0.01, 1000000]"}

    def __init__(self, tasks: Sequence[str], epochs: int, temperature: float = 2.0) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(DynamicWeightAverage, "dwa", {"temperature": temperature})
        self.temperature = temperature
        self.sums: Tensor | None = None
        self.steps = 0
        self.means: list[Tensor] = []  # mean losses of the last two epochs, the older one first

    def start_epoch(self, epoch: int) -> None:
        """Compute the mean losses of the epoch that has ended."""
        if self.sums is not None:
            self.means = [*self.means, self.sums / self.steps][-2:]
            self.sums, self.steps = None, 0

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the losses, and the weights."""
        detached = losses.detach().double()
        self.sums = detached if self.sums is None else self.sums + detached
        self.steps += 1
        if len(self.means) < 2:
            return losses.sum(), torch.ones_like(losses)
        older, newer = (means.clamp_min(_EPSILON) for means in self.means)
        weights = (len(self.tasks) * (newer / older / self.temperature).softmax(dim=0)).to(losses)
        return weights @ losses, weights

    def state_dict(self) -> dict[str, Tensor]:
        """Return the sums of this epoch and the means of the last two epochs."""
        state = {f"means.{index}": means for index, means in enumerate(self.means)}
        return state if self.sums is None else {**state, "sums": self.sums, "steps": torch.tensor(self.steps)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the sums and the means."""
        self.means = [state[f"means.{index}"].clone() for index in range(2) if f"means.{index}" in state]
        self.sums = state["sums"].clone() if "sums" in state else None
        self.steps = int(state["steps"]) if "steps" in state else 0
