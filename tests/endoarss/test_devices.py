"""What differs between CPU and GPU, as far as it can be known without one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from endoarss.devices import choose_kernels, is_out_of_memory, memory_explained
from endoarss.errors import TrainingError

CPU = torch.device("cpu")
# What torch says, word for word, when a library beside its own allocator runs out of memory.
FAILED_ALLOCATIONS = [
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "FIND was unable to find an engine to execute this computation",
    "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes.",
]


@pytest.mark.parametrize("message", FAILED_ALLOCATIONS)
def test_every_failed_allocation_is_a_memory_error(message: str) -> None:
    with (
        pytest.raises(TrainingError, match="toy: out of memory in step 3: .* These settings reduce memory: batch_size"),
        memory_explained("toy", CPU, "batch_size") as where,
    ):
        where[0] = "step 3"
        raise RuntimeError(message)


@pytest.mark.parametrize("message", ["CUDA error: device-side assert triggered", "cuDNN error: CUDNN_STATUS_BAD_PARAM"])
def test_other_errors_stay_what_they_are(message: str) -> None:
    assert not is_out_of_memory(RuntimeError(message))
    with pytest.raises(RuntimeError, match=message), memory_explained("toy", CPU, "batch_size"):
        raise RuntimeError(message)


@pytest.fixture
def kernels() -> Iterator[None]:
    yield
    choose_kernels(deterministic=False)
    torch.backends.cudnn.benchmark = False


@pytest.mark.usefixtures("kernels")
def test_kernels_are_deterministic_or_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    choose_kernels(deterministic=True)
    assert not torch.backends.cuda.flash_sdp_enabled() and torch.backends.cuda.math_sdp_enabled()
    assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.backends.cudnn.benchmark
    choose_kernels(deterministic=False)
    assert torch.backends.cuda.flash_sdp_enabled()
    assert not torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.benchmark
