"""A labelled set of images: in memory, as model input, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoarss.settings import IGNORED, IMAGENET_MEAN, IMAGENET_STD

# What a training itself needs on the device besides images: they stay on the host if they took more of the free memory than this.
_LARGEST_SHARE = 0.4


@dataclass(frozen=True)
class LabelledImages:
    """N square images with their labels.

    images: uint8 (N, S, S, 3) RGB. masks: uint8 (N, S, S) class ids, `IGNORED` where a pixel has none. activities: int64 (N,), or None
    without activities.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    activities: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def ignores(self) -> bool:
        """Whether a pixel of some mask is ignored; it takes a look at all of them."""
        return bool(self.masks.size) and int(self.masks.max()) == IGNORED


@dataclass(frozen=True)
class Batch:
    """images: float32 (B, 3, S, S), 0 to 255. masks: int64 (B, S, S). activities: int64 (B,) or None."""

    images: Tensor
    masks: Tensor
    activities: Tensor | None


class ImagesOnDevice:
    """A labelled set as uint8 tensors: on the device where it fits, else in the host's memory."""

    def __init__(self, data: LabelledImages, device: torch.device) -> None:
        self.device = device
        self.images, self.masks = _tensor(data.images), _tensor(data.masks)
        self.activities = None if data.activities is None else torch.from_numpy(data.activities).to(device)
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self.images.nbytes + self.masks.nbytes < _LARGEST_SHARE * free:
                self.images, self.masks = self.images.to(device), self.masks.to(device)

    def batch(self, chosen: Tensor) -> Batch:
        """The images with these numbers, int64 (B,)."""
        images, masks = (self._taken(tensor, chosen) for tensor in (self.images, self.masks))
        activities = None if self.activities is None else self.activities[chosen.to(self.device)]
        return Batch(images.permute(0, 3, 1, 2).float(), masks.long(), activities)

    def _taken(self, kept: Tensor, chosen: Tensor) -> Tensor:
        if kept.device.type == self.device.type:
            return kept[chosen.to(self.device)]
        return kept[chosen].pin_memory().to(self.device, non_blocking=True)


def _tensor(array: NDArray[np.uint8]) -> Tensor:
    """A tensor of one's own: what is given may be mapped from a file."""
    return torch.from_numpy(np.array(array))


def normalise(pixels: Tensor, normalisation: str) -> Tensor:
    """Pixels 0 to 255, float32 (B, 3, H, W), as a model sees them: by ImageNet's mean and deviation, or ("none") 0 to 1."""
    pixels = pixels / 255
    if normalisation == "none":
        return pixels
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=pixels.device).view(3, 1, 1)
    return pixels.sub_(mean).div_(std)


def to_input(images: NDArray[np.uint8], device: torch.device, normalisation: str = "imagenet") -> Tensor:
    """uint8 RGB (B, H, W, 3) -> float32 (B, 3, H, W), normalised."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()
    return normalise(pixels, normalisation)


def batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Shuffled indices of one epoch, int64. A last batch of one image joins the batch before it: batch normalisation over a
    pooled map needs two."""
    order = torch.randperm(count, generator=generator)
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    for index, start in enumerate(starts):
        stop = starts[index + 1] if index + 1 < len(starts) else count
        yield order[start:stop]
