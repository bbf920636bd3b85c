"""AdaMerging: coefficients that make the merged model decided about unlabelled images."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from endoarss.errors import SettingsError
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

    def __init__(self, start: float = 0.3, iterations: int = 500, learning_rate: float = 0.001) -> None:
        if not 0 <= start <= 1 or iterations < 1 or learning_rate <= 0:
            raise SettingsError(
                f"adamerging: start {start}, iterations {iterations}, learning_rate {learning_rate}; expected a start from 0 to 1, at "
                "least 1 iteration, and a rate above 0."
            )
        self.start, self.iterations, self.learning_rate = start, iterations, learning_rate

    @abstractmethod
    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """How many coefficients there are: (T, 1), one a task, or (T, L), one a task and tensor."""

    def merge_checked(self, vectors: Sequence[TaskVector], feedback: Feedback) -> Merged:
        """The weighted sum after the last step."""
        names = list(vectors[0])
        stacked = {name: torch.stack([vector[name] for vector in vectors]) for name in names}
        like = stacked[names[0]]
        free = like.new_full(self.shape(vectors), self.start).requires_grad_()

        def merged() -> TaskVector:
            held = free.clamp(0, 1).expand(-1, len(names))
            return {name: torch.tensordot(held[:, i], stacked[name], dims=1) for i, name in enumerate(names)}

        optimizer = torch.optim.Adam([free], lr=self.learning_rate)
        losses: list[Tensor] = []
        for step in tqdm(range(self.iterations), desc="entropy", unit="step", mininterval=1.0, leave=False):
            loss = feedback.entropy(merged(), step)
            # Of the coefficients alone: what else of the model could be trained is left as it is.
            (free.grad,) = torch.autograd.grad(loss, free)
            optimizer.step()
            losses.append(loss.detach())
        found = torch.stack(losses).tolist()
        with torch.no_grad():
            return Merged(
                merged(),
                {"coefficients": free.clamp(0, 1).tolist(), "entropy": {"first": found[0], "last": found[-1]}},
            )


@register_merger("adamerging_task")
class TaskWiseAdaMerging(AdaMerging):
    """One coefficient a task."""

    def __init__(self, start: float = 0.3, iterations: int = 500, learning_rate: float = 0.001) -> None:
        super().__init__(start, iterations, learning_rate)

    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """(T, 1)."""
        return len(vectors), 1


@register_merger("adamerging_layer")
class LayerWiseAdaMerging(AdaMerging):
    """One coefficient a task and tensor."""

    def __init__(self, start: float = 0.3, iterations: int = 500, learning_rate: float = 0.001) -> None:
        super().__init__(start, iterations, learning_rate)

    def shape(self, vectors: Sequence[TaskVector]) -> tuple[int, int]:
        """(T, L)."""
        return len(vectors), len(vectors[0])


def mean_entropy(logits: Tensor) -> Tensor:
    """The mean entropy of softmax over dimension 1, divided by log K: 0 is decided, 1 is uniform. Of images (B, K) and of pixels
    (B, K, H, W) alike, so that neither task outweighs the other."""
    logs = logits.log_softmax(dim=1)
    return -(logs.exp() * logs).sum(1).mean() / torch.log(torch.tensor(float(logits.shape[1])))
