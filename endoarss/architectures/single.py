"""Single-task models: one backbone, one head. Every multi-task model is compared with them."""

from __future__ import annotations

from torch import Tensor

from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ACTIVITY, SEGMENTATION, ModelSettings


class SingleTask(MultiTaskModel):
    """One stream and one head."""

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return the backbone's only map."""
        return {self.tasks[0]: maps[0]}


@register_architecture("single_activity")
class SingleActivity(SingleTask):
    """A model that only classifies the activity."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return the activity task, and one stream; the dataset must have activities."""
        require_both_tasks(settings)
        return (ACTIVITY,), Streams()


@register_architecture("single_segmentation")
class SingleSegmentation(SingleTask):
    """A model that only segments."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return the segmentation task, and one stream."""
        return (SEGMENTATION,), Streams()
