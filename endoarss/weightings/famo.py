"""FAMO: fast adaptive multitask optimization (Liu et al., NeurIPS 2023, arXiv:2306.03792)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting

_EPSILON = 1e-8
_MOMENTS = 0.9, 0.999  # Adam's


@register_weighting("famo")
class FastAdaptive(LossWeighting):
    """c sum_t z_t log l_t with z = softmax(x) and 1 / c = sum_t z_t / l_t, c held constant; 1e-8 is added to each loss.

    After the step the losses of the same batch are computed once more, without gradients. x then takes a step of Adam against the gradient
    of sum_t z_t d_t, d_t = log l_t before - log l_t after, and its weight decay. The authors' code, LibMTL and torchjd's example evaluate
    the batch again as well; that costs a forward pass, dropout draws anew, and running statistics of batch normalisation see the batch
    twice.

    Args:
        rate: Adam's learning rate of x. decay: weight decay of x, added to its gradient.
    """

    BOUNDS: ClassVar = {"rate": "[0, 100]", "decay": "[0, 100]"}
    losses_after_step = True

    def __init__(self, tasks: Sequence[str], epochs: int, rate: float = 0.025, decay: float = 0.001) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(FastAdaptive, "famo", {"rate": rate, "decay": decay})
        self.rate, self.decay = rate, decay
        self.step = 0
        # x, and the moments of its gradient.
        self.logits, self.first, self.second = torch.zeros(3, len(self.tasks), dtype=torch.float64).unbind()
        self.logs: Tensor | None = None

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The weighted logarithms. A task's weight is that of its raw loss in the gradient; they sum to 1."""
        shifted = losses + _EPSILON
        self.logs = shifted.detach().log()
        shares = self.logits.softmax(dim=0).to(losses)
        ratios = shares / shifted.detach()
        scale = 1 / ratios.sum()
        return scale * shares @ shifted.log(), scale * ratios

    def after_step(self, losses: Tensor) -> None:
        """Take a step of Adam, as torch writes it."""
        assert self.logs is not None, "the step before has taken its losses"
        gained = (self.logs - (losses + _EPSILON).log()).to(self.logits)
        shares = self.logits.softmax(dim=0)
        gradient = shares * (gained - shares @ gained) + self.decay * self.logits
        self.step += 1
        one, two = _MOMENTS
        self.first = gradient.lerp(self.first, one)
        self.second = gradient.square().lerp(self.second, two)
        divisor = (self.second / (1 - two**self.step)).sqrt() + _EPSILON
        self.logits = self.logits - self.rate / (1 - one**self.step) * self.first / divisor

    def state_dict(self) -> dict[str, Tensor]:
        """Step count, x and its moments."""
        return {
            "step": torch.tensor(self.step),
            "logits": self.logits,
            "first": self.first,
            "second": self.second,
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on with the same x and moments."""
        self.step = int(state["step"])
        self.logits, self.first, self.second = (state[name].clone() for name in ("logits", "first", "second"))
