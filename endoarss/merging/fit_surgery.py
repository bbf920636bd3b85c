"""Train the Representation Surgery module, without labels (Yang et al. 2024, arXiv:2402.02705, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from endoarss.data import RowIndices, Rows
from endoarss.errors import SettingsError
from endoarss.merging.batches import Batches
from endoarss.merging.surgery import Surgery


@dataclass(frozen=True)
class SurgerySettings:
    """The schedule for training Surgery; the defaults are the authors' values, 1,000 steps of 16 images.

    Attributes:
        iterations: the number of iterations.
        batch_size: the number of images in a batch.
        batches: the number of batches per iteration; each batch is one step of Adam.
        learning_rate: Adam's learning rate.
        seed: the seed of the order of the images, and of the initial weights if `apply_surgery` creates the module.
    """

    iterations: int = 500
    batch_size: int = 16
    batches: int = 2
    learning_rate: float = 0.001
    seed: int = 0


def fit_surgery(surgery: Surgery, merged: Tensor, individual: Tensor, settings: SurgerySettings) -> None:
    """Train the Surgery module of one task in place.

    The loss is the mean L1 distance between the module's output for representations of the merged model, and the representations of the
    individual model for the same images. Each task has its own module, so this function is called once per task.

    Args:
        surgery: the module, on the device to train on.
        merged: representations of the merged model, float32 (N, ..., C), on any device.
        individual: representations of the individual model for the same N images, float32 (N, ..., C), on any device.
        settings: the schedule.

    Raises:
        SettingsError: if the two tensors differ in shape, or C is not the module's number of channels.
    """
    channels = surgery.down.shape[1]
    if merged.shape != individual.shape or merged.shape[-1] != channels:
        raise SettingsError(
            f"surgery with {channels} channels: the representations have the shape {tuple(merged.shape)} in the merged and "
            f"{tuple(individual.shape)} in the individual model; expected the same shape, with {channels} channels last."
        )
    device = surgery.down.device
    optimizer = torch.optim.Adam(surgery.parameters(), lr=settings.learning_rate, fused=True)
    order = Batches(len(merged), settings.batch_size, settings.seed)
    rows = Rows(device, merged, individual)
    steps = settings.iterations * settings.batches
    for step in tqdm(range(steps), desc="surgery", unit="step", mininterval=1.0, leave=False):
        z, target = (batch.reshape(-1, channels) for batch in rows.take(RowIndices.upload(order[step], device)))
        optimizer.zero_grad(set_to_none=True)
        F.l1_loss(surgery(z), target).backward()
        optimizer.step()


def mean_l1(first: Tensor, second: Tensor) -> float:
    """Return the representation bias: the mean absolute difference of two tensors (equation 2).

    Args:
        first: any shape.
        second: the same shape.
    """
    return float((first - second).abs().mean(dtype=torch.float64))
