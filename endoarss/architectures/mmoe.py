"""MMoE: multi-gate mixture of experts (Ma et al., KDD 2018).

The features of task t are z_t = sum_e softmax(G_t(g(x)))_e f_e(x), with the image x, the experts f_e, the gate G_t of the task, and its
input g(x), which the setting `gate_input` selects. On a frozen backbone the experts are sets of low-rank adapters, which run as streams;
otherwise they are full encoders. Experts are shared; gates and heads belong to one task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endoarss.backbones.base import Backbone
from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings

_THUMBNAIL = 14  # pixels per side


class ThumbnailGate(nn.Module):
    """Computes the experts' weights from the image pooled to 14 x 14 pixels, with a LayerNorm, a linear layer and a softmax.

    Args:
        experts: E, the number of experts.
        input_size: not used; it exists because all gates have the same arguments.
    """

    def __init__(self, experts: int, input_size: int) -> None:
        super().__init__()
        size = 3 * _THUMBNAIL * _THUMBNAIL
        self.norm = nn.LayerNorm(size)
        self.linear = nn.Linear(size, experts)

    def forward(self, images: Tensor) -> Tensor:
        """Return the weights (B, E) for images (B, 3, H, W)."""
        pooled = F.adaptive_avg_pool2d(images, _THUMBNAIL).flatten(1)
        return self.linear(self.norm(pooled)).softmax(dim=1)


class StaticGate(nn.Module):
    """Trains the experts' weights directly; they are the same for every image.

    Args:
        experts: E, the number of experts.
        input_size: not used; it exists because all gates have the same arguments.
    """

    def __init__(self, experts: int, input_size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(experts))

    def forward(self, images: Tensor) -> Tensor:
        """Return the weights (B, E) for images (B, 3, H, W)."""
        return self.logits.softmax(dim=0).expand(len(images), -1)


class RawPixelsGate(nn.Module):
    """Computes the experts' weights from all pixels with a linear layer and a softmax, as in the authors' code.

    Args:
        experts: E, the number of experts.
        input_size: side of the images in pixels.
    """

    def __init__(self, experts: int, input_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * input_size * input_size, experts)

    def forward(self, images: Tensor) -> Tensor:
        """Return the weights (B, E) for images (B, 3, H, W)."""
        return self.linear(images.flatten(1)).softmax(dim=1)


GATES = {"thumbnail": ThumbnailGate, "static": StaticGate, "raw_pixels": RawPixelsGate}


@register_architecture("mmoe")
class MixtureOfExperts(MultiTaskModel):
    """MMoE with one gate per task. Its settings are `experts`, and `gate_input` (thumbnail, static or raw_pixels)."""

    DEFAULTS: ClassVar = {"experts": 2, "gate_input": "thumbnail"}
    BOUNDS: ClassVar = {"experts": "[2, 64]", "gate_input": ("thumbnail", "static", "raw_pixels")}

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__(settings, make_backbone)
        gate = GATES[self.own_settings(settings)["gate_input"]]
        experts, size = self.streams.count, settings.input_size
        self.gates = nn.ModuleDict({task: gate(experts, size) for task in self.tasks})

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stream per expert."""
        experts = MixtureOfExperts.own_settings(settings)["experts"]
        return require_both_tasks(settings), Streams(count=experts, shared=False, owned=True)

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return each task's mixture of the experts' maps."""
        experts = torch.stack(maps, dim=1)  # B, E, C, h, w
        return {task: torch.einsum("be,bechw->bchw", self.gates[task](images), experts) for task in self.tasks}

    def task_modules(self, task: str) -> list[nn.Module]:
        """Return the task's head and gate."""
        return [self.heads[task], self.gates[task]]
