"""Predict batches of images with a trained model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from endoarss.data import to_input
from endoarss.models import MultiTaskModel
from endoarss.settings import ACTIVITY, SEGMENTATION


@dataclass(frozen=True)
class Predictions:
    """Predictions for N images; None for a task that the model does not solve.

    Attributes:
        activity: float32 (N, K), the probabilities of the K activities, which sum to 1 for each image.
        masks: uint8 (N, S, S), class ids.
    """

    activity: NDArray[np.float32] | None
    masks: NDArray[np.uint8] | None


def predict(
    model: MultiTaskModel, images: NDArray[np.uint8], device: torch.device, batch_size: int = 32
) -> Predictions:
    """Predict images with a model.

    Args:
        model: the model. It is moved to the device and put into evaluation mode.
        images: uint8 RGB (N, S, S, 3); S is the model's input size in pixels.
        device: the device to predict on.
        batch_size: the largest number of images that the model gets at once.

    Returns:
        The predictions, in the order of the images.
    """
    return predict_ready(model.to(device).eval(), images, device, batch_size)


@torch.inference_mode()
def predict_ready(
    model: MultiTaskModel, images: NDArray[np.uint8], device: torch.device, batch_size: int = 32
) -> Predictions:
    """Predict images with a model that is already on the device and in evaluation mode; see `predict` for the arguments.

    For few images, moving the model and changing its mode takes as long as the prediction.
    """
    activity: list[NDArray[np.float32]] = []
    masks: list[NDArray[np.uint8]] = []
    for start in range(0, len(images), batch_size):
        outputs = model(to_input(images[start : start + batch_size], device, model.settings.normalisation))
        if ACTIVITY in outputs:
            activity.append(outputs[ACTIVITY].softmax(dim=1).cpu().numpy())
        if SEGMENTATION in outputs:
            # The same as argmax, which takes five times as long on a CPU.
            masks.append(outputs[SEGMENTATION].max(dim=1).indices.to(torch.uint8).cpu().numpy())
    return Predictions(np.concatenate(activity) if activity else None, np.concatenate(masks) if masks else None)
