"""Compute the representations of images once per model and store them in memory; Surgery is trained on these tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from endoarss.data import to_input
from endoarss.errors import SettingsError
from endoarss.models import MultiTaskModel

MEMORY_MIB = 8192


@dataclass(frozen=True)
class CachePlan:
    """The number of images per split whose representations are stored. The plan is made before anything is computed.

    Attributes:
        counts: the number of images in each split.
        stored: the number of images of each split that are stored, limited so that all representations fit into memory.
        mib: the memory that the stored representations need, in MiB.
        limit_mib: the memory that they may use, in MiB.
    """

    counts: tuple[int, ...]
    stored: tuple[int, ...]
    mib: float
    limit_mib: float

    def describe(self) -> str:
        """Return the plan as a sentence."""
        pairs = zip(self.stored, self.counts, strict=True)
        images = " and ".join(f"{stored:,} of {count:,}" for stored, count in pairs)
        return f"representations of {images} images take {self.mib:,.0f} MiB of memory (at most {self.limit_mib:,.0f})"


def plan_cache(model: MultiTaskModel, models: int, counts: tuple[int, ...], limit_mib: float = MEMORY_MIB) -> CachePlan:
    """Plan for how many images of each split representations are stored: for all images, or for the same share of each split.

    Args:
        model: one of the models whose representations are stored.
        models: the number of models whose representations are stored at the same time.
        counts: the number of images in each split.
        limit_mib: the memory that all representations together may use, in MiB.

    Raises:
        SettingsError: if the memory is too small for 32 images of a split, or for all images of a smaller split. 32 images are the two
            batches of an iteration of Surgery.
    """
    height, width = model.backbone.map_size
    per_image = models * model.backbone.out_channels * height * width * 4 / 2**20
    share = min(1.0, limit_mib / (per_image * sum(counts)))
    stored = tuple(int(share * count + 1e-9) for count in counts)
    if any(number < min(32, count) for number, count in zip(stored, counts, strict=True)):
        raise SettingsError(
            f"memory_mib {limit_mib:g}: the representations of {models} models take {per_image:.3g} MiB per image. Expected memory for at "
            f"least 32 images of each split, or for all images of a smaller split: about {_least(per_image, counts):.3g}."
        )
    return CachePlan(counts, stored, per_image * sum(stored), limit_mib)


def _least(per_image: float, counts: tuple[int, ...]) -> float:
    """Return the smallest memory that stores the same share of each split and at least 32 images, or all of a smaller split, in MiB."""
    share = max(min(32, count) / count for count in counts if count)
    return per_image * sum(counts) * share


@torch.no_grad()
def representations(
    model: MultiTaskModel, images: NDArray[np.uint8], device: torch.device, batch_size: int = 32
) -> Tensor:
    """Return the representations of images by a model, which are the input of its heads without Surgery.

    Args:
        model: a model with one stream; it is put into evaluation mode.
        images: uint8 RGB (N, S, S, 3).
        device: the device to run the model on.
        batch_size: the number of images per forward pass.

    Returns:
        float32 (N, h, w, C) in the host's memory.
    """
    model.to(device).eval()
    height, width = model.backbone.map_size
    features = torch.empty(len(images), height, width, model.backbone.out_channels)
    starts = range(0, len(images), batch_size)
    for start in tqdm(starts, desc="representations", unit="batch", mininterval=1.0, leave=False):
        inputs = to_input(images[start : start + batch_size], device, model.settings.normalisation)
        maps = model.backbone.encode(model.stack(model.front(inputs)))[0]
        features[start : start + len(inputs)] = maps.movedim(1, -1).float().cpu()
    return features
