"""Representations of images, kept in memory: Surgery runs on tensors, and every model answers once."""

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
    """What of several sets of images is kept, known before anything is computed.

    counts: images of each set. kept: of these, so that all maps fit. mib: what the maps take. limit_mib: what they may take.
    """

    counts: tuple[int, ...]
    kept: tuple[int, ...]
    mib: float
    limit_mib: float

    def describe(self) -> str:
        """In one sentence."""
        images = " and ".join(f"{kept:,} of {count:,}" for kept, count in zip(self.kept, self.counts, strict=True))
        return f"representations of {images} images take {self.mib:,.0f} MiB of memory (at most {self.limit_mib:,.0f})"


def plan_cache(model: MultiTaskModel, models: int, counts: tuple[int, ...], limit_mib: float = MEMORY_MIB) -> CachePlan:
    """How many images of each set can be kept: all, or the same share of each.

    Args:
        model: one of those whose maps are kept. models: how many of them at a time. counts: images of each set. limit_mib: of all maps.

    Raises:
        SettingsError: if not even 32 images of each fit, the two batches of a step.
    """
    height, width = model.backbone.map_size
    each = models * model.backbone.out_channels * height * width * 4 / 2**20
    share = min(1.0, limit_mib / (each * sum(counts)))
    kept = tuple(int(share * count + 1e-9) for count in counts)
    if any(k < min(32, count) for k, count in zip(kept, counts, strict=True)):
        raise SettingsError(
            f"memory_mib {limit_mib:g}: {each:.3g} MiB an image for the maps of {models} models; expected room for 32 images of each "
            f"part, or all where there are fewer: about {_least(each, counts):.3g}."
        )
    return CachePlan(counts, kept, each * sum(kept), limit_mib)


def _least(each: float, counts: tuple[int, ...]) -> float:
    """MiB that let 32 images of each set be kept, or all of a smaller one."""
    share = max(min(32, count) / count for count in counts if count)
    return each * sum(counts) * share


@torch.no_grad()
def representations(
    model: MultiTaskModel, images: NDArray[np.uint8], device: torch.device, batch_size: int = 32
) -> Tensor:
    """What a model's heads would see, before any Surgery: float32 (N, h, w, C) in main memory.

    Args:
        model: of one stream, in evaluation mode. images: uint8 RGB (N, S, S, 3).
    """
    model.to(device).eval()
    height, width = model.backbone.map_size
    found = torch.empty(len(images), height, width, model.backbone.out_channels)
    starts = range(0, len(images), batch_size)
    for start in tqdm(starts, desc="representations", unit="batch", mininterval=1.0, leave=False):
        inputs = to_input(images[start : start + batch_size], device, model.settings.normalisation)
        maps = model.backbone.encode(model.stack(model.front(inputs)))[0]
        found[start : start + len(inputs)] = maps.movedim(1, -1).float().cpu()
    return found
