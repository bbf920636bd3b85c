"""Spatially-aware multi-scale attention (SMA), EndoARSS section III-B, in front of the patch embedding.

The attention inside is the efficient multi-scale attention of Ouyang et al. 2023 (ICASSP), reference 61 of the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from endoarss.errors import SettingsError
from endoarss.settings import SMA_PATCH


def unfold_patches(x: Tensor, patch: int) -> Tensor:
    """Unfold an image into patches (section III-B1).

    Args:
        x: an image with d channels (B, d, H, W).
        patch: side of the patches in pixels.

    Returns:
        (B, P, N, d), with P = patch^2 positions inside a patch and N = H W / P patches.
    """
    batch, width, height, breadth = x.shape
    rows, columns = height // patch, breadth // patch
    x = x.permute(0, 2, 3, 1).reshape(batch, rows, patch, columns, patch, width)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(batch, patch * patch, rows * columns, width)


def fold_patches(x: Tensor, patch: int, height: int, breadth: int) -> Tensor:
    """Fold patches into an image, the inverse of `unfold_patches` (section III-B3).

    Args:
        x: (B, P, N, d), from `unfold_patches`.
        patch: side of the patches in pixels.
        height: H, the height of the image in pixels.
        breadth: W, the width of the image in pixels.

    Returns:
        (B, d, H, W).
    """
    batch, _, _, width = x.shape
    rows, columns = height // patch, breadth // patch
    x = x.view(batch, patch, patch, rows, columns, width)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(batch, height, breadth, width).permute(0, 3, 1, 2)


class MultiScaleAttention(nn.Module):
    """Cross-spatial attention over a plane, with all channels in one group (section III-B2).

    Args:
        channels: the number of channels, which here are the positions inside a patch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, kernel_size=1)
        self.local = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.norm = nn.GroupNorm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended tensor, of the same shape (B, C, H, W)."""
        height, breadth = x.shape[-2:]
        along_height = x.mean(dim=3, keepdim=True)
        along_width = x.mean(dim=2, keepdim=True).transpose(2, 3)
        mixed = self.pointwise(torch.cat([along_height, along_width], dim=2))
        gate_height, gate_width = mixed.split([height, breadth], dim=2)
        x1 = self.norm(x * gate_height.sigmoid() * gate_width.transpose(2, 3).sigmoid())
        x2 = self.local(x)
        # Each branch's pooled descriptor weighs the other branch's channels.
        weight1 = x1.mean(dim=(2, 3)).softmax(dim=1)
        weight2 = x2.mean(dim=(2, 3)).softmax(dim=1)
        plane = torch.einsum("bc,bchw->bhw", weight1, x2) + torch.einsum("bc,bchw->bhw", weight2, x1)
        return x * plane.unsqueeze(1).sigmoid()


class SpatiallyAwareMultiScaleAttention(nn.Module):
    """Computes x + gamma SMA(x) for a normalised image x; gamma starts at 0 and is trained.

    Args:
        width: d, the number of channels that the image is projected to. The cost is linear in it.
        patch: side of the unfolded patches in pixels.
        kernel: side of the kernels of the first and the last convolution.
        residual: if false, the output is SMA(x) alone, as in the authors' code.
    """

    def __init__(self, width: int = 64, patch: int = SMA_PATCH, kernel: int = 3, residual: bool = True) -> None:
        super().__init__()
        self.patch = patch
        self.local = nn.Conv2d(3, 3, kernel, padding=kernel // 2)
        self.expand = nn.Conv2d(3, width, kernel_size=1)
        self.attention = MultiScaleAttention(patch * patch)
        self.project = nn.Conv2d(width, 3, kernel_size=1)
        self.merge = nn.Conv2d(6, 3, kernel, padding=kernel // 2)
        self.gamma = nn.Parameter(torch.zeros(1)) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        """Return the attended image, of the same shape (B, 3, H, W).

        Raises:
            SettingsError: if H or W is not a multiple of the patch.
        """
        height, breadth = x.shape[-2:]
        if height % self.patch or breadth % self.patch:
            raise SettingsError(
                f"SMA: the input is {breadth}x{height}; expected sides that are multiples of {self.patch}."
            )
        # Convolutions over 3 to d channels are several times faster with channels last.
        x = x.contiguous(memory_format=torch.channels_last)
        patches = unfold_patches(self.expand(self.local(x)), self.patch)
        folded = fold_patches(self.attention(patches), self.patch, height, breadth)
        attended = self.merge(torch.cat([self.project(folded), x], dim=1))
        return attended if self.gamma is None else x + self.gamma * attended
