"""A labelled set of images: in memory, as model input, cut into batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoarss.labels import IGNORED
from endoarss.settings import IMAGENET_MEAN, IMAGENET_STD

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


@dataclass(frozen=True)
class RowIndices:
    """Numbers of rows, int64 (B,): in the host's memory, and on a device."""

    host: Tensor
    device: Tensor

    @classmethod
    def upload(cls, numbers: Tensor, device: torch.device) -> RowIndices:
        """Copy numbers, which lie in the host's memory, to a device."""
        return cls(numbers, upload(numbers, device))

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, part: slice) -> RowIndices:
        return RowIndices(self.host[part], self.device[part])


class Rows:
    """Tensors of equal length whose rows are taken by number: on the device where all of them fit, else in the host's memory.

    Args:
        device: where rows are needed. tensors: in the host's memory.
    """

    def __init__(self, device: torch.device, *tensors: Tensor) -> None:
        self.device, self.tensors = device, tensors
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if sum(tensor.nbytes for tensor in tensors) >= _LARGEST_SHARE * free:
                return
        # Not by `upload`: torch never gives pinned memory back, and this is done once.
        self.tensors = tuple(tensor.to(device) for tensor in tensors)

    def take(self, chosen: RowIndices) -> tuple[Tensor, ...]:
        """Return the chosen rows of each tensor, on the device. Where the tensors lie there, nothing waits for the device."""
        if self.tensors[0].device.type == self.device.type:
            return tuple(tensor[chosen.device] for tensor in self.tensors)
        return tuple(upload(tensor[chosen.host], self.device) for tensor in self.tensors)


class ImagesOnDevice:
    """A labelled set as uint8 tensors: on the device where it fits, else in the host's memory."""

    def __init__(self, data: LabelledImages, device: torch.device) -> None:
        self.device, self.count = device, len(data)
        tensors = [_tensor(data.images), _tensor(data.masks)]
        if data.activities is not None:
            tensors.append(torch.from_numpy(data.activities))
        self.rows = Rows(device, *tensors)

    def batch(self, chosen: RowIndices) -> Batch:
        """Return the images with these numbers."""
        images, masks, *activities = self.rows.take(chosen)
        return Batch(images.permute(0, 3, 1, 2).float(), masks.long(), activities[0] if activities else None)

    def epoch(self, batch_size: int, generator: torch.Generator, drop_last: bool = False) -> Iterator[Batch]:
        """Return all images once, in an order that is drawn and sent to the device at the epoch's begin: see `batches`."""
        order = RowIndices.upload(torch.randperm(self.count, generator=generator), self.device)
        for part in batches(self.count, batch_size, drop_last):
            yield self.batch(order[part])


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the host's memory to a device without waiting for the device.

    A copy from memory that may be paged out waits for all work before it; one from pinned memory takes its turn.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _tensor(array: NDArray[np.uint8]) -> Tensor:
    """A tensor of one's own: what is given may be mapped from a file."""
    return torch.from_numpy(np.array(array))


@cache
def _imagenet(device: torch.device) -> tuple[Tensor, Tensor]:
    """ImageNet's mean and deviation, float32 (3, 1, 1): made once per device, because making them there waits for it."""
    with torch.inference_mode(False):
        mean, deviation = (
            torch.tensor(values, device=device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
    return mean, deviation


def normalise(pixels: Tensor, normalisation: str) -> Tensor:
    """Pixels 0 to 255, float32 (B, 3, H, W), as a model sees them: by ImageNet's mean and deviation, or ("none") 0 to 1."""
    pixels = pixels / 255
    if normalisation == "none":
        return pixels
    mean, deviation = _imagenet(pixels.device)
    return pixels.sub_(mean).div_(deviation)


def to_input(images: NDArray[np.uint8], device: torch.device, normalisation: str = "imagenet") -> Tensor:
    """uint8 RGB (B, H, W, 3) -> float32 (B, 3, H, W), normalised."""
    pixels = upload(torch.from_numpy(np.ascontiguousarray(images)), device).permute(0, 3, 1, 2).float()
    return normalise(pixels, normalisation)


def batches(count: int, batch_size: int, drop_last: bool = False) -> Iterator[slice]:
    """Return which images of a shuffled epoch each batch holds. A last batch of one image joins the batch before it: batch
    normalisation over a pooled map needs two. drop_last: leave out the last batch if it is smaller than the others."""
    if drop_last:
        count -= count % batch_size
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], count], strict=True):
        yield slice(start, stop)
