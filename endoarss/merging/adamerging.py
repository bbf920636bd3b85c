"""AdaMerging: coefficients that make the merged model decided about unlabelled images."""

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
    """sum_t c_t v_t, with c learned by minimising entropy (Yang et al. 2024, arXiv:2310.02575, sections 3.2 and 3.3).

    The coefficients start equal and are held between 0 and 1, as in the authors' code.

    Args:
        start: of every coefficient. iterations: steps of Adam. learning_rate: its rate.
    """

    adapts = True
    BOUNDS: ClassVar = {"start": "[0, 1]", "iterations": "[1, 1000000]", "learning_rate": "(0, 1000]"}

    def __init__(self, start: float = 0.3, iterations: int = 500, learning_rate: float = 0.001) -> None:
        given = {"start": start, "iterations": iterations, "learning_rate": learning_rate}
        check_settings_of(AdaMerging, "adamerging", given)
        self.start, self.iterations, self.learning_rate = start, iterations, learning_rate

    @abstractmethod
    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """How many coefficients there are: (T, 1), one a task, or (T, L), one a task and tensor."""

    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """The weighted sum after the last step."""
        coefficients, losses = self.learn(vectors, feedback)
        entropy = losses.tolist()
        return Merged(
            _weighted_sum(coefficients, vectors),
            {"coefficients": coefficients.tolist(), "entropy": {"first": entropy[0], "last": entropy[-1]}},
        )

    def learn(self, vectors: Sequence[TaskVector], feedback: Feedback) -> tuple[Tensor, Tensor]:
        """Return the coefficients after the last step and the entropy before each step, on the device; no step waits for it."""
        free = next(iter(vectors[0].values())).new_full(self.shape(vectors), self.start).requires_grad_()
        optimizer = torch.optim.Adam([free], lr=self.learning_rate)
        losses: list[Tensor] = []
        for step in tqdm(range(self.iterations), desc="entropy", unit="step", mininterval=1.0, leave=False):
            loss = feedback.entropy(_weighted_sum(free.clamp(0, 1), vectors), step)
            # Of the coefficients alone: what else of the model could be trained is left as it is.
            (free.grad,) = torch.autograd.grad(loss, free)
            optimizer.step()
            losses.append(loss.detach())
        return free.detach().clamp(0, 1), torch.stack(losses)


def _weighted_sum(coefficients: Tensor, vectors: Sequence[TaskVector]) -> TaskVector:
    """Return sum_t c_t v_t, tensor by tensor, with coefficients (T, 1) or (T, L)."""
    of_tensors = coefficients.expand(-1, len(vectors[0])).unbind(1)
    return {
        name: torch.tensordot(c, torch.stack([vector[name] for vector in vectors]), dims=1)
        for c, name in zip(of_tensors, vectors[0], strict=True)
    }


@register_merger("adamerging_task")
class TaskWiseAdaMerging(AdaMerging):
    """One coefficient a task."""

    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """(T, 1)."""
        return len(vectors), 1


@register_merger("adamerging_layer")
class LayerWiseAdaMerging(AdaMerging):
    """One coefficient a task and tensor."""

    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """(T, L)."""
        return len(vectors), len(vectors[0])


def mean_entropy(logits: Tensor) -> Tensor:
    """The mean entropy of softmax over dimension 1, divided by log K: 0 is decided, 1 is uniform. Of images (B, K) and of pixels
    (B, K, H, W) alike, so that neither task outweighs the other."""
    logs = logits.log_softmax(dim=1)
    return -(logs.exp() * logs).sum(1).mean() / math.log(logits.shape[1])
