"""Merge single-task models of this package, with any merger, and apply_surgery on what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from endoarss.architectures.merged import MergedModel
from endoarss.checkpoints import frozen_names, frozen_sha256, without_weights
from endoarss.data import Chosen, Rows, normalise
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
    """See that models can be merged: single-task ones, of different tasks, on one frozen backbone with adapters.

    Args:
        models: by what messages call them.

    Returns:
        The models by their task, in the order of the model's tasks.

    Raises:
        SettingsError: naming both models, and what differs.
    """
    if len(models) < 2:
        raise SettingsError(f"{len(models)} model(s) to merge: {', '.join(models) or 'none'}; expected at least two.")
    by_task: dict[str, str] = {}
    first, *_ = models
    for name, model in models.items():
        settings = model.settings
        if len(model.tasks) != 1:
            others = ", ".join(other for other in models if other != name)
            solves = " and ".join(model.tasks)
            raise SettingsError(
                f"{name} ({settings.architecture}) solves {solves}, to be merged with {others}; expected a single task of each."
            )
        _check_adapted(name, model, [other for other in models if other != name])
        for what, value in _compared(settings).items():
            expected = _compared(models[first].settings)[what]
            if value != expected:
                raise SettingsError(
                    f"{what} differs: {_said(expected)} in {first}, {_said(value)} in {name}; expected the same in both."
                )
        task = model.tasks[0]
        if task in by_task:
            lacking = [one for one in settings.available_tasks if one != task]
            raise SettingsError(
                f"{by_task[task]} and {name} both solve {task}; none has a decoder for {' or '.join(lacking)}. Expected a task of each."
            )
        by_task[task] = name
    digests = {name: frozen_sha256(model) for name, model in models.items()}
    for name, digest in digests.items():
        if digest != digests[first]:
            raise SettingsError(
                f"the frozen weights differ: sha256 {digests[first][:12]} in {first}, {digest[:12]} in {name}; expected one backbone."
            )
    lacking = [task for task in models[first].settings.available_tasks if task not in by_task]
    if lacking:
        raise SettingsError(f"{', '.join(models)}: none has a decoder for {' or '.join(lacking)}.")
    return {task: models[by_task[task]] for task in models[first].settings.available_tasks}


def merged_model(models: Mapping[str, MultiTaskModel]) -> MergedModel:
    """A merged model whose update is still zero, with each model's decoder, in evaluation mode.

    Args:
        models: of `check_mergeable`.
    """
    first = next(iter(models.values()))
    settings = replace(first.settings, architecture="merged", architecture_settings={"surgery_rank": 0})
    # The frozen weights are taken from a model that has them: where their file lies need not be known here.
    model = build_model(without_weights(settings))
    assert isinstance(model, MergedModel), "what is registered as merged"
    model.settings = settings
    frozen = frozen_names(model)
    model.load_state_dict({name: t for name, t in first.state_dict().items() if name in frozen}, strict=False)
    for task, individual in models.items():
        model.heads[task].load_state_dict(individual.heads[task].state_dict())
    return model.eval()


def put_vector(model: MergedModel, vector: TaskVector) -> None:
    """Make a merged vector the update of a merged model."""
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
    """Merge models.

    Args:
        models: of `check_mergeable`. merger: how. unlabelled: images (N, S, S, 3) for mergers that adapt to some. score: of a model on
            validation data, higher is better, for mergers that choose. seed: draws the order of the images. batch_size: of a step.

    Returns:
        The merged model, and what the merger chose or learned.
    """
    model = merged_model(models).to(device)
    vectors = [{name: t.to(device) for name, t in lora_task_vector(one).items()} for one in models.values()]

    def score_of(vector: TaskVector) -> float:
        put_vector(model, vector)
        return score(model)

    feedback = Feedback(score_of, entropy_of_model(model, unlabelled, device, seed, batch_size))
    found = merger.merge(vectors, feedback)
    put_vector(model, found.vector)
    return model, found.about


def entropy_of_model(
    model: MergedModel, unlabelled: NDArray[np.uint8], device: torch.device, seed: int, batch_size: int
) -> Callable[[TaskVector, int], Tensor]:
    """Return the function that says how undecided a merged model is with a vector, on the images of a step; see `Feedback`.

    Args:
        model: on the device. unlabelled: uint8 RGB (N, S, S, 3). seed: draws the order of the images. batch_size: images of a step.
    """
    order = Batches(len(unlabelled), batch_size, seed)
    images = Rows(device, torch.from_numpy(np.array(unlabelled)))

    def entropy_of(vector: TaskVector, step: int) -> Tensor:
        (pixels,) = images.take(Chosen.upload(order[step], device))
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
    """Give a merged model Surgery of a rank, fitted for every task.

    Args:
        model: changed in place: its Surgery alone. merged: its representations (N, h, w, C). individual: those of the individual models of
            the same images, by task.
    """
    model.put_surgery(rank, settings.seed)
    device = next(model.parameters()).device
    for task, surgery in model.surgery.items():
        assert isinstance(surgery, Surgery), "what put_surgery puts there"
        fit_surgery(surgery.to(device), merged, individual[task], settings)


def _check_adapted(name: str, model: MultiTaskModel, others: list[str]) -> None:
    settings = model.settings
    with_whom = f", to be merged with {', '.join(others)}"
    if any(p.numel() for p in model.backbone.front.parameters()):
        raise SettingsError(
            f"{name}: SMA stands before the backbone {settings.backbone}{with_whom}; it has no pretrained values that several models could "
            "share. Expected dinov2."
        )
    try:
        lora_task_vector(model)
    except SettingsError as error:
        raise SettingsError(f"{name}{with_whom}: {error}") from None


def _compared(settings: ModelSettings) -> dict[str, Any]:
    """What merged models must have in common, by what people call it."""
    backbone = settings.backbone_settings
    return {
        "the backbone": settings.backbone,
        "the backbone's model": backbone.model,
        "the backbone's arguments": backbone.arguments,
        "the backbone's token_map": backbone.token_map,
        "the rank of the adapters": backbone.lora.rank,
        "what the adapters adapt": backbone.lora.targets,
        "the list of classes": settings.classes,
        "the list of activities": settings.activities,
        "the width of the decoders": settings.heads,
        "input_size": settings.input_size,
        "network_size": settings.network_size,
        "normalisation": settings.normalisation,
        "align_corners": settings.align_corners,
    }


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
