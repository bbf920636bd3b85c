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

# A task whose loss vanished during that epoch has a nadir of almost 0, relative to which every later loss would outweigh all others.
_LOWEST_NADIR = 1e-4


@register_weighting("stch")
class SmoothTchebycheff(LossWeighting):
    """T mu log sum_t exp((log(l_t / nadir_t) - max) / mu), after a warm-up of W epochs.

    In the epochs before W the loss is sum_t log l_t. In epoch W it is the same, and the mean raw losses of that epoch
    become the nadir, which is at least 1e-4. The tasks' own parameters are scaled with the rest.

    Args:
        mu: smoothness, above 0. warmup_epochs: W.
    """

    BOUNDS: ClassVar = {"mu": "[1e-6, 1000000]", "warmup_epochs": "[0, 100000]"}

    def __init__(self, tasks: Sequence[str], epochs: int, mu: float = 1.0, warmup_epochs: int = 4) -> None:
        super().__init__(tasks, epochs)
        check_settings_of(SmoothTchebycheff, "stch", {"mu": mu, "warmup_epochs": warmup_epochs})
        if epochs <= warmup_epochs + 1:
            raise SettingsError(
                f"stch: {epochs} epochs with warmup_epochs {warmup_epochs}; expected more than {warmup_epochs + 1} epochs, "
                "for the scalarisation starts after the warm-up and the epoch that records the nadir."
            )
        self.mu = mu
        self.warmup_epochs = warmup_epochs
        self.epoch = 0
        self.loss_sum: Tensor | None = None
        self.steps = 0

    def start_epoch(self, epoch: int) -> None:
        """Take note of the phase."""
        self.epoch = epoch

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """The scalarised loss."""
        losses = losses.clamp_min(torch.finfo(losses.dtype).tiny)  # a loss of 0 has no logarithm
        if self.epoch <= self.warmup_epochs:
            if self.epoch == self.warmup_epochs:
                before = 0 if self.loss_sum is None else self.loss_sum
                self.loss_sum = before + losses.detach().double()
                self.steps += 1
            return losses.log().sum(), torch.ones_like(losses)
        assert self.loss_sum is not None, "the epoch before these records the nadir"
        nadir = (self.loss_sum / self.steps).clamp_min(_LOWEST_NADIR).to(losses)
        ratios = (losses / nadir).log()
        scaled = (ratios - ratios.detach().max()) / self.mu
        tasks = len(self.tasks)
        return tasks * self.mu * scaled.exp().sum().log(), tasks * scaled.detach().softmax(dim=0)

    def state_dict(self) -> dict[str, Tensor]:
        """Phase and the sums behind the nadir."""
        state = {"epoch": torch.tensor(self.epoch), "steps": torch.tensor(self.steps)}
        return state if self.loss_sum is None else {**state, "loss_sum": self.loss_sum}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on in the same phase with the same nadir."""
        self.epoch, self.steps = int(state["epoch"]), int(state["steps"])
        self.loss_sum = state["loss_sum"].clone() if "loss_sum" in state else None
