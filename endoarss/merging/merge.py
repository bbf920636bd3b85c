"""Merge single-task models of this package with any merger, and apply Surgery to the merged model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from endoarss.architectures.merged import MergedModel
from endoarss.checkpoints import frozen_names, frozen_sha256, without_weights
from endoarss.data import RowIndices, Rows, normalise
from endoarss.errors import SettingsError
from endoarss.merging.adamerging import mean_entropy
from endoarss.merging.base import Feedback, Merger
from endoarss.merging.batches import Batches
from endoarss.merging.fit_surgery import SurgerySettings, fit_surgery
from endoarss.merging.surgery import Surgery
from endoarss.merging.task_vectors import TaskVector, lora_task_vector
from endoarss.models import MultiTaskModel, build_model
from endoarss.settings import ModelSettings

Score = Callable[[MultiTaskModel], float]


def check_mergeable(models: Mapping[str, MultiTaskModel]) -> dict[str, MultiTaskModel]:
    """Check that models can be merged: they must be single-task models of different tasks on the same frozen backbone with adapters.

    Args:
        models: the models by the names that messages use.

    Returns:
        The models by task, in the order of a model's tasks.

    Raises:
        SettingsError: if there are fewer than two models, or they cannot be merged; the message names the models and the difference.
    """
    if len(models) < 2:
        raise SettingsError(f"{len(models)} model(s) to merge: {', '.join(models) or 'none'}; expected at least two.")
    by_task: dict[str, str] = {}
    first_name, *_ = models
    for name, model in models.items():
        settings = model.settings
        if len(model.tasks) != 1:
            others = ", ".join(other for other in models if other != name)
            solves = " and ".join(model.tasks)
            raise SettingsError(
                f"{name} ({settings.architecture}) solves {solves}; expected a single-task model, to merge it with {others}."
            )
        _check_adapted(name, model, [other for other in models if other != name])
        for setting, value in _compared(settings).items():
            expected = _compared(models[first_name].settings)[setting]
            if value != expected:
                raise SettingsError(
                    f"{setting} differs: {_text(expected)} in {first_name}, {_text(value)} in {name}; expected the same in all models."
                )
        task = model.tasks[0]
        if task in by_task:
            raise SettingsError(
                f"{by_task[task]} and {name} both solve {task}; expected one model per task: {' and '.join(settings.available_tasks)}."
            )
        by_task[task] = name
    digests = {name: frozen_sha256(model) for name, model in models.items()}
    for name, digest in digests.items():
        if digest != digests[first_name]:
            raise SettingsError(
                f"the frozen weights differ: sha256 {digests[first_name][:12]} in {first_name}, {digest[:12]} in {name}; "
                "expected models that were trained from the same pretrained weights."
            )
    unsolved = [task for task in models[first_name].settings.available_tasks if task not in by_task]
    if unsolved:
        raise SettingsError(
            f"{', '.join(models)}: none of these models solves {' or '.join(unsolved)}; expected one model per task."
        )
    return {task: models[by_task[task]] for task in models[first_name].settings.available_tasks}


def merged_model(models: Mapping[str, MultiTaskModel]) -> MergedModel:
    """Return a merged model whose update is still zero, with the heads of the individual models, in evaluation mode.

    Args:
        models: the models by task, as `check_mergeable` returns them.
    """
    first = next(iter(models.values()))
    settings = replace(first.settings, architecture="merged", architecture_settings={"surgery_rank": 0})
    # The frozen weights are copied from the first model, so that their file is not needed here.
    model = build_model(without_weights(settings))
    assert isinstance(model, MergedModel), "the class that is registered as merged"
    model.settings = settings
    frozen = frozen_names(model)
    model.load_state_dict({name: t for name, t in first.state_dict().items() if name in frozen}, strict=False)
    for task, individual in models.items():
        model.heads[task].load_state_dict(individual.heads[task].state_dict())
    return model.eval()


def put_vector(model: MergedModel, vector: TaskVector) -> None:
    """Set the update of a merged model to a merged vector.

    Args:
        model: the model, which is changed in place.
        vector: the merged vector.
    """
    buffers = dict(model.named_buffers())
    for name, delta in vector.items():
        buffers[name].copy_(delta)


def merge(
    models: Mapping[str, MultiTaskModel],
    merger: Merger,
    unlabelled: NDArray[np.uint8],
    score: Score,
    device: torch.device,
    seed: int = 0,
    batch_size: int = 32,
) -> tuple[MergedModel, dict[str, Any]]:
    """Merge models with one merger, without Surgery.

    Args:
        models: the models by task, as `check_mergeable` returns them.
        merger: the merging method.
        unlabelled: images for mergers that use unlabelled images, uint8 RGB (N, S, S, 3).
        score: a function that returns the score of a model on the validation split; higher is better.
        device: the device to merge on.
        seed: the seed of the order of the images.
        batch_size: the number of images per step.

    Returns:
        The merged model, and the coefficients that the merger selected or learned.
    """
    model = merged_model(models).to(device)
    vectors = [{name: t.to(device) for name, t in lora_task_vector(m).items()} for m in models.values()]

    def score_of(vector: TaskVector) -> float:
        put_vector(model, vector)
        return score(model)

    feedback = Feedback(score_of, entropy_of_model(model, unlabelled, device, seed, batch_size))
    merged = merger.merge(vectors, feedback)
    put_vector(model, merged.vector)
    return model, merged.coefficients


def entropy_of_model(
    model: MergedModel, unlabelled: NDArray[np.uint8], device: torch.device, seed: int, batch_size: int
) -> Callable[[TaskVector, int], Tensor]:
    """Return the function `Feedback.entropy` of a merged model.

    Args:
        model: the model, on the device.
        unlabelled: images, uint8 RGB (N, S, S, 3).
        device: the device to compute on.
        seed: the seed of the order of the images.
        batch_size: the number of images per step.

    Returns:
        A function of a vector and a step that returns the entropy of the predictions on the images of that step.
    """
    order = Batches(len(unlabelled), batch_size, seed)
    images = Rows(device, torch.from_numpy(np.array(unlabelled)))

    def entropy_of(vector: TaskVector, step: int) -> Tensor:
        (pixels,) = images.take(RowIndices.upload(order[step], device))
        inputs = normalise(pixels.permute(0, 3, 1, 2).float(), model.settings.normalisation)
        outputs = functional_call(model, vector, (inputs,))
        return torch.stack([mean_entropy(logits) for logits in outputs.values()]).sum()

    return entropy_of


def apply_surgery(
    model: MergedModel,
    merged: Tensor,
    individual: Mapping[str, Tensor],
    rank: int,
    settings: SurgerySettings,
) -> None:
    """Add a Surgery module per task to a merged model, and train them.

    Args:
        model: the merged model; only its Surgery modules are changed.
        merged: representations of the merged model, float32 (N, h, w, C).
        individual: representations of the individual models for the same images, by task.
        rank: the rank of the Surgery modules.
        settings: the schedule.
    """
    model.put_surgery(rank, settings.seed)
    device = next(model.parameters()).device
    for task, surgery in model.surgery.items():
        assert isinstance(surgery, Surgery), "put_surgery adds these"
        fit_surgery(surgery.to(device), merged, individual[task], settings)


def _check_adapted(name: str, model: MultiTaskModel, others: list[str]) -> None:
    """Raise an error unless a model has a frozen backbone with adapters and no SMA."""
    settings = model.settings
    purpose = f", to be merged with {', '.join(others)}"
    if any(p.numel() for p in model.backbone.front.parameters()):
        raise SettingsError(
            f"{name}{purpose}: the backbone {settings.backbone} has SMA, which has no pretrained weights that several models could share. "
            "Expected a frozen ViT without SMA, such as dinov2."
        )
    try:
        lora_task_vector(model)
    except SettingsError as error:
        raise SettingsError(f"{name}{purpose}: {error}") from None


def _compared(settings: ModelSettings) -> dict[str, Any]:
    """Return the settings in which merged models must agree, by the name that messages use."""
    backbone = settings.backbone_settings
    return {
        "the backbone": settings.backbone,
        "the backbone's model": backbone.model,
        "the backbone's arguments": backbone.arguments,
        "the backbone's token_map": backbone.token_map,
        "the rank of the adapters": backbone.lora.rank,
        "the list of adapted layers": backbone.lora.targets,
        "the list of classes": settings.classes,
        "the list of activities": settings.activities,
        **{f"{field.name} of the heads": getattr(settings.heads, field.name) for field in fields(settings.heads)},
        "input_size": settings.input_size,
        "network_size": settings.network_size,
        "normalisation": settings.normalisation,
        "align_corners": settings.align_corners,
    }


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
