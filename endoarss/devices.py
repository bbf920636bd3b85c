"""Differences between CPU and GPU: precision, kernels, compilation, memory, and the message when memory runs out."""

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

_CLEAR_REFS, _PROCESS_STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def choose_device() -> torch.device:
    """Return the GPU if there is one, otherwise the CPU.

    On a GPU TF32 is switched off. On a CPU torch is limited to one thread, because the results of one and of two threads differ in their
    last bits.
    """
    if torch.cuda.is_available():
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        return torch.device("cuda")
    torch.set_num_threads(1)
    return torch.device("cpu")


@contextmanager
def without_tf32() -> Iterator[None]:
    """Compute in float32 instead of TF32 on a GPU within the block; the settings of the caller's process are restored at its end."""
    cudnn, matmul = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = cudnn, matmul


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a model's forward pass runs.

    Args:
        device: the device of the model.
        precision: "bf16" for autocast, "float32" for none, or "auto" for autocast on a GPU only.
    """
    if precision == "bf16" or (precision == "auto" and device.type == "cuda"):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def choose_kernels(deterministic: bool) -> None:
    """Select deterministic or fast GPU kernels. On a CPU with one thread every kernel is deterministic.

    Args:
        deterministic: if true, use torch's deterministic algorithms and the plain attention kernel; an operation without a deterministic
            algorithm prints a warning with its name. If false, cuDNN chooses its fastest kernel, and sums may be added in any order.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first matrix product begins
    # The check is worth it: this call imports torch's compiler, which takes a second.
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic
    # These kernels have deterministic gradients only if torch raises an error for operations that are not deterministic; here it warns.
    for allow in (
        torch.backends.cuda.enable_flash_sdp,
        torch.backends.cuda.enable_mem_efficient_sdp,
        torch.backends.cuda.enable_cudnn_sdp,
    ):
        allow(not deterministic)


def compile_model(model: nn.Module, *parts: nn.Module, backend: str = "inductor") -> None:
    """Apply torch.compile to a model in place, and to parts of it that are also called separately.

    Every batch size gets its own graph; an epoch has at most two batch sizes. Graphs keep the tensors that a second backward pass needs.

    Args:
        model: the model.
        parts: modules of the model.
        backend: the backend of torch.compile.
    """
    import torch._dynamo.config  # slow to import, and only needed on a GPU
    import torch._functorch.config

    torch._functorch.config.donated_buffer = False
    torch._dynamo.config.recompile_limit = 64
    for module in (model, *parts):
        module.compile(dynamic=False, backend=backend)


class CompiledSteps:
    """A context in which a model runs compiled; outside of it the model runs eagerly.

    Training is compiled because its steps repeat. Validation, prediction and robustness are not compiled, for three reasons: their graphs
    differ, compiling would take longer than predicting the images, and results of compiled and eager kernels differ in their last bits.

    Args:
        modules: the model, and parts of it that are also called separately.
    """

    def __init__(self, *modules: nn.Module) -> None:
        compile_model(*modules)
        self._compiled = [(module, module._compiled_call_impl) for module in modules]
        self._set(active=False)

    def _set(self, active: bool) -> None:
        for module, call in self._compiled:
            module._compiled_call_impl = call if active else None

    def __enter__(self) -> None:
        """Switch to the compiled modules."""
        self._set(active=True)

    def __exit__(self, *error: object) -> None:
        """Switch back to eager mode."""
        self._set(active=False)


def reset_peak_memory(device: torch.device) -> None:
    """Reset the peak that `peak_memory_mib` returns to the memory in use now. This has an effect on a GPU and under Linux.

    Args:
        device: the device whose peak is reset.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR_REFS.exists():
        with suppress(OSError):
            _CLEAR_REFS.write_text("5")


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory since the last reset, in MiB.

    Args:
        device: for a GPU, the peak of the memory that torch allocated is returned; for a CPU, the peak of the whole process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if _PROCESS_STATUS.exists():
        peak = re.search(r"VmHWM:\s+(\d+) kB", _PROCESS_STATUS.read_text())
        if peak:
            return int(peak[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


@contextmanager
def memory_explained(label: str, device: torch.device, memory_settings: str) -> Iterator[list[str]]:
    """Turn an out-of-memory error in the block into a message that says what was needed and which settings use less memory.

    Args:
        label: the name that begins the message, such as the cell.
        device: the device the block runs on.
        memory_settings: the settings that reduce memory.

    Yields:
        A list with one entry that says which step is running; the block updates it.

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
        raise TrainingError(
            f"{label}: out of memory in {where[0]}: {needed}. These settings reduce memory: {memory_settings}."
        ) from None


# Messages of the other libraries that allocate memory; "CUDA error" begins the driver's message.
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUBLAS_STATUS_NOT_INITIALIZED"
    r"|CUDNN_STATUS_\w*ALLOC\w*|CUSOLVER_STATUS_ALLOC_FAILED"
    # The message of cuDNN when no plan for a convolution fits into the free memory.
    r"|(?:FIND|GET) was unable to find an engine"
)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error of torch means that memory ran out, on a GPU or a CPU.

    Args:
        error: the exception.
    """
    return isinstance(error, torch.OutOfMemoryError) or _OUT_OF_MEMORY.search(str(error)) is not None


def what_was_needed(error: RuntimeError, device: torch.device) -> str:
    """Return how much memory was requested and how much there is, as far as torch reports it.

    Args:
        error: an out-of-memory error of torch.
        device: the device on which it was raised.
    """
    request = re.search(r"allocate ([\d.]+ [KMGT]?i?B|\d+ bytes)", str(error))
    needed = f"{request[1]} more were needed" if request else "more was needed"
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        allocated = torch.cuda.memory_allocated(device)
        return f"{needed}; {allocated / 2**20:,.0f} MiB held here, {free / 2**20:,.0f} of {total / 2**20:,.0f} MiB free"
    return f"{needed}; this process had {peak_memory_mib(device):,.0f} MiB"
