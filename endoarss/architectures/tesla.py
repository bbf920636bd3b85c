"""TESLA: task-efficient shared low-rank adapters, EndoARSS section III-D.

Each task runs as a separate stream through one backbone. In every adapted layer stream t computes
W x + s B_shared A_shared x + s B_t A_t x (`endoarss.lora.LoRALinear` explains the symbols). All tasks train the shared adapters and SMA. If
the backbone is fully trained, it has no shared adapters; all tasks train the backbone itself. A_t, B_t and the head belong to task t.
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
    """One stream per task; the streams differ in the adapters that each task owns."""

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__(settings, make_backbone)
        self.per_task_streams = self.backbone.streams == len(self.tasks) and self.backbone.takes_copies

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stream per task with shared and owned adapters."""
        tasks = require_both_tasks(settings)
        return tasks, Streams(count=len(tasks), shared=True, owned=True)

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return the stream of each task."""
        return dict(zip(self.tasks, maps, strict=True))

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Return the parameters of the task's head and of its own adapters."""
        return [*super().task_parameters(task), *self.backbone.owned_parameters(self.tasks.index(task))]
