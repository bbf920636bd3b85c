"""What differs between CPU and GPU: precision, memory, and what is said when memory runs out."""

from __future__ import annotations

import os
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


def choose_device() -> torch.device:
    """Return the GPU where there is one, else the CPU with one thread: one and two threads give different bits.

    float32 is float32 on a GPU too: TF32 is switched off.
    """
    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        return torch.device("cuda")
    torch.set_num_threads(1)
    return torch.device("cpu")


@contextmanager
def without_tf32() -> Iterator[None]:
    """Let float32 be float32 on a GPU while the block runs, whatever the caller's own code has chosen for the rest of its process."""
    cudnn, matmul = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = cudnn, matmul


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Where a model runs forward: "bf16" autocasts, "float32" does not, "auto" does on a GPU."""
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def choose_kernels(deterministic: bool) -> None:
    """Choose between kernels that give the same bits in each run and those that are fast. On a CPU with one thread all do.

    Args:
        deterministic: use torch's deterministic algorithms, and the plain kernel of attention; an operation that has no deterministic
            algorithm warns and names itself. Else cuDNN tries which of its kernels is fastest, and sums may be added in another order.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first matrix product begins
    if (
        deterministic != torch.are_deterministic_algorithms_enabled()
    ):  # to ask for what is there imports the compiler, which takes a second
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic
    # These have deterministic gradients only where an operation that has none is an error.
    for allow in (
        torch.backends.cuda.enable_flash_sdp,
        torch.backends.cuda.enable_mem_efficient_sdp,
        torch.backends.cuda.enable_cudnn_sdp,
    ):
        allow(not deterministic)


def compile_model(model: nn.Module, *parts: nn.Module, backend: str = "inductor") -> None:
    """torch.compile a model in place, and parts of it that are called by themselves too.

    Every batch size gets a graph of its own (an epoch has two), and graphs keep what a second backward pass through them needs.
    """
    import torch._dynamo.config  # slow to import, and asked for on GPUs alone
    import torch._functorch.config

    torch._functorch.config.donated_buffer = False
    torch._dynamo.config.recompile_limit = 64
    for module in (model, *parts):
        module.compile(dynamic=False, backend=backend)


class CompiledSteps:
    """A context in which a model runs compiled; outside of it the model runs as it is written.

    A training is compiled, for its steps repeat. Validation, prediction and robustness are not: they have other graphs, whose compilation
    takes longer than their images, and results of compiled and of plain kernels differ in their last bits.
    """

    def __init__(self, *modules: nn.Module) -> None:
        compile_model(*modules)
        self._compiled = [(module, module._compiled_call_impl) for module in modules]
        self._set(active=False)

    def _set(self, active: bool) -> None:
        for module, call in self._compiled:
            module._compiled_call_impl = call if active else None

    def __enter__(self) -> None:
        """Run compiled from here on."""
        self._set(active=True)

    def __exit__(self, *error: object) -> None:
        """Run as written again."""
        self._set(active=False)


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
        if not is_out_of_memory(error):
            raise
        needed = what_was_needed(error, device)
        raise TrainingError(f"{label}: out of memory in {where[0]}: {needed}. These take less: {takes_less}.") from None


# Libraries beside torch allocate too, and say so in words of their own; "CUDA error" is what the driver says.
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUBLAS_STATUS_NOT_INITIALIZED"
    r"|CUDNN_STATUS_\w*ALLOC\w*|CUSOLVER_STATUS_ALLOC_FAILED"
    # What cuDNN says when no plan of a convolution fits into the memory that is left.
    r"|(?:FIND|GET) was unable to find an engine"
)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error of torch says that memory ran out, on a GPU or a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def what_was_needed(error: RuntimeError, device: torch.device) -> str:
    """How much was asked for and how much there is, as far as torch says."""
    asked = re.search(r"allocate ([\d.]+ [KMGT]?i?B|\d+ bytes)", str(error))
    needed = f"{asked[1]} more were needed" if asked else "more was needed"
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_allocated(device)
        return f"{needed}; {held / 2**20:,.0f} MiB held here, {free / 2**20:,.0f} of {total / 2**20:,.0f} MiB free"
    return f"{needed}; this process had {peak_memory_mib(device):,.0f} MiB"
