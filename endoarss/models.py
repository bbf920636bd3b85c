"""The multi-task model every architecture is one of, and `build_model`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from endoarss.backbones.base import Backbone
from endoarss.errors import SettingsError
from endoarss.heads import ActivityHead, SegmentationHead, upsample_logits
from endoarss.lora import Streams
from endoarss.registry import ARCHITECTURES, BACKBONES
from endoarss.settings import ACTIVITY, SEGMENTATION, ModelSettings


class MultiTaskModel(nn.Module, ABC):
    """A backbone, an architecture's way from its streams to each task's features, and a head a task.

    A subclass says in `plan` which tasks it solves and which streams it needs, and in `features` what each head sees.
    """

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__()
        self.settings = settings
        self.tasks, streams = self.plan(settings)
        self.backbone = make_backbone(streams)
        channels, side = self.backbone.out_channels, self.backbone.side
        self.heads = nn.ModuleDict()
        for task in self.tasks:
            if task == ACTIVITY:
                self.heads[task] = ActivityHead(channels, len(settings.activities), settings.heads)
            else:
                self.heads[task] = SegmentationHead(channels, len(settings.classes), side, settings.heads)

    @staticmethod
    @abstractmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """The tasks the architecture solves and the streams it asks of the backbone."""

    @abstractmethod
    def features(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) -> the map (B, C, h, w) that each task's head sees."""

    def task_modules(self, task: str) -> list[nn.Module]:
        """Modules that belong to one task alone."""
        return [self.heads[task]]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Normalised images (B, 3, H, W) -> logits: activity (B, K), segmentation (B, classes, H, W)."""
        outputs = {}
        for task, features in self.features(images).items():
            logits = self.heads[task](features)
            if task == SEGMENTATION:
                logits = upsample_logits(logits, (images.shape[-2], images.shape[-1]))
            outputs[task] = logits
        return outputs

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Trained parameters that belong to one task alone: its head, and what its architecture adds."""
        return [p for module in self.task_modules(task) for p in module.parameters() if p.requires_grad]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Trained parameters that several tasks act on; all of them for a single task."""
        owned = {id(p) for task in self.tasks for p in self.task_parameters(task)}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in owned]

    def count_parameters(self) -> tuple[int, int]:
        """How many parameters are trained, and how many there are in all."""
        sizes = [(p.numel(), p.requires_grad) for p in self.parameters()]
        return sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes)


def build_model(settings: ModelSettings) -> MultiTaskModel:
    """Build a model from its settings.

    Raises:
        UnknownNameError: if the backbone or the architecture is not registered.
        SettingsError: if they do not fit together or the weights cannot be had.
    """
    make: Any = BACKBONES.get(settings.backbone)
    architecture: type[MultiTaskModel] = ARCHITECTURES.get(settings.architecture)

    def make_backbone(streams: Streams) -> Backbone:
        return make(settings.backbone_settings, settings.input_size, streams)

    model = architecture(settings, make_backbone)
    if len(model.tasks) > 1 and not model.shared_parameters():
        raise SettingsError(
            f"{settings.architecture} on {settings.backbone}: no trained parameter is shared by the tasks, "
            "so that no weighting could act."
        )
    return model


def require_both_tasks(settings: ModelSettings) -> tuple[str, ...]:
    """The two tasks, for architectures that need them.

    Raises:
        SettingsError: if the dataset has no activities.
    """
    if ACTIVITY not in settings.available_tasks:
        raise SettingsError(
            f"architecture {settings.architecture!r} needs activities, which this dataset lacks; use single_segmentation."
        )
    return settings.available_tasks
