"""Labelled images: in memory, on a device, as model input, and in batches."""

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

# Images may use at most this share of the free device memory, because training needs memory too. Larger sets stay in the host's memory.
_LARGEST_SHARE = 0.4


@dataclass(frozen=True)
class LabelledImages:
    """N square images with their labels.

    Attributes:
        images: uint8 (N, S, S, 3), RGB.
        masks: uint8 (N, S, S), class ids; `IGNORED` for pixels without a class.
        activities: int64 (N,), or None if the dataset has no activities.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    activities: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def ignores(self) -> bool:
        """Whether any pixel of any mask is ignored; this reads all masks."""
        return bool(self.masks.size) and int(self.masks.max()) == IGNORED


@dataclass(frozen=True)
class Batch:
    """A batch of B images with their labels.

    Attributes:
        images: float32 (B, 3, S, S), 0 to 255.
        masks: int64 (B, S, S), class ids.
        activities: int64 (B,), or None if the dataset has no activities.
    """

    images: Tensor
    masks: Tensor
    activities: Tensor | None


@dataclass(frozen=True)
class RowIndices:
    """Indices of rows, in the host's memory and on a device.

    Attributes:
        host: int64 (B,), in the host's memory.
        device: the same indices on the device.
    """

    host: Tensor
    device: Tensor

    @classmethod
    def upload(cls, numbers: Tensor, device: torch.device) -> RowIndices:
        """Copy indices to a device.

        Args:
            numbers: int64 (B,), in the host's memory.
            device: the device to copy to.
        """
        return cls(numbers, upload(numbers, device))

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, rows: slice) -> RowIndices:
        return RowIndices(self.host[rows], self.device[rows])


class Rows:
    """Tensors of equal length from which rows are selected. They are on the device if all of them fit, otherwise in the host's memory.

    Args:
        device: the device on which the rows are needed.
        tensors: the tensors, in the host's memory.
    """

    def __init__(self, device: torch.device, *tensors: Tensor) -> None:
        self.device, self.tensors = device, tensors
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if sum(tensor.nbytes for tensor in tensors) >= _LARGEST_SHARE * free:
                return
        # This happens once and does not use `upload`, because torch never releases pinned memory.
        self.tensors = tuple(tensor.to(device) for tensor in tensors)

    def take(self, indices: RowIndices) -> tuple[Tensor, ...]:
        """Return the selected rows of each tensor, on the device. If the tensors are on the device already, this does not wait for it.

        Args:
            indices: the indices of the rows.
        """
        if self.tensors[0].device.type == self.device.type:
            return tuple(tensor[indices.device] for tensor in self.tensors)
        return tuple(upload(tensor[indices.host], self.device) for tensor in self.tensors)


class ImagesOnDevice:
    """Labelled images as uint8 tensors, on the device if they fit, otherwise in the host's memory.

    Args:
        data: the images and labels.
        device: the device on which batches are needed.
    """

    def __init__(self, data: LabelledImages, device: torch.device) -> None:
        self.device, self.count = device, len(data)
        tensors = [_tensor(data.images), _tensor(data.masks)]
        if data.activities is not None:
            tensors.append(torch.from_numpy(data.activities))
        self.rows = Rows(device, *tensors)

    def batch(self, indices: RowIndices) -> Batch:
        """Return the images with these indices.

        Args:
            indices: the indices of the images.
        """
        images, masks, *activities = self.rows.take(indices)
        return Batch(images.permute(0, 3, 1, 2).float(), masks.long(), activities[0] if activities else None)

    def epoch(self, batch_size: int, generator: torch.Generator, drop_last: bool = False) -> Iterator[Batch]:
        """Yield all images once, in batches. The random order is drawn and copied to the device at the start of the epoch.

        Args:
            batch_size: the number of images in a batch; see `batches`.
            generator: draws the order, on the CPU.
            drop_last: whether to leave out the last batch if it is smaller than the others.
        """
        order = RowIndices.upload(torch.randperm(self.count, generator=generator), self.device)
        for rows in batches(self.count, batch_size, drop_last):
            yield self.batch(order[rows])


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the host's memory to a device without waiting for the device.

    A copy from pageable memory waits for all earlier work; a copy from pinned memory is queued.

    Args:
        tensor: a tensor in the host's memory.
        device: the device to copy to.

    Returns:
        The tensor on the device.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _tensor(array: NDArray[np.uint8]) -> Tensor:
    """Return a copy as a tensor, because the array may be memory-mapped from a file."""
    return torch.from_numpy(np.array(array))


@cache
def _imagenet(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ImageNet's mean and deviation, float32 (3, 1, 1). They are cached, because creating them waits for the device."""
    with torch.inference_mode(False):
        mean, deviation = (
            torch.tensor(values, device=device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )
    return mean, deviation


def normalise(pixels: Tensor, normalisation: str) -> Tensor:
    """Return normalised pixels.

    Args:
        pixels: float32 (B, 3, H, W), 0 to 255.
        normalisation: "imagenet" for ImageNet's mean and deviation, or "none" for values from 0 to 1.

    Returns:
        float32 (B, 3, H, W).
    """
    pixels = pixels / 255
    if normalisation == "none":
        return pixels
    mean, deviation = _imagenet(pixels.device)
    return pixels.sub_(mean).div_(deviation)


def to_input(images: NDArray[np.uint8], device: torch.device, normalisation: str = "imagenet") -> Tensor:
    """Return images as the input of a model.

    Args:
        images: uint8 RGB (B, H, W, 3).
        device: the device to copy them to.
        normalisation: "imagenet" or "none", see `normalise`.

    Returns:
        float32 (B, 3, H, W), normalised.
    """
    pixels = upload(torch.from_numpy(np.ascontiguousarray(images)), device).permute(0, 3, 1, 2).float()
    return normalise(pixels, normalisation)


def batches(count: int, batch_size: int, drop_last: bool = False) -> Iterator[slice]:
    """Yield the positions of each batch in the shuffled order of an epoch, as a slice.

    A last batch of one image is added to the batch before it, because batch normalisation over a pooled map needs two images.

    Args:
        count: the number of images.
        batch_size: the number of images in a batch.
        drop_last: whether to leave out the last batch if it is smaller than the others.
    """
    if drop_last:
        count -= count % batch_size
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], count], strict=True):
        yield slice(start, stop)
