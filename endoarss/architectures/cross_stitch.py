"""Cross-stitch networks (Misra et al., CVPR 2016, arXiv:1604.03539): one network per task; the networks are mixed after each stage.

If x_r is the output of stream r after a stage, stream t continues with sum_r alpha_tr x_r (equation 1). Each stage has a trained matrix
alpha (T, T) for T tasks, which starts at 0.9 on its diagonal. On a frozen backbone the network of a task is a set of adapters, and a stage
is a block; otherwise it is a full encoder. The loss of each task trains both networks, so the whole backbone counts as shared.
"""

from __future__ import annotations

from torch import Tensor

from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


@register_architecture("cross_stitch")
class CrossStitchNetwork(MultiTaskModel):
    """One stream per task; the streams are mixed after each stage."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stitched stream per task."""
        tasks = require_both_tasks(settings)
        return tasks, Streams(count=len(tasks), shared=False, owned=True, stitched=True)

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return the stream of each task after the last mixing."""
        return dict(zip(self.tasks, maps, strict=True))
