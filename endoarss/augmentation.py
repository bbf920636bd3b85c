"""Random augmentation of training images and their masks, on the images' device. It is off by default, as in the paper."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from endoarss.data import Batch, upload
from endoarss.errors import SettingsError

Corrupt = Callable[
    [NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float64]], tuple[NDArray[np.uint8], NDArray[np.uint8]]
]
"""Corrupts an image, uint8 RGB (S, S, 3), and its mask, uint8 (S, S). The third argument is three random numbers in [0, 1)."""


@dataclass(frozen=True)
class ImageCorruption:
    """A corruption that is applied to some of the training images.

    Attributes:
        corrupt: the function that corrupts one image and its mask.
        probability: the probability that an image is corrupted, 0 to 1.
    """

    corrupt: Corrupt
    probability: float


@dataclass(frozen=True)
class AugmentationSettings:
    """The strength of each augmentation; if all values are 0, images are not changed.

    Attributes:
        flip_horizontal: probability of a horizontal flip, 0 to 1.
        flip_vertical: probability of a vertical flip, 0 to 1.
        rotation: largest rotation in either direction, in degrees, 0 to 180.
        scale: largest relative change of size, 0 to 0.9; the factor is between 1 - scale and 1 + scale.
        brightness: largest relative change of brightness, 0 to 1.
        contrast: largest relative change of contrast, 0 to 1.

    Raises:
        SettingsError: if a value is out of its range.
    """

    flip_horizontal: float = 0.0
    flip_vertical: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        limits = {"rotation": 180.0, "scale": 0.9}
        for name, value in vars(self).items():
            highest = limits.get(name, 1.0)
            if not 0 <= value <= highest:
                raise SettingsError(f"augmentation: {name} {value}; expected a number from 0 to {highest}.")

    @property
    def is_on(self) -> bool:
        """Whether any augmentation is on."""
        return any(vars(self).values())


def corrupt_images(batch: Batch, corruption: ImageCorruption, generator: torch.Generator) -> Batch:
    """Return a copy of a batch in which some images are corrupted. The CPU corrupts them, and a GPU has to wait for it.

    Args:
        batch: images that no augmentation has changed yet, so that their values are whole numbers.
        corruption: the function that corrupts an image, and the probability.
        generator: a generator on the CPU. Four numbers per image are drawn from it, whether the image is corrupted or not.

    Returns:
        The new batch, on the same device.
    """
    draws = torch.rand(len(batch.images), 4, generator=generator, dtype=torch.float64)
    (selected,) = torch.nonzero(draws[:, 0] < corruption.probability, as_tuple=True)
    images, masks = batch.images.clone(), batch.masks.clone()
    for i in selected.tolist():
        pixels = images[i].permute(1, 2, 0).to("cpu", torch.uint8).contiguous().numpy()
        ids = masks[i].to("cpu", torch.uint8).numpy()
        image, mask = corruption.corrupt(pixels, ids, draws[i, 1:].numpy())
        images[i] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        masks[i] = torch.from_numpy(np.array(mask))
    return Batch(images, masks, batch.activities)


def augment(batch: Batch, settings: AugmentationSettings, generator: torch.Generator) -> Batch:
    """Return an augmented copy of a batch.

    Images are sampled bilinearly and masks by nearest neighbour; both are mirrored beyond their edges.

    Args:
        batch: images and labels.
        settings: the strength of each augmentation.
        generator: draws separate random numbers for every image; it is on the CPU, so that all devices get the same numbers.

    Returns:
        The new batch, or `batch` itself if no augmentation is on.
    """
    if not settings.is_on:
        return batch
    count, device = len(batch.images), batch.images.device
    draws = upload(torch.rand(6, count, generator=generator), device)

    def around_one(row: Tensor, width: float) -> Tensor:
        return 1 + width * (2 * row - 1)

    mirrored = torch.where(draws[0] < settings.flip_horizontal, -1.0, 1.0)
    upturned = torch.where(draws[1] < settings.flip_vertical, -1.0, 1.0)
    images, masks = batch.images, batch.masks
    if settings.rotation or settings.scale:
        angle = math.radians(settings.rotation) * (2 * draws[2] - 1)
        size = around_one(draws[3], settings.scale)
        cosine, sine, zero = angle.cos() / size, angle.sin() / size, torch.zeros_like(angle)
        rows = [torch.stack([mirrored * cosine, -upturned * sine, zero], 1)]
        rows.append(torch.stack([mirrored * sine, upturned * cosine, zero], 1))
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)
        ids = masks.unsqueeze(1).float()
        masks = F.grid_sample(ids, grid, "nearest", "reflection", align_corners=False).squeeze(1).long()
    else:
        for signs, axis in ((mirrored, -1), (upturned, -2)):
            turned = (signs < 0).view(-1, 1, 1)
            images = torch.where(turned.unsqueeze(1), images.flip(axis), images)
            masks = torch.where(turned, masks.flip(axis), masks)
    if settings.brightness or settings.contrast:
        means = images.mean(dim=(1, 2, 3), keepdim=True)
        contrast = around_one(draws[4], settings.contrast).view(-1, 1, 1, 1)
        brightness = around_one(draws[5], settings.brightness).view(-1, 1, 1, 1)
        images = (((images - means) * contrast + means) * brightness).clamp(0, 255)
    return Batch(images, masks, batch.activities)
