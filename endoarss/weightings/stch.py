"""STCH: smooth Tchebycheff scalarisation (Lin et al. 2024, arXiv:2402.19078)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from endoarss.components.description import check_settings_of
from endoarss.errors import SettingsError
from endoarss.registry import register_weighting
from endoarss.weightings.base import LossWeighting

# Lower bound of the nadir. Relative to a nadir of almost 0, every later loss of a task would outweigh the losses of all other tasks.
_LOWEST_NADIR = 1e-4


@register_weighting("stch")
class SmoothTchebycheff(LossWeighting):
    """The loss is T mu log sum_t exp((r_t - max r) / mu) after a warm-up of W epochs, with the T tasks and r_t = log(l_t / nadir_t).

    In epochs 0 to W, counted from 0, the loss is sum_t log l_t. The mean raw losses of epoch W become the nadir, which is at least 1e-4. No
    gradient flows through max r. The gradients of the tasks' own parameters are scaled too.

    Args:
        mu: smoothness, above 0.
        warmup_epochs: W, the number of epochs before the epoch that records the nadir.
    """

    BOUNDS: ClassVar = {"mu": "[1e-6, 1000000]", "warmup_epochs": "[0, 100000]"}

    def __init__(self, tasks: Sequence[str], epochs: int, mu: float = 1.0, warmup_epochs: int = 4) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(SmoothTchebycheff, "stch", {"mu": mu, "warmup_epochs": warmup_epochs})
        if epochs <= warmup_epochs + 1:
            raise SettingsError(
                f"stch: {epochs} epochs with warmup_epochs {warmup_epochs}; expected more than {warmup_epochs + 1} epochs, "
                "because the scalarisation starts after the warm-up and the epoch that records the nadir."
            )
        self.mu = mu
        self.warmup_epochs = warmup_epochs
        self.epoch = 0
        self.loss_sum: Tensor | None = None
        self.steps = 0

    def start_epoch(self, epoch: int) -> None:
        """Record the epoch, which decides the phase."""
        self.epoch = epoch

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scalarised loss, and the weights of the log losses in its gradient."""
        losses = losses.clamp_min(torch.finfo(losses.dtype).tiny)  # a loss of 0 has no logarithm
        if self.epoch <= self.warmup_epochs:
            if self.epoch == self.warmup_epochs:
                before = 0 if self.loss_sum is None else self.loss_sum
                self.loss_sum = before + losses.detach().double()
                self.steps += 1
            return losses.log().sum(), torch.ones_like(losses)
        assert self.loss_sum is not None, "the last epoch of the warm-up has recorded the nadir"
        nadir = (self.loss_sum / self.steps).clamp_min(_LOWEST_NADIR).to(losses)
        ratios = (losses / nadir).log()
        scaled = (ratios - ratios.detach().max()) / self.mu
        tasks = len(self.tasks)
        return tasks * self.mu * scaled.exp().sum().log(), tasks * scaled.detach().softmax(dim=0)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the phase and the sums from which the nadir is computed."""
        state = {"epoch": torch.tensor(self.epoch), "steps": torch.tensor(self.steps)}
        return state if self.loss_sum is None else {**state, "loss_sum": self.loss_sum}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the phase and the nadir."""
        self.epoch, self.steps = int(state["epoch"]), int(state["steps"])
        self.loss_sum = state["loss_sum"].clone() if "loss_sum" in state else None
