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
_MOMENTS = 0.9, 0.999  # decay rates of Adam's moments


@register_weighting("famo")
class FastAdaptive(LossWeighting):
    """The loss is c sum_t z_t log l_t, with z = softmax(x) and 1 / c = sum_t z_t / l_t; c is a constant, and 1e-8 is added to each l_t.

    After the step the losses of the same batch are computed again, without gradients. Then Adam with weight decay updates x to minimise
    sum_t z_t d_t, where d_t is log l_t before the step minus log l_t after it. The authors' code, LibMTL and torchjd's example also
    evaluate the batch twice. This costs a forward pass; dropout is drawn again, and the running statistics of batch normalisation are
    updated twice.

    Args:
        rate: Adam's learning rate for x.
        decay: weight decay of x, which is added to its gradient.
    """

    BOUNDS: ClassVar = {"rate": "[0, 100]", "decay": "[0, 100]"}
    losses_after_step = True

    def __init__(self, tasks: Sequence[str], epochs: int, rate: float = 0.025, decay: float = 0.001) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(FastAdaptive, "famo", {"rate": rate, "decay": decay})
        self.rate, self.decay = rate, decay
        self.step = 0
        # x, and Adam's moments of its gradient.
        zeros = torch.zeros(3, len(self.tasks), dtype=torch.float64)
        self.logits, self.first_moment, self.second_moment = zeros.unbind()
        self.logs: Tensor | None = None

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weighted sum of the log losses, and the weights of the raw losses in its gradient, which sum to 1."""
        shifted = losses + _EPSILON
        self.logs = shifted.detach().log()
        shares = self.logits.softmax(dim=0).to(losses)
        ratios = shares / shifted.detach()
        scale = 1 / ratios.sum()
        return scale * shares @ shifted.log(), scale * ratios

    def after_step(self, losses: Tensor) -> None:
        """Update x with a step of Adam, with torch's formulas."""
        assert self.logs is not None, "combine has stored the losses of this step"
        gained = (self.logs - (losses + _EPSILON).log()).to(self.logits)
        shares = self.logits.softmax(dim=0)
        gradient = shares * (gained - shares @ gained) + self.decay * self.logits
        self.step += 1
        beta1, beta2 = _MOMENTS
        self.first_moment = gradient.lerp(self.first_moment, beta1)
        self.second_moment = gradient.square().lerp(self.second_moment, beta2)
        divisor = (self.second_moment / (1 - beta2**self.step)).sqrt() + _EPSILON
        self.logits = self.logits - self.rate / (1 - beta1**self.step) * self.first_moment / divisor

    def state_dict(self) -> dict[str, Tensor]:
        """Return the step count, x and its moments."""
        return {
            "step": torch.tensor(self.step),
            "logits": self.logits,
            "first": self.first_moment,
            "second": self.second_moment,
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the step count, x and its moments."""
        self.step = int(state["step"])
        self.logits = state["logits"].clone()
        self.first_moment, self.second_moment = state["first"].clone(), state["second"].clone()
