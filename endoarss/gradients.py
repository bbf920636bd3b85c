"""Compute the gradient of each task with respect to the shared parameters, and combine these gradients with a weighting.

Gradients are computed for trained parameters only. There are two ways to get the gradient of each task:

- One backward pass per task. All of them use the same forward pass, whose memory is released after the last backward pass.
- One backward pass for all tasks, if each task has its own stream (TESLA). Every shared parameter is replaced by one copy per stream; the
  gradient of the summed losses with respect to copy t is the gradient of task t. SMA, the front of the backbone, runs once before all
  streams. Each stream gets a copy of its output, and the gradient with respect to copy t gives the gradient of task t in SMA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from endoarss.models import MultiTaskModel
from endoarss.weightings.base import GradientWeighting, LossWeighting, Weighting
from endoarss.weightings.returned import check_factors, check_loss, check_update

# A function of a model's outputs that returns the losses of its T tasks as separate scalars. They are not stacked, because the backward
# pass of one entry of a stacked tensor also runs, with zeros, through the heads of the other tasks. (A compiled model does this in any
# case, because it replaces missing gradients by zeros.)
Losses = Callable[[dict[str, Tensor]], Sequence[Tensor]]


class TrainedParameters:
    """The trained parameters of a model; they are collected once per training.

    Args:
        model: the model.

    Attributes:
        shared: parameters that several tasks use; they have P values in total.
        owned: the other parameters, one list per task, in the order of the model's T tasks.
        front_parameters: the shared parameters of the front.
        stream_parameters: the other shared parameters, which the streams use, by name.
    """

    def __init__(self, model: MultiTaskModel) -> None:
        self.shared = model.shared_parameters()
        self.owned = [model.task_parameters(task) for task in model.tasks]
        ids = {id(p) for p in model.backbone.front.parameters()}
        self.front_parameters = [p for p in self.shared if id(p) in ids]
        names = {id(p): name for name, p in model.named_parameters()}
        self.stream_parameters = {names[id(p)]: p for p in self.shared if id(p) not in ids}
        self._sizes = [p.numel() for p in self.shared]

    def set_shared(self, update: Tensor) -> None:
        """Set the `.grad` of the shared parameters.

        Args:
            update: the flat update (P,).
        """
        for parameter, values in zip(self.shared, update.split(self._sizes), strict=True):
            parameter.grad = values.view_as(parameter)

    def scale_owned(self, scales: Tensor) -> None:
        """Multiply the `.grad` of each task's own parameters by a scale.

        Args:
            scales: one scale per task (T,).
        """
        for parameters, scale in zip(self.owned, scales, strict=True):
            torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], scale)


@dataclass(frozen=True)
class TaskGradients:
    """The gradients of all tasks.

    Attributes:
        losses: the losses (T,), without a graph.
        shared: the gradients of the shared parameters (T, P), in the order of `TrainedParameters.shared`.
    """

    losses: Tensor
    shared: Tensor


@dataclass(frozen=True)
class Step:
    """The values of a step that the history records.

    Attributes:
        losses: the losses (T,).
        weights: the weights of the tasks (T,).
        gram: the inner products of the raw gradients (T, T), or None if the tasks' separate gradients were not computed.
    """

    losses: Tensor
    weights: Tensor
    gram: Tensor | None


def backward(
    model: MultiTaskModel,
    trained: TrainedParameters,
    weighting: Weighting,
    images: Tensor,
    losses_of: Losses,
    measure: bool = False,
) -> Step:
    """Run a model forward and set the `.grad` of every trained parameter with a weighting.

    Args:
        model: the model, in training mode, without gradients of an earlier step.
        trained: its trained parameters.
        weighting: combines the losses or the gradients.
        images: the input (B, 3, H, W).
        losses_of: a function that returns the losses for the model's outputs.
        measure: whether to compute the inner products of the gradients even if the weighting works on losses.

    Returns:
        Losses, weights and inner products.

    Raises:
        ReturnedValueError: if a method of the weighting returns a value of the wrong type or shape.
    """
    if isinstance(weighting, GradientWeighting):
        gradients = gradients_by_task(model, trained, images, losses_of)
        update, weights = check_update(weighting.combine(gradients.shared, gradients.losses), gradients.shared)
        trained.set_shared(update)
        scales = weighting.owned_scales(gradients.losses)
        if scales is not None:
            trained.scale_owned(check_factors("owned_scales", scales, len(model.tasks)))
        return Step(gradients.losses, weights, gradients.shared @ gradients.shared.T)
    assert isinstance(weighting, LossWeighting), "a weighting is a LossWeighting or a GradientWeighting"
    losses = losses_of(model(images))
    gram = None
    if measure and len(model.tasks) > 1:
        by_task = [torch.autograd.grad(loss, trained.shared, retain_graph=True, allow_unused=True) for loss in losses]
        rows = torch.stack([_flat(task_gradients, trained.shared) for task_gradients in by_task])
        gram = rows @ rows.T
    stacked = torch.stack(list(losses))
    loss, weights = check_loss(weighting.combine(stacked), len(model.tasks))
    loss.backward()
    return Step(stacked.detach(), weights.detach(), gram)


def gradients_by_task(
    model: MultiTaskModel, trained: TrainedParameters, images: Tensor, losses_of: Losses
) -> TaskGradients:
    """Return the gradient of each task with respect to the shared parameters, in the fastest way that the model supports.

    This also sets the `.grad` of the parameters that belong to one task.

    Args:
        model: the model.
        trained: its trained parameters.
        images: the input (B, 3, H, W).
        losses_of: a function that returns the losses for the model's outputs.
    """
    compute = one_pass if model.per_task_streams else per_task_backward
    return compute(model, trained, images, losses_of)


def per_task_backward(
    model: MultiTaskModel, trained: TrainedParameters, images: Tensor, losses_of: Losses
) -> TaskGradients:
    """Compute the gradients with one backward pass per task; see `gradients_by_task` for the arguments."""
    losses, rows = losses_of(model(images)), []
    for index, owned in enumerate(trained.owned):
        is_last = index == len(trained.owned) - 1
        inputs = [*trained.shared, *owned]
        gradients = torch.autograd.grad(losses[index], inputs, retain_graph=not is_last, allow_unused=True)
        _set(owned, gradients[len(trained.shared) :])
        rows.append(_flat(gradients[: len(trained.shared)], trained.shared))
    return TaskGradients(torch.stack(list(losses)).detach(), torch.stack(rows))


def one_pass(model: MultiTaskModel, trained: TrainedParameters, images: Tensor, losses_of: Losses) -> TaskGradients:
    """Compute the gradients with one backward pass for all tasks, for a model with one stream per task.

    See `gradients_by_task` for the arguments.
    """
    tasks, front = len(model.tasks), trained.front_parameters
    copies = {
        name: p.detach().expand(tasks, *p.shape).requires_grad_() for name, p in trained.stream_parameters.items()
    }
    owned = [p for parameters in trained.owned for p in parameters]
    front_output = model.front(images)
    stacked = model.stack(front_output.detach()).requires_grad_(bool(front))
    losses = losses_of(functional_call(model, copies, (images, stacked)))
    inputs = [*copies.values(), *owned, *([stacked] if front else [])]
    gradients = torch.autograd.grad(torch.stack(list(losses)).sum(), inputs, allow_unused=True)
    _set(owned, gradients[len(copies) : len(copies) + len(owned)])

    rows: dict[int, Tensor] = {}
    for parameter, copy, gradient in zip(trained.stream_parameters.values(), copies.values(), gradients, strict=False):
        rows[id(parameter)] = (torch.zeros_like(copy) if gradient is None else gradient).flatten(1)
    if front:
        by_task = [
            torch.autograd.grad(front_output, front, gradient, retain_graph=index < tasks - 1)
            for index, gradient in enumerate(gradients[-1].chunk(tasks))
        ]
        for parameter, of_tasks in zip(front, zip(*by_task, strict=True), strict=True):
            rows[id(parameter)] = torch.stack(of_tasks).flatten(1)
    return TaskGradients(torch.stack(list(losses)).detach(), torch.cat([rows[id(p)] for p in trained.shared], dim=1))


def norms_and_cosines(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return the norms of the tasks' gradients (T,) and the cosines between them (T, T).

    Args:
        gram: the inner products of the gradients (T, T).
    """
    norms = gram.diagonal().sqrt()
    return norms, gram / (norms.unsqueeze(0) * norms.unsqueeze(1)).clamp_min(torch.finfo(gram.dtype).tiny)


def _flat(gradients: Sequence[Tensor | None], parameters: list[nn.Parameter]) -> Tensor:
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def _set(parameters: list[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # Adam's fused kernel (torch 2.15, CPU) assumes that a gradient has the strides of its parameter.
        parameter.grad = None if gradient is None else gradient.contiguous()
