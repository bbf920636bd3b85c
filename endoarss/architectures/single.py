"""Single-task models: one backbone, one head. The reference every multi-task model is compared with."""

from __future__ import annotations

from torch import Tensor

from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ACTIVITY, SEGMENTATION, ModelSettings


class SingleTask(MultiTaskModel):
    """One stream, seen by the one head."""

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """The backbone's only map."""
        return {self.tasks[0]: maps[0]}


@register_architecture("single_activity")
class SingleActivity(SingleTask):
    """Classification only."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """The activity alone; it must exist."""
        require_both_tasks(settings)
        return (ACTIVITY,), Streams()


@register_architecture("single_segmentation")
class SingleSegmentation(SingleTask):
    """Segmentation only."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """The segmentation alone."""
        return (SEGMENTATION,), Streams()
