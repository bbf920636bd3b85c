"""Task adapters: TESLA without its shared adapters. In every adapted layer stream t computes W x + s B_t A_t x.

`endoarss.lora.LoRALinear` explains the symbols. A comparison with TESLA shows the effect of the shared adapters. On a frozen backbone the
tasks share only SMA. Without SMA they would share no trained parameter, and `build_model` raises an error. If the backbone is fully
trained, each task has a separate encoder behind SMA.
"""

from __future__ import annotations

from endoarss.architectures.tesla import Tesla
from endoarss.lora import Streams
from endoarss.models import require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


@register_architecture("task_adapters")
class TaskAdapters(Tesla):
    """One stream per task, with its own adapters and no shared ones."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stream per task with owned adapters only."""
        tasks = require_both_tasks(settings)
        return tasks, Streams(count=len(tasks), shared=False, owned=True)
