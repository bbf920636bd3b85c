"""A labelled set of images in memory, and how it is cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoarss.settings import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class LabelledImages:
    """N square images with their labels.

    images: uint8 (N, S, S, 3) RGB. masks: uint8 (N, S, S) class ids. activities: int64 (N,), or None without activities.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    activities: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.images)


def to_input(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 RGB (B, H, W, 3) -> float32 (B, 3, H, W), normalised by ImageNet's mean and deviation."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div_(255)
    mean = torch.tensor(IMAGENET_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=device).view(3, 1, 1)
    return pixels.sub_(mean).div_(std)


def batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[NDArray[np.int64]]:
    """Shuffled indices of one epoch. A last batch of one image joins the batch before it: batch normalisation over a
    pooled map needs two."""
    order = torch.randperm(count, generator=generator).numpy()
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    for index, start in enumerate(starts):
        stop = starts[index + 1] if index + 1 < len(starts) else count
        yield order[start:stop]
