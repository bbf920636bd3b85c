"""CGC, customized gate control: progressive layered extraction with one level (Tang et al., RecSys 2020).

Some experts are shared, others belong to one task. As in MMoE (`mmoe.py` explains the symbols), the features of task t are
z_t = sum_e softmax(G_t(g(x)))_e f_e(x). Here the sum is over the shared experts and the experts of task t. Task t does not depend on the
experts of other tasks, and gives them no gradient. Experts are sets of adapters on a frozen backbone, or full encoders.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from endoarss.architectures.mmoe import GATES
from endoarss.backbones.base import Backbone
from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


@register_architecture("cgc")
class CustomizedGateControl(MultiTaskModel):
    """CGC with one gate per task over the shared experts and the task's own experts.

    Its settings are `shared_experts`, `task_experts` (the number per task), and `gate_input`, as in MMoE.
    """

    DEFAULTS: ClassVar = {"shared_experts": 1, "task_experts": 1, "gate_input": "thumbnail"}
    BOUNDS: ClassVar = {
        "shared_experts": "[1, 32]",
        "task_experts": "[1, 16]",
        "gate_input": ("thumbnail", "static", "raw_pixels"),
    }

    def __init__(self, settings: ModelSettings, make_backbone: Callable[[Streams], Backbone]) -> None:
        super().__init__(settings, make_backbone)
        gate = GATES[self.own_settings(settings)["gate_input"]]
        experts_per_task = len(self.experts(self.tasks[0]))
        self.gates = nn.ModuleDict({task: gate(experts_per_task, settings.input_size) for task in self.tasks})

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stream per expert: first the shared experts, then the experts of each task."""
        values, tasks = CustomizedGateControl.own_settings(settings), require_both_tasks(settings)
        count = values["shared_experts"] + len(tasks) * values["task_experts"]
        return tasks, Streams(count=count, shared=False, owned=True)

    def experts(self, task: str) -> list[int]:
        """Return the streams that a task uses: the shared experts, then its own.

        Args:
            task: the name of the task.
        """
        shared = self.own_settings(self.settings)["shared_experts"]
        return [*range(shared), *self.own_experts(task)]

    def own_experts(self, task: str) -> range:
        """Return the streams of the experts that belong to a task.

        Args:
            task: the name of the task.
        """
        values = self.own_settings(self.settings)
        first = values["shared_experts"] + self.tasks.index(task) * values["task_experts"]
        return range(first, first + values["task_experts"])

    def features(self, maps: list[Tensor], images: Tensor) -> dict[str, Tensor]:
        """Return each task's mixture of the maps of its experts."""
        return {
            task: torch.einsum(
                "be,bechw->bchw", self.gates[task](images), torch.stack([maps[e] for e in self.experts(task)], dim=1)
            )
            for task in self.tasks
        }

    def task_modules(self, task: str) -> list[nn.Module]:
        """Return the task's head and gate."""
        return [self.heads[task], self.gates[task]]

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        """Return the parameters of the task's head, gate and own experts."""
        owned = [parameter for expert in self.own_experts(task) for parameter in self.backbone.owned_parameters(expert)]
        return [*super().task_parameters(task), *owned]
