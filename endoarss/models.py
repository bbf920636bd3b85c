"""The multi-task model every architecture is one of, and `build_model`."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endoarss.backbones.base import Backbone
from endoarss.backbones.lockstep import CrossStitch
from endoarss.components.bounds import Bound
from endoarss.components.description import check_settings_of, settings_of
from endoarss.components.external import ExternalComponent, external_components
from endoarss.devices import autocast
from endoarss.errors import SettingsError
from endoarss.heads import ActivityHead, SegmentationHead
from endoarss.lora import MergedLinear, Streams
from endoarss.registry import ARCHITECTURES, BACKBONES
from endoarss.settings import ACTIVITY, SEGMENTATION, ModelSettings


class MultiTaskModel(nn.Module, ABC):
    """A backbone, an architecture's way from its streams to each task's features, and a head a task.

    A subclass says in `plan` which tasks it solves and which streams it needs, and in `features` what each head sees.
    `precision` is what it runs in, whatever its weights are kept in: "float32", "bf16", or "auto" (bf16 on a GPU).
    `DEFAULTS` are the settings that an architecture takes, `BOUNDS` what their values may be (see `endoarss.components.bounds`).
    An architecture sets `per_task_streams` if stream t of one encoder reaches head t and no other: one backward pass then tells the tasks'
    gradients apart. `trained` is false of what is put together from trained models.
    `external` are its components that are not the project's own, as their source was when the model was built.
    """

    external: tuple[ExternalComponent, ...] = ()
    precision: str = "float32"
    per_task_streams = False
    trained = True
    DEFAULTS: ClassVar[Mapping[str, Any]] = {}
    BOUNDS: ClassVar[Mapping[str, Bound]] = {}

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__()
        self.own_settings(settings)
        self.settings = settings
        self.tasks, self.streams = self.plan(settings)
        self.backbone = make_backbone(self.streams)
        channels, side = self.backbone.out_channels, min(self.backbone.map_size)
        self.heads = nn.ModuleDict()
        for task in self.tasks:
            if task == ACTIVITY:
                self.heads[task] = ActivityHead(channels, len(settings.activities), settings.heads)
            else:
                self.heads[task] = SegmentationHead(channels, len(settings.classes), side, settings.heads)

    @classmethod
    def own_settings(cls, settings: ModelSettings) -> dict[str, Any]:
        """Return the architecture's own settings: those given, and defaults for the rest.

        Raises:
            SettingsError: if one is unknown, or its value is not allowed.
        """
        check_settings_of(cls, settings.architecture, settings.architecture_settings)
        return {**settings_of(cls)[0], **settings.architecture_settings}

    @staticmethod
    @abstractmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """The tasks the architecture solves and the streams it asks of the backbone."""

    @abstractmethod
    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """The map (B, C, h, w) that each task's head sees.

        Args:
            maps: the backbone's, one (B, C, h, w) a stream. images: the input, (B, 3, H, W).
        """

    def task_modules(self, task: str) -> list[nn.Module]:
        """Modules that belong to one task alone."""
        return [self.heads[task]]

    def penalties(self, images: Tensor) -> dict[str, Tensor]:
        """What is added to a task's loss, by task; for architectures with a regulariser. images: the input (B, 3, H, W)."""
        return {}

    def measures(self, images: Tensor) -> dict[str, Tensor]:
        """What else the history says of an epoch, scalars by the name of their column. images: the epoch's last batch (B, 3, H, W)."""
        return {}

    def forward(self, images: Tensor, stacked: Tensor | None = None) -> dict[str, Tensor]:
        """Normalised images (B, 3, H, W) -> logits: activity (B, K), segmentation (B, classes, H, W).

        Args:
            images: the input. stacked: what the backbone's front gives, once a stream (S * B, 3, h, w), where the caller has it.
        """
        if stacked is None:
            stacked = self.stack(self.front(images))
        outputs = {}
        with autocast(images.device, self.precision):
            for task, features in self.features(self.backbone.encode(stacked), images).items():
                logits = self.heads[task](features)
                outputs[task] = logits.float() if logits.dtype == torch.bfloat16 else logits
        if SEGMENTATION in outputs:
            outputs[SEGMENTATION] = self._resized(outputs[SEGMENTATION], (images.shape[-2], images.shape[-1]))
        return outputs

    def front(self, images: Tensor) -> Tensor:
        """What stands before the streams, on images at the side the backbone sees them at: (B, 3, h, w)."""
        side = self.settings.seen_size
        if self.settings.network_size:
            images = self._resized(images, (side, side))
        with autocast(images.device, self.precision):
            return self.backbone.front(images)

    def _resized(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=self.settings.align_corners)

    def stack(self, images: Tensor) -> Tensor:
        """(B, 3, h, w) -> (S * B, 3, h, w), one copy a stream."""
        return self.backbone.stack(images)

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Trained parameters that belong to one task alone: its head, and what its architecture adds."""
        return [p for module in self.task_modules(task) for p in module.parameters() if p.requires_grad]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Trained parameters that several tasks act on; all of them for a single task."""
        owned = {id(p) for task in self.tasks for p in self.task_parameters(task)}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in owned]

    def count_parameters(self) -> tuple[int, int]:
        """How many parameters are trained, and how many there are in all."""
        parts = self.parameters_by_part().values()
        return sum(trained for trained, _ in parts), sum(total for _, total in parts)

    def parameters_by_part(self) -> dict[str, tuple[int, int]]:
        """Trained and all parameters of each part: adapters, SMA, the rest of the backbone, heads, gates and the like."""
        counts: dict[str, tuple[int, int]] = {}
        for name, parameter in self.named_parameters():
            part = _part_of(name)
            trained, total = counts.get(part, (0, 0))
            counts[part] = trained + parameter.numel() * parameter.requires_grad, total + parameter.numel()
        return counts


