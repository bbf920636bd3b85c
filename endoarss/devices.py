"""What differs between CPU and GPU: precision, memory, and what is said when memory runs out."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

import torch
from torch import nn

from endoarss.errors import TrainingError

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Where a model runs forward: "bf16" autocasts, "float32" does not, "auto" does on a GPU."""
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def compile_model(model: nn.Module, *parts: nn.Module) -> None:
    """torch.compile a model in place, and parts of it that are called by themselves too.

    Every batch size gets a graph of its own (an epoch has two), and graphs keep what a second backward pass through them needs.
    """
    import torch._dynamo.config  # slow to import, and asked for on GPUs alone
    import torch._functorch.config

    torch._functorch.config.donated_buffer = False
    torch._dynamo.config.recompile_limit = 64
    for module in (model, *parts):
        module.compile(dynamic=False)


def reset_peak_memory(device: torch.device) -> None:
    """Let `peak_memory_mib` start again from what is held now, where the system can: on a GPU, and under Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        with suppress(OSError):
            _CLEAR.write_text("5")


def peak_memory_mib(device: torch.device) -> float:
    """The most memory since the last reset, in MiB: what torch held on the GPU, or the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if _STATUS.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        if found:
            return int(found[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


@contextmanager
def memory_explained(label: str, device: torch.device, takes_less: str) -> Iterator[list[str]]:
    """Say, where memory runs out in the block, what was needed and what takes less.

    Yields:
        A list whose one entry says where the block is; the block keeps it up to date.

    Raises:
        TrainingError: if memory runs out, on a GPU or a CPU.
    """
    where = ["its preparation"]
    try:
        yield where
    except RuntimeError as error:
        if not (isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)):
            raise
        needed = what_was_needed(error, device)
        raise TrainingError(f"{label}: out of memory in {where[0]}: {needed}. These take less: {takes_less}.") from None


def what_was_needed(error: RuntimeError, device: torch.device) -> str:
    """How much was asked for and how much there is, as far as torch says."""
    asked = re.search(r"allocate ([\d.]+ [KMGT]?i?B|\d+ bytes)", str(error))
    needed = f"{asked[1]} more were needed" if asked else "more was needed"
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_allocated(device)
        return f"{needed}; {held / 2**20:,.0f} MiB held here, {free / 2**20:,.0f} of {total / 2**20:,.0f} MiB free"
    return f"{needed}; this process had {peak_memory_mib(device):,.0f} MiB"
