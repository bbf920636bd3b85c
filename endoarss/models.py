"""The base class of all architectures, and `build_model`."""

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
    """A backbone, the computation of each task's features from the backbone's streams, and one head per task.

    A subclass is an architecture. Its `plan` returns the tasks it solves and the streams it needs; `features` returns each head's input.

    Args:
        settings: the settings of the model.
        make_backbone: a function that builds the backbone for the streams of `plan`.

    Attributes:
        external: the model's components that do not belong to this package, with the digests of their sources when the model was built.
        precision: the precision of the forward pass: "float32", "bf16", or "auto" for bf16 on a GPU. It does not depend on the dtype of the
            weights.
        per_task_streams: whether stream t of a single encoder reaches only head t, so that one backward pass gives the gradient of each
            task.
        trained: whether models of this architecture are trained. A merged model is not trained.
        DEFAULTS: the defaults of the architecture's settings, by name.
        BOUNDS: the bounds of these settings, see `endoarss.components.bounds`.

    Raises:
        SettingsError: if a setting of the architecture is unknown or not allowed, or the backbone cannot be built.
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
        """Return the architecture's settings, with defaults for those that are not given.

        Args:
            settings: the settings of the model.

        Raises:
            SettingsError: if a setting is unknown, or its value is not allowed.
        """
        check_settings_of(cls, settings.architecture, settings.architecture_settings)
        return {**settings_of(cls)[0], **settings.architecture_settings}

    @staticmethod
    @abstractmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return the tasks that the architecture solves and the streams that it needs.

        Args:
            settings: the settings of the model.
        """

    @abstractmethod
    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return the input (B, C, h, w) of each task's head.

        Args:
            maps: the backbone's maps, one (B, C, h, w) per stream.
            images: the normalised images (B, 3, H, W).
        """

    def task_modules(self, task: str) -> list[nn.Module]:
        """Return the modules that belong to one task alone.

        Args:
            task: the name of the task.
        """
        return [self.heads[task]]

    def penalties(self, images: Tensor) -> dict[str, Tensor]:
        """Return the value that is added to each task's loss, by task. Architectures with a regulariser override this method.

        Args:
            images: the normalised images (B, 3, H, W).
        """
        return {}

    def measures(self, images: Tensor) -> dict[str, Tensor]:
        """Return the architecture's own columns of the history for an epoch, scalars by column name.

        Args:
            images: the normalised images of the epoch's last batch (B, 3, H, W).
        """
        return {}

    def forward(self, images: Tensor, stacked: Tensor | None = None) -> dict[str, Tensor]:
        """Return the logits of each task: (B, K) for K activities, (B, C, H, W) for C segmentation classes.

        Args:
            images: the normalised images (B, 3, H, W).
            stacked: the output of the front, repeated once per stream (S * B, 3, h, w), if the caller has computed it.
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
        """Return the output of the backbone's front, (B, 3, h, w). If `network_size` is set, the images are first resized to it.

        Args:
            images: the normalised images (B, 3, H, W).
        """
        side = self.settings.seen_size
        if self.settings.network_size:
            images = self._resized(images, (side, side))
        with autocast(images.device, self.precision):
            return self.backbone.front(images)

    def _resized(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=self.settings.align_corners)

    def stack(self, images: Tensor) -> Tensor:
        """Return images (B, 3, h, w) repeated once per stream, (S * B, 3, h, w).

        Args:
            images: the output of the front (B, 3, h, w).
        """
        return self.backbone.stack(images)

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Return the trained parameters that belong to one task alone: its head, and what the architecture adds.

        Args:
            task: the name of the task.
        """
        return [p for module in self.task_modules(task) for p in module.parameters() if p.requires_grad]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the trained parameters that do not belong to one task alone."""
        owned = {id(p) for task in self.tasks for p in self.task_parameters(task)}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in owned]

    def count_parameters(self) -> tuple[int, int]:
        """Return the number of trained parameters, and the number of all parameters."""
        counts = self.parameters_by_part().values()
        return sum(trained for trained, _ in counts), sum(total for _, total in counts)

    def parameters_by_part(self) -> dict[str, tuple[int, int]]:
        """Return the number of trained and of all parameters for each part of the model, such as adapters, front, heads and gates."""
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

    Args:
        settings: the settings of the model.

    Returns:
        The model, in training mode, with pretrained weights if the settings name some.

    Raises:
        UnknownNameError: if the backbone or the architecture is not registered.
        SettingsError: if a setting is unknown or not allowed, the weights cannot be loaded, backbone and architecture cannot be combined,
            or the tasks share no trained parameter.
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
            f"{settings.architecture} on {settings.backbone}: the tasks share no trained parameter, so a weighting would have no effect. "
            "Set sma: true for the backbone, because SMA is shared, or choose another architecture."
        )
    return model


def check_streams(settings: ModelSettings, backbone: Backbone, streams: Streams) -> None:
    """Raise an error if a backbone does not provide the streams of an architecture; it would silently train another architecture.

    Args:
        settings: the settings with the names of backbone and architecture.
        backbone: the backbone that was built.
        streams: the streams that the architecture needs.

    Raises:
        SettingsError: if something is missing; the message names backbone, architecture and what is missing.
    """
    provided = len(backbone.encoders) * backbone.streams
    problem = ""
    if provided != streams.count:
        problem = f"{streams.count} stream(s), but the backbone provides {provided}"
    elif streams.stitched:
        if not any(isinstance(module, CrossStitch) for module in backbone.modules()):
            problem = "cross-stitch units after each stage, but the backbone has none"
    elif streams.merged:
        if not any(isinstance(module, MergedLinear) for module in backbone.modules()):
            problem = "layers with a merged update, but the backbone has none"
    elif streams.owned:
        without = [stream for stream in range(provided) if not backbone.owned_parameters(stream)]
        if without:
            problem = f"separate adapters per stream, but stream {without[0]} of the backbone has none: the tasks would share everything"
    if problem:
        raise SettingsError(
            f"{settings.architecture} on {settings.backbone}: the architecture needs {problem}. Choose another architecture, "
            "such as hps, or make the backbone use its argument `streams`, as CONTRIBUTING.md shows."
        )


def require_both_tasks(settings: ModelSettings) -> tuple[str, ...]:
    """Return both tasks, for architectures that need both.

    Args:
        settings: the settings of the model.

    Raises:
        SettingsError: if the dataset has no activities.
    """
    if ACTIVITY not in settings.available_tasks:
        raise SettingsError(
            f"architecture {settings.architecture!r} needs activities, but the dataset has none; use single_segmentation."
        )
    return settings.available_tasks
