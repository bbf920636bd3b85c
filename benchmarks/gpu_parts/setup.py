"""Where a part of the GPU benchmark works, and at which sizes; given on to the processes that it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.gpu_parts.sizes import PAPER, TINY, Sizes


@dataclass(frozen=True)
class Setup:
    """tiny: whether sizes are those of the dry run. device: where models run. folder: for temporary files."""

    tiny: bool
    device: torch.device
    folder: Path

    @property
    def sizes(self) -> Sizes:
        """How large everything is."""
        return TINY if self.tiny else PAPER

    def prepare(self) -> None:
        """Set torch up in this process as studies do: float32 is float32 on a GPU too; a CPU works with one thread."""
        if self.device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        else:
            torch.set_num_threads(1)
            # The dry run traces all graphs but generates no code for them, which takes a CPU minutes.
            compiled = torch.compile
            torch.compile = lambda *given, **how: compiled(*given, **{**how, "backend": "aot_eager"})
