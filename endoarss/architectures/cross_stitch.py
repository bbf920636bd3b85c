"""Cross-stitch networks (Misra et al., CVPR 2016, arXiv:1604.03539): a network per task, mixed after each stage.

After stage l stream t goes on with sum_r alpha_tr x_r; alpha (T, T) is trained, one matrix per stage (equation 1), and starts at 0.9 on its
diagonal. On a frozen backbone a task's network is a set of adapters over it, and a stage is a block; otherwise it is a full encoder.
Each task acts on both networks, so that all of the backbone is shared.
"""

from __future__ import annotations

from torch import Tensor

from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


@register_architecture("cross_stitch")
class CrossStitchNetwork(MultiTaskModel):
    """A stream a task, mixed after each stage."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Both tasks, a stream each, stitched."""
        tasks = require_both_tasks(settings)
        return tasks, Streams(count=len(tasks), shared=False, owned=True, stitched=True)

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Each task's own stream, as mixed after the last stage."""
        return dict(zip(self.tasks, maps, strict=True))
