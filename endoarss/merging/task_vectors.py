"""Task vectors: what fine-tuning added to the weights, by name (Ilharco et al. 2023, arXiv:2212.04089)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from endoarss.errors import SettingsError
from endoarss.lora import adapted_layers
from endoarss.models import MultiTaskModel

TaskVector = dict[str, Tensor]


def task_vector(fine_tuned: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> TaskVector:
    """Return fine_tuned - base of every floating-point tensor, for models that were trained in full.

    Args:
        fine_tuned: State dict of the fine-tuned model; counters (integers) are left out.
        base: State dict of the model that fine-tuning started from.

    Raises:
        SettingsError: If a tensor is in one alone, or of another shape, naming both.
    """
    _check_alike("the fine-tuned model", fine_tuned, "the base", base)
    return {name: t - base[name] for name, t in fine_tuned.items() if t.is_floating_point()}


def add_to_base(base: Mapping[str, Tensor], vector: TaskVector) -> dict[str, Tensor]:
    """Return base + vector: a state dict to load, or to run a model with (`torch.func.functional_call`).

    Args:
        base: State dict of the model; it is not changed.
        vector: Task vector, by the names of the state dict.

    Raises:
        SettingsError: If the vector names a tensor that the base does not have.
    """
    unknown = sorted(set(vector) - set(base))
    if unknown:
        raise SettingsError(f"task vector: the base has no tensor {unknown[0]!r}.")
    return {name: t + vector[name] if name in vector else t for name, t in base.items()}


def lora_task_vector(model: MultiTaskModel) -> TaskVector:
    """The dense updates s B A of a model's adapted layers, (blocks, width, in) each: of q and v where those are adapted.

    Factors of two models are never averaged apart: the product of averages is not the average of products.

    Args:
        model: of one stream, its backbone frozen.

    Raises:
        SettingsError: if no layer is adapted, or there are several streams.
    """
    layers = adapted_layers(model)
    if not layers:
        raise SettingsError(
            f"{model.settings.backbone} ({model.settings.backbone_settings.model}) has no low-rank adapters: its backbone is trained in "
            "full. Expected a ViT with pretrained weights."
        )
    if model.streams.count != 1:
        raise SettingsError(f"{model.settings.architecture}: {model.streams.count} streams; expected a single task.")
    return {f"{name}.delta": layer.delta(0).detach() for name, layer in layers.items()}


def combine(vectors: Sequence[TaskVector], coefficients: Sequence[float | Tensor]) -> TaskVector:
    """Return sum_t c_t v_t, name by name."""
    return {
        name: torch.stack([c * v[name] for c, v in zip(coefficients, vectors, strict=True)]).sum(0)
        for name in vectors[0]
    }


def check_vectors(vectors: Sequence[TaskVector]) -> None:
    """See that there are vectors, and all of one model.

    Raises:
        SettingsError: if not, naming the two that differ.
    """
    if not vectors:
        raise SettingsError("no task vectors; expected those of at least one model.")
    for number, vector in enumerate(vectors[1:], start=2):
        _check_alike("task vector 1", vectors[0], f"task vector {number}", vector)


def _check_alike(here: str, first: Mapping[str, Tensor], there: str, second: Mapping[str, Tensor]) -> None:
    only = sorted(set(first) ^ set(second))
    if only:
        having, lacking = (here, there) if only[0] in first else (there, here)
        raise SettingsError(f"{having} has the tensor {only[0]!r}, which {lacking} lacks; expected the same model.")
    for name, tensor in first.items():
        if tensor.shape != second[name].shape:
            raise SettingsError(
                f"{name}: {tuple(tensor.shape)} in {here}, {tuple(second[name].shape)} in {there}; expected the same model."
            )
