"""Hard parameter sharing (Caruana 1993): one backbone, one head per task. The authors' code of EndoARSS calls it MOLA."""

from __future__ import annotations

from torch import Tensor

from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


@register_architecture("hps")
class HardParameterSharing(MultiTaskModel):
    """All tasks use the same features."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stream."""
        return require_both_tasks(settings), Streams()

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return the backbone's only map for each task."""
        return dict.fromkeys(self.tasks, maps[0])
