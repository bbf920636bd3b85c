"""Task vectors: the change of each weight through fine-tuning, by name (Ilharco et al. 2023, arXiv:2212.04089)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from endoarss.errors import SettingsError
from endoarss.lora import adapted_layers
from endoarss.models import MultiTaskModel

TaskVector = dict[str, Tensor]


def task_vector(fine_tuned: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> TaskVector:
    """Return fine_tuned - base for every floating-point tensor of fully trained models.

    Args:
        fine_tuned: state dict of the fine-tuned model; integer tensors (counters) are left out.
        base: state dict of the model that fine-tuning started from.

    Raises:
        SettingsError: if a tensor is in only one of the state dicts, or its two shapes differ; the message names the tensor.
    """
    _check_alike("the fine-tuned model", fine_tuned, "the base", base)
    return {name: t - base[name] for name, t in fine_tuned.items() if t.is_floating_point()}


def add_to_base(base: Mapping[str, Tensor], vector: TaskVector) -> dict[str, Tensor]:
    """Return base + vector as a state dict, to load it or to pass it to `torch.func.functional_call`.

    Args:
        base: state dict of the model; it is not changed.
        vector: task vector, with the names of the state dict.

    Raises:
        SettingsError: if the vector contains a tensor that the base does not have.
    """
    unknown = sorted(set(vector) - set(base))
    if unknown:
        raise SettingsError(f"task vector: the base has no tensor {unknown[0]!r}.")
    return {name: t + vector[name] if name in vector else t for name, t in base.items()}


def lora_task_vector(model: MultiTaskModel) -> TaskVector:
    """Return the dense updates s B A of a model's adapted layers, where A and B are the factors of an adapter and s is its scale.

    Merging combines these products. It never averages A and B separately, because the product of averages is not the average of products.

    Args:
        model: a model with one stream on a frozen backbone.

    Returns:
        The update of each adapted layer by name, (blocks, width, in) as `LoRALinear.delta` returns it.

    Raises:
        SettingsError: if no layer has adapters, or there are several streams.
    """
    layers = adapted_layers(model)
    if not layers:
        raise SettingsError(
            f"{model.settings.backbone} ({model.settings.backbone_settings.model}) has no low-rank adapters, because the backbone is fully "
            "trained. Expected a ViT with pretrained weights."
        )
    if model.streams.count != 1:
        raise SettingsError(
            f"{model.settings.architecture} has {model.streams.count} streams; expected a single-task model, which has one."
        )
    return {f"{name}.delta": layer.delta(0).detach() for name, layer in layers.items()}


def combine(vectors: Sequence[TaskVector], coefficients: Sequence[float | Tensor]) -> TaskVector:
    """Return sum_t c_t v_t for each tensor.

    Args:
        vectors: the task vectors v_t, with the same names.
        coefficients: c_t, one per task vector.
    """
    return {
        name: torch.stack([c * v[name] for c, v in zip(coefficients, vectors, strict=True)]).sum(0)
        for name in vectors[0]
    }


def check_vectors(vectors: Sequence[TaskVector]) -> None:
    """Raise an error unless there is at least one task vector, and all task vectors have tensors of the same names and shapes.

    Args:
        vectors: the task vectors.

    Raises:
        SettingsError: if there are none, or the tensors of two vectors differ in name or shape; the message names both vectors.
    """
    if not vectors:
        raise SettingsError("there are no task vectors; expected the task vector of at least one model.")
    for number, vector in enumerate(vectors[1:], start=2):
        _check_alike("task vector 1", vectors[0], f"task vector {number}", vector)


def _check_alike(first_name: str, first: Mapping[str, Tensor], second_name: str, second: Mapping[str, Tensor]) -> None:
    unmatched = sorted(set(first) ^ set(second))
    if unmatched:
        owner, other = (first_name, second_name) if unmatched[0] in first else (second_name, first_name)
        raise SettingsError(
            f"{owner} has the tensor {unmatched[0]!r}, but {other} does not have it; expected the same model."
        )
    for name, tensor in first.items():
        if tensor.shape != second[name].shape:
            raise SettingsError(
                f"{name}: its shape is {tuple(tensor.shape)} in {first_name} and {tuple(second[name].shape)} in {second_name}; expected "
                "the same model."
            )
