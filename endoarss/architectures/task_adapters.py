"""Task adapters: TESLA without its shared adapters. In every adapted layer stream t computes W x + s B_t A_t x.

It says what TESLA's shared adapters are for. On a frozen backbone SMA alone is shared; without SMA no trained parameter would be, and
the model is refused. A backbone that is trained in full is an encoder of its own for each task, behind SMA.
"""

from __future__ import annotations

from endoarss.architectures.tesla import Tesla
from endoarss.lora import Streams
from endoarss.models import require_both_tasks
from endoarss.registry import register_architecture
from endoarss.settings import ModelSettings


@register_architecture("task_adapters")
class TaskAdapters(Tesla):
    """A stream a task, each with adapters of its own and no others."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Both tasks, a stream each, with owned adapters alone."""
        tasks = require_both_tasks(settings)
        return tasks, Streams(count=len(tasks), shared=False, owned=True)
