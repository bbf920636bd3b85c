"""AdaMerging: learn the coefficients that minimise the entropy of the merged model's predictions on unlabelled images."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from tqdm import tqdm

from endoarss.components.description import check_settings_of
from endoarss.merging.base import Feedback, Merged, Merger
from endoarss.merging.task_vectors import TaskVector
from endoarss.registry import register_merger


class AdaMerging(Merger):
    """Computes sum_t c_t v_t from the task vectors v_t, with coefficients c_t that minimise entropy (Yang et al. 2024, arXiv:2310.02575).

    Sections 3.2 and 3.3 of the paper define the method. As in the authors' code, all coefficients have the same initial value and
    are clamped to [0, 1].

    Args:
        start: initial value of every coefficient.
        iterations: number of steps of Adam.
        learning_rate: Adam's learning rate.
    """

    adapts = True
    BOUNDS: ClassVar = {"start": "[0, 1]", "iterations": "[1, 1000000]", "learning_rate": "(0, 1000]"}

    def __init__(self, start: float = 0.3, iterations: int = 500, learning_rate: float = 0.001) -> None:
        given = {"start": start, "iterations": iterations, "learning_rate": learning_rate}
        check_settings_of(AdaMerging, "adamerging", given)
        self.start, self.iterations, self.learning_rate = start, iterations, learning_rate

    @abstractmethod
    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """Return the shape of the coefficients: (T, 1) for one per task, or (T, L) for one per task and tensor.

        Args:
            vectors: the task vectors of T models, with L tensors each.
        """

    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """Return the weighted sum after the last step."""
        coefficients, losses = self.learn(vectors, feedback)
        entropy = losses.tolist()
        return Merged(
            _weighted_sum(coefficients, vectors),
            {"coefficients": coefficients.tolist(), "entropy": {"first": entropy[0], "last": entropy[-1]}},
        )

    def learn(self, vectors: Sequence[TaskVector], feedback: Feedback) -> tuple[Tensor, Tensor]:
        """Learn the coefficients. No step waits for the device.

        Args:
            vectors: the task vectors.
            feedback: its function `entropy` is minimised.

        Returns:
            The coefficients after the last step, and the entropy before each step (iterations,), both on the device.
        """
        coefficients = next(iter(vectors[0].values())).new_full(self.shape(vectors), self.start).requires_grad_()
        optimizer = torch.optim.Adam([coefficients], lr=self.learning_rate)
        losses: list[Tensor] = []
        for step in tqdm(range(self.iterations), desc="entropy", unit="step", mininterval=1.0, leave=False):
            loss = feedback.entropy(_weighted_sum(coefficients.clamp(0, 1), vectors), step)
            # Only the coefficients get a gradient, because the other parameters of the model are not trained here.
            (coefficients.grad,) = torch.autograd.grad(loss, coefficients)
            optimizer.step()
            losses.append(loss.detach())
        return coefficients.detach().clamp(0, 1), torch.stack(losses)


def _weighted_sum(coefficients: Tensor, vectors: Sequence[TaskVector]) -> TaskVector:
    """Return sum_t c_t v_t, tensor by tensor, with coefficients (T, 1) or (T, L)."""
    per_tensor = coefficients.expand(-1, len(vectors[0])).unbind(1)
    return {
        name: torch.tensordot(c, torch.stack([vector[name] for vector in vectors]), dims=1)
        for c, name in zip(per_tensor, vectors[0], strict=True)
    }


@register_merger("adamerging_task")
class TaskWiseAdaMerging(AdaMerging):
    """AdaMerging with one coefficient per task."""

    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """Return (T, 1)."""
        return len(vectors), 1


@register_merger("adamerging_layer")
class LayerWiseAdaMerging(AdaMerging):
    """AdaMerging with one coefficient per task and tensor."""

    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """Return (T, L)."""
        return len(vectors), len(vectors[0])


def mean_entropy(logits: Tensor) -> Tensor:
    """Return the mean normalised entropy of predictions: 0 if they are certain, 1 if they are uniform.

    The entropy of the softmax over the K labels is divided by log K, its largest value, so that tasks with different K count equally.

    Args:
        logits: (B, K) for images or (B, K, H, W) for pixels.

    Returns:
        A scalar.
    """
    logs = logits.log_softmax(dim=1)
    return -(logs.exp() * logs).sum(1).mean() / math.log(logits.shape[1])
