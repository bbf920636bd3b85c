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
    """How many images of several sets get stored representations. The plan is made before anything is computed.

    Attributes:
        counts: the number of images in each set.
        stored: the number of images of each set that are used, which is limited so that all maps fit into memory.
        mib: the memory that the maps need, in MiB.
        limit_mib: the memory that the maps may use, in MiB.
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
    """Plan how many images of each set are stored: all images, or the same share of each set.

    Args:
        model: one of the models whose maps are stored.
        models: the number of models whose maps are stored at the same time.
        counts: the number of images in each set.
        limit_mib: the memory that all maps together may use, in MiB.

    Raises:
        SettingsError: if fewer than 32 images of a set fit. An iteration of Surgery needs 32, which are two batches.
    """
    height, width = model.backbone.map_size
    per_image = models * model.backbone.out_channels * height * width * 4 / 2**20
    share = min(1.0, limit_mib / (per_image * sum(counts)))
    stored = tuple(int(share * count + 1e-9) for count in counts)
    if any(number < min(32, count) for number, count in zip(stored, counts, strict=True)):
        raise SettingsError(
            f"memory_mib {limit_mib:g}: the maps of {models} models take {per_image:.3g} MiB per image; expected enough memory for 32 "
            f"images of each split, or for all images of a smaller split: about {_least(per_image, counts):.3g}."
        )
    return CachePlan(counts, stored, per_image * sum(stored), limit_mib)


def _least(per_image: float, counts: tuple[int, ...]) -> float:
    """Return the MiB that 32 images of each set need, or all images of a smaller set."""
    share = max(min(32, count) / count for count in counts if count)
    return per_image * sum(counts) * share


@torch.no_grad()
def representations(
    model: MultiTaskModel, images: NDArray[np.uint8], device: torch.device, batch_size: int = 32
) -> Tensor:
    """Return the representations that a model's heads would get as input, without Surgery.

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