def _part_of(name: str) -> str:
    if re.search(r"\.(shared|owned)_[ab]\b", name):
        return "adapters"
    first = name.split(".")[0]
    return "front" if name.startswith("backbone.front.") else first


def build_model(settings: ModelSettings) -> MultiTaskModel:
    """Build a model from its settings.

    Raises:
        UnknownNameError: if the backbone or the architecture is not registered.
        SettingsError: if they do not fit together or the weights cannot be had.
    """
    make: Any = BACKBONES.get(settings.backbone)
    architecture: type[MultiTaskModel] = ARCHITECTURES.get(settings.architecture)

    def make_backbone(streams: Streams) -> Backbone:
        return make(settings.backbone_settings, settings.seen_size, streams)

    model = architecture(settings, make_backbone)
    check_streams(settings, model.backbone, model.streams)
    model.external = external_components(settings)
    if model.trained and len(model.tasks) > 1 and not model.shared_parameters():
        raise SettingsError(
            f"{settings.architecture} on {settings.backbone}: no trained parameter is shared by the tasks, "
            "so that no weighting could act. Put SMA, which is shared, before the backbone, or choose another architecture."
        )
    return model


def check_streams(settings: ModelSettings, backbone: Backbone, streams: Streams) -> None:
    """Refuse a backbone that does not give what an architecture asks of it: it would train as another architecture than it is shown as.

    Args:
        settings: what backbone and architecture are called. backbone: as built. streams: what the architecture asks for.

    Raises:
        SettingsError: naming backbone, architecture and what is lacking.
    """
    given = len(backbone.encoders) * backbone.streams
    lacking = ""
    if given != streams.count:
        lacking = f"{streams.count} stream(s), and the backbone gives {given}"
    elif streams.stitched:
        if not any(isinstance(module, CrossStitch) for module in backbone.modules()):
            lacking = "cross-stitch units after its stages, and the backbone has none"
    elif streams.merged:
        if not any(isinstance(module, MergedLinear) for module in backbone.modules()):
            lacking = "layers with a merged update, and the backbone has none"
    elif streams.owned:
        without = [stream for stream in range(given) if not backbone.owned_parameters(stream)]
        if without:
            lacking = f"adapters that each stream owns, and the backbone gives stream {without[0]} none: its tasks would share everything"
    if lacking:
        raise SettingsError(
            f"{settings.architecture} on {settings.backbone}: the architecture asks for {lacking}. Choose another architecture, "
            "such as hps, or let the backbone follow its argument `streams`, as CONTRIBUTING.md shows."
        )


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
