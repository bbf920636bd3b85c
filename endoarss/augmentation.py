"""Random changes of training images and their masks, on the device the images are on. None by default, as in the paper."""

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
"""Corrupts an image, uint8 RGB (S, S, 3), and its mask, uint8 (S, S), as three random numbers from 0 to below 1 say."""


@dataclass(frozen=True)
class ImageCorruption:
    """Corrupts some images of a batch by a function of the caller's. probability: of each image."""

    corrupt: Corrupt
    probability: float


@dataclass(frozen=True)
class AugmentationSettings:
    """How far images are changed; all zero means not at all.

    flip_horizontal, flip_vertical: probabilities. rotation: up to so many degrees either way. scale: up to 1 +- scale.
    brightness, contrast: factors up to 1 +- so much.
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
    def anything(self) -> bool:
        """Whether anything is changed."""
        return any(vars(self).values())


def corrupt_images(batch: Batch, corruption: ImageCorruption, generator: torch.Generator) -> Batch:
    """Return a copy of a batch with some images corrupted, on the CPU: on a GPU it waits for those images.

    Args:
        batch: of images that nothing has changed, so that they are whole numbers.
        corruption: by what, and how often.
        generator: draws the same numbers whatever is corrupted, on the CPU.
    """
    draws = torch.rand(len(batch.images), 4, generator=generator, dtype=torch.float64)
    (chosen,) = torch.nonzero(draws[:, 0] < corruption.probability, as_tuple=True)
    images, masks = batch.images.clone(), batch.masks.clone()
    for i in chosen.tolist():
        pixels = images[i].permute(1, 2, 0).to("cpu", torch.uint8).contiguous().numpy()
        ids = masks[i].to("cpu", torch.uint8).numpy()
        image, mask = corruption.corrupt(pixels, ids, draws[i, 1:].numpy())
        images[i] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        masks[i] = torch.from_numpy(np.array(mask))
    return Batch(images, masks, batch.activities)


def augment(batch: Batch, settings: AugmentationSettings, generator: torch.Generator) -> Batch:
    """A changed copy of a batch; every image has random numbers of its own, drawn on the CPU, so that devices agree.

    Pictures are sampled bilinearly, masks by nearest neighbour, both mirrored beyond their edges.
    """
    if not settings.anything:
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
