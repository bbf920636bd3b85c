"""Each task's own gradient of the shared parameters, and one step's gradients by a weighting.

Gradients are taken with respect to trained parameters alone. There are two ways to tell the tasks apart:

- a backward pass a task from the shared forward pass, which frees nothing until the last one;
- where each task has a stream of its own (TESLA), ONE backward pass: every shared parameter is put in as a copy a stream, and the
  gradient of the summed losses with respect to copy t is task t's gradient. What stands before the streams (SMA) runs once; its
  parameters get each task's gradient from the gradient of that task's copy of its output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from endoarss.models import MultiTaskModel
from endoarss.weightings.base import GradientWeighting, LossWeighting, Weighting

# From a model's outputs to its tasks' losses, T scalars. They are kept apart: the gradient of one entry of a stacked tensor would send
# zeros backward through the other tasks' heads. (A compiled model does so all the same: it fills in what has no gradient with zeros.)
Losses = Callable[[dict[str, Tensor]], Sequence[Tensor]]


class Trained:
    """The trained parameters of a model, found once a training.

    shared: what several tasks act on, P values in all. owned: the others, by task, in the model's order.
    """

    def __init__(self, model: MultiTaskModel) -> None:
        self.shared = model.shared_parameters()
        self.owned = [model.task_parameters(task) for task in model.tasks]
        ids = {id(p) for p in model.backbone.front.parameters()}
        self.in_front = [p for p in self.shared if id(p) in ids]
        names = {id(p): name for name, p in model.named_parameters()}
        self.in_streams = {names[id(p)]: p for p in self.shared if id(p) not in ids}
        self._sizes = [p.numel() for p in self.shared]

    def set_shared(self, update: Tensor) -> None:
        """Put a flat update (P,) into the `.grad` of the shared parameters."""
        for parameter, part in zip(self.shared, update.split(self._sizes), strict=True):
            parameter.grad = part.view_as(parameter)

    def scale_owned(self, scales: Tensor) -> None:
        """Multiply the `.grad` of each task's own parameters by the task's scale (T,)."""
        for parameters, scale in zip(self.owned, scales, strict=True):
            torch._foreach_mul_([p.grad for p in parameters if p.grad is not None], scale)


@dataclass(frozen=True)
class TaskGradients:
    """losses: (T,), without a graph. shared: (T, P), in the order of `Trained.shared`."""

    losses: Tensor
    shared: Tensor


@dataclass(frozen=True)
class Step:
    """What one step's backward pass found. losses, weights: (T,). gram: the raw gradients' products (T, T), where the weighting
    or the caller asked for gradients by task."""

    losses: Tensor
    weights: Tensor
    gram: Tensor | None


def backward(
    model: MultiTaskModel,
    trained: Trained,
    weighting: Weighting,
    images: Tensor,
    losses_of: Losses,
    measure: bool = False,
) -> Step:
    """Run a model forward and set `.grad` of every trained parameter as a weighting says.

    Args:
        model: in training mode, without gradients of an earlier step. images: its input (B, 3, H, W).
        losses_of: from outputs to losses. measure: ask for the gradients' products also where the weighting goes without.
    """
    if isinstance(weighting, GradientWeighting):
        found = gradients_by_task(model, trained, images, losses_of)
        update, weights = weighting.combine(found.shared, found.losses)
        trained.set_shared(update)
        scales = weighting.owned_scales(found.losses)
        if scales is not None:
            trained.scale_owned(scales)
        return Step(found.losses, weights, found.shared @ found.shared.T)
    assert isinstance(weighting, LossWeighting), "a weighting is of losses or of gradients"
    losses = losses_of(model(images))
    gram = None
    if measure and len(model.tasks) > 1:
        found_by = [torch.autograd.grad(loss, trained.shared, retain_graph=True, allow_unused=True) for loss in losses]
        rows = torch.stack([_flat(gradients, trained.shared) for gradients in found_by])
        gram = rows @ rows.T
    stacked = torch.stack(list(losses))
    loss, weights = weighting.combine(stacked)
    loss.backward()
    return Step(stacked.detach(), weights.detach(), gram)


def gradients_by_task(model: MultiTaskModel, trained: Trained, images: Tensor, losses_of: Losses) -> TaskGradients:
    """Each task's gradient of the shared parameters, by the cheapest way the model allows.

    The gradients of task-owned parameters are put into their `.grad` on the way.
    """
    way = one_pass if model.per_task_streams else per_task_backward
    return way(model, trained, images, losses_of)


def per_task_backward(model: MultiTaskModel, trained: Trained, images: Tensor, losses_of: Losses) -> TaskGradients:
    """One backward pass a task."""
    losses, rows = losses_of(model(images)), []
    for index, owned in enumerate(trained.owned):
        keep = index < len(trained.owned) - 1
        wanted = [*trained.shared, *owned]
        gradients = torch.autograd.grad(losses[index], wanted, retain_graph=keep, allow_unused=True)
        _set(owned, gradients[len(trained.shared) :])
        rows.append(_flat(gradients[: len(trained.shared)], trained.shared))
    return TaskGradients(torch.stack(list(losses)).detach(), torch.stack(rows))


def one_pass(model: MultiTaskModel, trained: Trained, images: Tensor, losses_of: Losses) -> TaskGradients:
    """One backward pass for all tasks, of a model with a stream a task."""
    tasks, front = len(model.tasks), trained.in_front
    copies = {name: p.detach().expand(tasks, *p.shape).requires_grad_() for name, p in trained.in_streams.items()}
    owned = [p for parameters in trained.owned for p in parameters]
    seen = model.front(images)
    stacked = model.stack(seen.detach()).requires_grad_(bool(front))
    losses = losses_of(functional_call(model, copies, (images, stacked)))
    wanted = [*copies.values(), *owned, *([stacked] if front else [])]
    gradients = torch.autograd.grad(torch.stack(list(losses)).sum(), wanted, allow_unused=True)
    _set(owned, gradients[len(copies) : len(copies) + len(owned)])

    rows: dict[int, Tensor] = {}
    for parameter, copy, gradient in zip(trained.in_streams.values(), copies.values(), gradients, strict=False):
        rows[id(parameter)] = (torch.zeros_like(copy) if gradient is None else gradient).flatten(1)
    if front:
        by_task = [
            torch.autograd.grad(seen, front, part, retain_graph=index < tasks - 1)
            for index, part in enumerate(gradients[-1].chunk(tasks))
        ]
        for parameter, parts in zip(front, zip(*by_task, strict=True), strict=True):
            rows[id(parameter)] = torch.stack(parts).flatten(1)
    return TaskGradients(torch.stack(list(losses)).detach(), torch.cat([rows[id(p)] for p in trained.shared], dim=1))


def norms_and_cosines(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths of the tasks' gradients (T,) and the cosines between them (T, T), from their products."""
    norms = gram.diagonal().sqrt()
    return norms, gram / (norms.unsqueeze(0) * norms.unsqueeze(1)).clamp_min(torch.finfo(gram.dtype).tiny)


def _flat(gradients: Sequence[Tensor | None], parameters: list[nn.Parameter]) -> Tensor:
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def _set(parameters: list[nn.Parameter], gradients: Sequence[Tensor | None]) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # Adam's fused kernel (torch 2.15, CPU) reads a gradient as if its strides were its parameter's.
        parameter.grad = None if gradient is None else gradient.contiguous()
