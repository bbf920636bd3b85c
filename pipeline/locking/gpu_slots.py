"""Manage the slots of this machine's GPUs. A process that runs a model takes one slot, which limits how many processes share a GPU.

A slot is a lock file in the machine's temporary folder, shared by all studies and runs of a user. It is free again when its process ends,
in whatever way. This module does not import torch: rules use it at every plan, and a process must set its GPU before it loads torch.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.locking.locks import HeldError, Holder, Lock, holder, take

if TYPE_CHECKING:
    from pipeline.study.models import Study

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_QUERY = ("nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader")
# Variables that cluster schedulers set in a job.
_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "OAR_JOB_ID", "FLUX_JOB_ID", "COBALT_JOBID")
_POLL_SECONDS = 0.5  # on average, between two attempts to take a slot
_claimed_device: str | None = None  # the GPU of this process, once it has a slot


def devices() -> list[str]:
    """Return the UUIDs of the GPUs that this process may use; empty without GPUs or a working nvidia-smi.

    CUDA_VISIBLE_DEVICES selects GPUs by index (as nvidia-smi counts), by UUID, or by the beginning of a UUID. As in CUDA, entries after
    an unknown GPU are ignored. Names of parts of a GPU (MIG-...) are returned as they are.
    """
    try:
        run = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(",") for line in run.stdout.splitlines()]
    uuids = {row[0].strip(): row[1].strip() for row in rows if len(row) == 2 and row[0].strip().isdigit()}
    visible = os.environ.get(_VISIBLE)
    if visible is None:
        return list(uuids.values())
    selected: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        uuid = name if name.startswith("MIG-") else _uuid_of(name, uuids)
        if uuid is None:
            break
        selected.append(uuid)
    return list(dict.fromkeys(selected))


def _uuid_of(name: str, uuids: dict[str, str]) -> str | None:
    if name.isdigit():
        return uuids.get(str(int(name)))
    return next((uuid for uuid in uuids.values() if name.startswith("GPU-") and uuid.startswith(name)), None)


def slots(study: Study) -> int:
    """Return how many cells may use the GPUs of this machine at the same time."""
    return len(devices()) * int(study.training.cells_per_gpu)


def claim_device(per_device: int, does: str = "uses it") -> str | None:
    """Take a slot of a GPU until this process ends, and make that GPU the only visible one. Wait if all slots are taken.

    The first slot of every GPU is tried before any second slot, so that processes spread over the GPUs. If the temporary folder does not
    support locks, the GPU is drawn at random. Call this function before torch is loaded.

    Args:
        per_device: number of processes that may share a GPU.
        does: what this process does, for the message of waiting processes.

    Returns:
        The UUID of the GPU. None without a GPU, or in a job of a cluster unless CUDA_VISIBLE_DEVICES lists several GPUs.
    """
    global _claimed_device
    if _claimed_device is not None:
        return _claimed_device
    uuids = devices()
    # If a scheduler gave several GPUs, this project must distribute them, as on a machine without a scheduler.
    at_most_one = len(os.environ.get(_VISIBLE, "").split(",")) < 2
    if not uuids or (at_most_one and any(name in os.environ for name in _SCHEDULERS)):
        return None
    waited = False
    while True:
        slot = _take_free_slot(uuids, per_device, does)
        if slot is not None:
            _claimed_device, how = slot
            os.environ[_VISIBLE] = _claimed_device
            print(f"device: {_claimed_device} ({how})", file=sys.stderr, flush=True)
            return _claimed_device
        if not waited:
            waited = True
            _print_holders(uuids, per_device)
        time.sleep(_POLL_SECONDS * random.uniform(0.5, 1.5))


def _take_free_slot(uuids: list[str], per_device: int, does: str) -> tuple[str, str] | None:
    """Take a slot. Return its GPU and how it was chosen, or None if all slots are taken. Without locks the choice is random."""
    for slot in range(per_device):
        for uuid in uuids:
            try:
                taken = take(Lock(slot_file(uuid, slot)), Holder.here("device", does), wait=False)
            except HeldError:
                continue
            if taken is None:
                why = f"drawn at random: {tempfile.gettempdir()} has no locks, so other processes may use it too; set TMPDIR"
                return random.choice(uuids), why
            return uuid, f"slot {slot + 1} of {per_device}"
    return None


def slot_file(uuid: str, slot: int) -> Path:
    """Return the lock file of a slot; slots count from 0."""
    name = re.sub(r"[^\w.-]", "_", uuid)
    return Path(tempfile.gettempdir()) / f"endoarss-{os.getuid()}-{name}-{slot}.lock"


def _print_holders(uuids: list[str], per_device: int) -> None:
    holders = (holder(slot_file(uuid, slot)) for slot in range(per_device) for uuid in uuids)
    pids = ", ".join(str(process.pid) for process in holders if process is not None and process.pid)
    count = len(uuids) * per_device
    print(
        f"waiting for a GPU: {count} processes use {'it' if len(uuids) == 1 else 'them'}"
        f"{f' ({pids})' if pids else ''}, as many as training.cells_per_gpu: {per_device} allows.",
        file=sys.stderr,
        flush=True,
    )
