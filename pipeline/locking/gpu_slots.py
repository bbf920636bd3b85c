"""Which GPUs are there, and a slot of one for each process that asks.

A slot is a lock in the machine's temporary folder: it is free again when its process ends, however it ends, and it counts for all
studies and runs of a user on a machine. Nothing here imports torch: rules ask at every plan, and a process has to be told its device
before it loads torch.
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
# What cluster schedulers set in a job.
_SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "OAR_JOB_ID", "FLUX_JOB_ID", "COBALT_JOBID")
_POLL = 0.5  # seconds between two looks at taken slots
_mine: str | None = None  # the device of this process, for it asks once


def devices() -> list[str]:
    """The UUIDs of the GPUs that this process may use; empty where there is none, or no working nvidia-smi.

    CUDA_VISIBLE_DEVICES restricts them, by index (as nvidia-smi counts) or UUID, whole or its beginning. As for CUDA, what stands
    behind a device that is not there is not seen. Parts of a GPU (MIG-...) are taken as they are named.
    """
    try:
        run = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(",") for line in run.stdout.splitlines()]
    there = {row[0].strip(): row[1].strip() for row in rows if len(row) == 2 and row[0].strip().isdigit()}
    visible = os.environ.get(_VISIBLE)
    if visible is None:
        return list(there.values())
    found: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        uuid = name if name.startswith("MIG-") else _uuid_of(name, there)
        if uuid is None:
            break
        found.append(uuid)
    return list(dict.fromkeys(found))


def _uuid_of(name: str, there: dict[str, str]) -> str | None:
    if name.isdigit():
        return there.get(str(int(name)))
    return next((uuid for uuid in there.values() if name.startswith("GPU-") and uuid.startswith(name)), None)


def slots(study: Study) -> int:
    """How many cells may use the GPUs of this machine at the same time."""
    return len(devices()) * int(study.training.cells_per_gpu)


def claim_device(per_device: int, does: str = "uses it") -> str | None:
    """Take a slot of a GPU until this process ends, and make that GPU the only one it sees. Waits where all are taken.

    First slots come first on every device, so that processes spread; where the temporary folder has no locks the device is drawn by
    chance. Call it before torch is loaded.

    Args:
        per_device: processes that may share a device. does: what others read who wait for it.

    Returns:
        The device's UUID; None where there is no GPU, or where a cluster's scheduler has told this process its one device.
    """
    global _mine
    if _mine is not None:
        return _mine
    known = devices()
    told = len(os.environ.get(_VISIBLE, "").split(",")) < 2  # an allocation of several is shared out like a machine
    if not known or (told and any(name in os.environ for name in _SCHEDULERS)):
        return None
    said = False
    while True:
        found = _free_slot(known, per_device, does)
        if found is not None:
            _mine, how = found
            os.environ[_VISIBLE] = _mine
            print(f"device: {_mine} ({how})", file=sys.stderr, flush=True)
            return _mine
        if not said:
            said = True
            _say_who(known, per_device)
        time.sleep(_POLL * random.uniform(0.5, 1.5))


def _free_slot(known: list[str], per_device: int, does: str) -> tuple[str, str] | None:
    """A device, and how it was found. Without locks nobody knows who else is there: then chance spreads processes."""
    for slot in range(per_device):
        for uuid in known:
            try:
                taken = take(Lock(slot_file(uuid, slot)), Holder.here("device", does), wait=False)
            except HeldError:
                continue
            if taken is None:
                why = f"drawn by chance: {tempfile.gettempdir()} has no locks, so others may use it beside; set TMPDIR"
                return random.choice(known), why
            return uuid, f"slot {slot + 1} of {per_device}"
    return None


def slot_file(uuid: str, slot: int) -> Path:
    """The lock of one slot, counted from 0."""
    name = re.sub(r"[^\w.-]", "_", uuid)
    return Path(tempfile.gettempdir()) / f"endoarss-{os.getuid()}-{name}-{slot}.lock"


def _say_who(known: list[str], per_device: int) -> None:
    taken = (holder(slot_file(uuid, slot)) for slot in range(per_device) for uuid in known)
    who = ", ".join(str(one.pid) for one in taken if one is not None and one.pid)
    count = len(known) * per_device
    print(
        f"waiting for a GPU: {count} processes have {'it' if len(known) == 1 else 'them'}"
        f"{f' ({who})' if who else ''}, as many as training.cells_per_gpu: {per_device} allows.",
        file=sys.stderr,
        flush=True,
    )
