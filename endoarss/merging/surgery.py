"""Representation Surgery (Yang et al. 2024, arXiv:2402.02705, section 4): the module."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from endoarss.errors import SettingsError


class Surgery(nn.Module):
    """z' = z - U ReLU(D z): takes one task's bias out of a merged model's representation.

    D is kaiming-uniform(a = sqrt 5), U zero, so that z' = z at first; no biases. Of a representation of tokens each is treated alike.

    Args:
        channels: C of the representation. rank: rows of D, at most C. seed: draws D.
    """

    def __init__(self, channels: int, rank: int = 16, seed: int = 0) -> None:
        super().__init__()
        if not 1 <= rank <= channels:
            raise SettingsError(f"surgery: rank {rank}; expected 1 to {channels}, the width of the representation.")
        self.down = nn.Parameter(torch.empty(rank, channels))
        self.up = nn.Parameter(torch.zeros(channels, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5), generator=torch.Generator().manual_seed(seed))

    def forward(self, z: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return z - (z @ self.down.T).relu() @ self.up.T
