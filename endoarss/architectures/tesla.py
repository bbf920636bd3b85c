"""TESLA: task-efficient shared low-rank adapters, EndoARSS section III-D.

Each task runs as a stream of its own through one backbone. In every adapted layer stream t computes
W x + s B_shared A_shared x + s B_t A_t x. Shared and trained: the shared adapters (of a backbone that is trained in full: the
backbone itself) and SMA. Owned by a task: A_t, B_t and its head.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


@register_architecture("tesla")
class Tesla(MultiTaskModel):
    """A stream a task, kept apart by task-owned adapters."""

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__(settings, make_backbone)
        self.per_task_streams = self.backbone.streams == len(self.tasks) and self.backbone.takes_copies

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Both tasks, a stream each, with shared and owned adapters."""
        tasks = require_both_tasks(settings)
        return tasks, Streams(count=len(tasks), shared=True, owned=True)

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Each task's own stream."""
        return dict(zip(self.tasks, maps, strict=True))

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """The task's head and its adapters."""
        return [*super().task_parameters(task), *self.backbone.owned_parameters(self.tasks.index(task))]
