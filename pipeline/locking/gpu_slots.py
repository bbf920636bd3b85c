"""The GPUs of this machine, and slots of them for processes.

A slot is a lock file in the machine's temporary folder. It is free again when its process ends, in whatever way, and it counts for all
studies and runs of a user on the machine. This module does not import torch: rules use it at every plan, and a process must set its
device before it loads torch.
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
_POLL = 0.5  # seconds between two attempts to take a slot
_mine: str | None = None  # the device of this process, once it has one


def devices() -> list[str]:
    """Return the UUIDs of the GPUs that this process may use; empty without GPUs or a working nvidia-smi.

    CUDA_VISIBLE_DEVICES restricts them by index (as nvidia-smi counts) or by UUID or its beginning. As in CUDA, entries after an
    unknown device are ignored. Parts of a GPU (MIG-...) are used as they are named.
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
    found: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        uuid = name if name.startswith("MIG-") else _uuid_of(name, uuids)
        if uuid is None:
            break
        found.append(uuid)
    return list(dict.fromkeys(found))


def _uuid_of(name: str, there: dict[str, str]) -> str | None:
    if name.isdigit():
        return there.get(str(int(name)))
    return next((uuid for uuid in there.values() if name.startswith("GPU-") and uuid.startswith(name)), None)


def slots(study: Study) -> int:
    """Return how many cells may use the GPUs of this machine at the same time."""
    return len(devices()) * int(study.training.cells_per_gpu)


def claim_device(per_device: int, does: str = "uses it") -> str | None:
    """Take a slot of a GPU until this process ends, and make that GPU the only visible one. Wait if all slots are taken.

    The first slot of every device is tried before any second slot, so that processes spread. If the temporary folder does not support
    locks, the device is drawn at random. Call this function before torch is loaded.

    Args:
        per_device: number of processes that may share a device.
        does: what this process does, for the message of waiting processes.

    Returns:
        The UUID of the device; None without a GPU, or if a cluster's scheduler has chosen the one device of this process.
    """
    global _mine
    if _mine is not None:
        return _mine
    known = devices()
    chosen = (
        len(os.environ.get(_VISIBLE, "").split(",")) < 2
    )  # an allocation of several devices is shared like a machine
    if not known or (chosen and any(name in os.environ for name in _SCHEDULERS)):
        return None
    waited = False
    while True:
        found = _free_slot(known, per_device, does)
        if found is not None:
            _mine, how = found
            os.environ[_VISIBLE] = _mine
            print(f"device: {_mine} ({how})", file=sys.stderr, flush=True)
            return _mine
        if not waited:
            waited = True
            _print_holders(known, per_device)
        time.sleep(_POLL * random.uniform(0.5, 1.5))


def _free_slot(known: list[str], per_device: int, does: str) -> tuple[str, str] | None:
    """Return a device and how it was chosen, or None if all slots are taken. Without locks the choice is random."""
    for slot in range(per_device):
        for uuid in known:
            try:
                taken = take(Lock(slot_file(uuid, slot)), Holder.here("device", does), wait=False)
            except HeldError:
                continue
            if taken is None:
                why = f"drawn by chance: {tempfile.gettempdir()} has no locks, so other processes may use it too; set TMPDIR"
                return random.choice(known), why
            return uuid, f"slot {slot + 1} of {per_device}"
    return None


def slot_file(uuid: str, slot: int) -> Path:
    """Return the lock file of a slot; slots count from 0."""
    name = re.sub(r"[^\w.-]", "_", uuid)
    return Path(tempfile.gettempdir()) / f"endoarss-{os.getuid()}-{name}-{slot}.lock"


def _print_holders(known: list[str], per_device: int) -> None:
    taken = (holder(slot_file(uuid, slot)) for slot in range(per_device) for uuid in known)
    pids = ", ".join(str(one.pid) for one in taken if one is not None and one.pid)
    count = len(known) * per_device
    print(
        f"waiting for a GPU: {count} processes use {'it' if len(known) == 1 else 'them'}"
        f"{f' ({pids})' if pids else ''}, as many as training.cells_per_gpu: {per_device} allows.",
        file=sys.stderr,
        flush=True,
    )
