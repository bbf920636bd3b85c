"""Representation Surgery (Yang et al. 2024, arXiv:2402.02705, section 4): what trains the module, without labels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from endoarss.data import Chosen, Rows
from endoarss.errors import SettingsError
from endoarss.merging.batches import Batches
from endoarss.merging.surgery import Surgery


@dataclass(frozen=True)
class SurgerySettings:
    """How Surgery is fitted; the defaults are the authors' schedule.

    iterations, batches, batch_size: each iteration takes one step of Adam per batch, 1,000 steps of 16 images by default.
    learning_rate: Adam's. seed: draws D and the order of the images.
    """

    iterations: int = 500
    batch_size: int = 16
    batches: int = 2
    learning_rate: float = 0.001
    seed: int = 0


def fit_surgery(surgery: Surgery, merged: Tensor, individual: Tensor, settings: SurgerySettings) -> None:
    """Train a module in place: minimise the mean L1 between its output on the merged model's representations and one individual
    model's representations of the same images. Tasks are fitted one by one, for they share nothing.

    Args:
        surgery: on the device to train on. merged, individual: float32 (N, ..., C), of the same N images; they may lie elsewhere.

    Raises:
        SettingsError: if the two differ in shape, or their last dimension is not the module's.
    """
    channels = surgery.down.shape[1]
    if merged.shape != individual.shape or merged.shape[-1] != channels:
        raise SettingsError(
            f"surgery of {channels} channels: representations {tuple(merged.shape)} of the merged and {tuple(individual.shape)} of the "
            f"individual model; expected the same images, and {channels} last."
        )
    device = surgery.down.device
    optimizer = torch.optim.Adam(surgery.parameters(), lr=settings.learning_rate, fused=True)
    order = Batches(len(merged), settings.batch_size, settings.seed)
    rows = Rows(device, merged, individual)
    steps = settings.iterations * settings.batches
    for step in tqdm(range(steps), desc="surgery", unit="step", mininterval=1.0, leave=False):
        z, target = (taken.reshape(-1, channels) for taken in rows.take(Chosen.upload(order[step], device)))
        optimizer.zero_grad(set_to_none=True)
        F.l1_loss(surgery(z), target).backward()
        optimizer.step()


def mean_l1(first: Tensor, second: Tensor) -> float:
    """The representation bias: the mean absolute difference of two tensors of one shape (equation 2)."""
    return float((first - second).abs().mean(dtype=torch.float64))
