"""Sizes, device and folder of a part of the GPU benchmark, and of the processes that it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu_parts.sizes import PAPER, TINY, Sizes


@dataclass(frozen=True)
class Setup:
    """Sizes, device and folder of a part.

    Attributes:
        tiny: whether to use the sizes of the dry run.
        device: where models run.
        folder: the folder for temporary files.
    """

    tiny: bool
    device: torch.device
    folder: Path

    @property
    def sizes(self) -> Sizes:
        """Return all sizes."""
        return TINY if self.tiny else PAPER

    def prepare(self) -> None:
        """Configure torch in this process as studies do: full float32 on a GPU, one thread on a CPU."""
        if self.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        else:
            torch.set_num_threads(1)
            # The dry run traces all graphs but generates no code, which would take minutes on a CPU.
            compile_ = torch.compile
            torch.compile = lambda *args, **kwargs: compile_(*args, **{**kwargs, "backend": "aot_eager"})
