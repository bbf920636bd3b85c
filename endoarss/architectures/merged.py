"""A merged model: one frozen backbone with a merged update, one head per task, and optionally Surgery before each head.

It is not trained; `endoarss.merging.merge` builds it from single-task models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.lora import Streams
from endoarss.merging.surgery import Surgery
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


@register_architecture("merged")
class MergedModel(MultiTaskModel):
    """The architecture of merged models. Its setting is `surgery_rank`; 0 means no Surgery."""

    DEFAULTS: ClassVar = {"surgery_rank": 0}
    BOUNDS: ClassVar = {"surgery_rank": "[0, 16384]"}
    trained = False

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__(settings, make_backbone)
        self.surgery = nn.ModuleDict()
        self.put_surgery(self.own_settings(settings)["surgery_rank"])

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stream with the merged update."""
        return require_both_tasks(settings), Streams(shared=False, merged=True)

    def put_surgery(self, rank: int, seed: int = 0) -> None:
        """Replace the Surgery modules of all tasks by untrained ones, which do not change the features yet.

        Args:
            rank: the rank of each module; 0 removes Surgery.
            seed: the seed of the initial weights D of the first task's module; the next task uses seed + 1.
        """
        channels = self.backbone.out_channels
        self.surgery = nn.ModuleDict(
            {task: Surgery(channels, rank, seed + number) for number, task in enumerate(self.tasks)} if rank else {}
        )
        self.settings = replace(self.settings, architecture_settings={"surgery_rank": rank})

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return the map of the merged backbone, after the Surgery of each task."""
        return {task: self._after_surgery(task, maps[0]) for task in self.tasks}

    def _after_surgery(self, task: str, features: Tensor) -> Tensor:
        if task not in self.surgery:
            return features
        return self.surgery[task](features.movedim(1, -1)).movedim(-1, 1)
