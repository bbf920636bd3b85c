"""The Representation Surgery module (Yang et al. 2024, arXiv:2402.02705, section 4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from endoarss.errors import SettingsError


class Surgery(nn.Module):
    """Computes z' = z - U ReLU(D z), which reduces the bias of a merged model's representation z for one task.

    The trained matrices are D, which is initialised kaiming-uniform(a = sqrt 5), and U, which starts with zeros, so that z' = z at first.
    There are no bias parameters. If the representation consists of tokens, the same U and D are applied to every token.

    Args:
        channels: C, the number of channels of the representation.
        rank: the number of rows of D, at most C.
        seed: the seed of D.
    """

    def __init__(self, channels: int, rank: int = 16, seed: int = 0) -> None:
        super().__init__()
        if not 1 <= rank <= channels:
            raise SettingsError(f"surgery: rank {rank}; expected 1 to {channels}, the number of channels.")
        self.down = nn.Parameter(torch.empty(rank, channels))
        self.up = nn.Parameter(torch.zeros(channels, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5), generator=torch.Generator().manual_seed(seed))

    def forward(self, z: Tensor) -> Tensor:
        """Return the corrected representation, of the same shape (..., C)."""
        return z - (z @ self.down.T).relu() @ self.up.T
