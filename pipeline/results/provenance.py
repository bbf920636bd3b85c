"""Collects, writes and reads the provenance of results: study, code, data, software, device, time and command."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.io.files import read_json, write_json
from pipeline.io.hashing import sha256_of
from pipeline.redaction import masked_content
from pipeline.results.code_version import code_version
from pipeline.results.paths import CellOutput
from pipeline.study.cell import Cell
from pipeline.study.fingerprints import study_digest
from pipeline.study.folders import cell_folder, dataset_folder
from pipeline.study.models import Study

_LEARNING_PACKAGES = ("torch", "torchvision", "timm")
_IMAGE_PACKAGES = ("numpy", "opencv-python-headless", "imagecorruptions-imaug", "scipy", "numba", "pillow")
_PACKAGES = (*_LEARNING_PACKAGES, *_IMAGE_PACKAGES, "pandas", "pyarrow")
_command: list[str] = []


def note_command(words: Sequence[str]) -> None:
    """Store the words of the command line for `about_run`."""
    _command[:] = words


@dataclass(frozen=True)
class RunStart:
    """The start of a step: its time, a counter in seconds, and the version of the code, which may change while the step runs."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    counter: float = field(default_factory=time.perf_counter)
    code: dict[str, Any] = field(default_factory=code_version)

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return round(time.perf_counter() - self.counter, 1)


def about_run(study: Study, started: RunStart, datasets: Iterable[str], with_model: bool = True) -> dict[str, Any]:
    """Return the entries that the provenance of every result has.

    They are study and study_sha256, synthetic, code (commit, dirty), python, packages, device, processor, datasets (the SHA-256 of each
    manifest.csv), started (UTC), seconds, command.

    Args:
        study: the study of the step.
        started: the start of the step.
        datasets: names of the built datasets that the result comes from.
        with_model: whether a model ran. If not, torch is not imported and no GPU is named.
    """
    return {
        "study": study.name,
        "study_sha256": study_digest(study),
        "synthetic": study.synthetic,
        "code": started.code,
        **(software() if with_model else {**_packages(), "device": NO_MODEL}),
        "processor": processor_name(),
        "datasets": dataset_digests(study, datasets),
        "started": started.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": started.seconds(),
        "command": shlex.join(masked_content(_command or sys.argv)),
    }


def dataset_digests(study: Study, datasets: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of each dataset's manifest.csv, which holds the digest of every image and mask."""
    return {dataset: sha256_of(dataset_folder(study, dataset) / "manifest.csv") for dataset in datasets}


def write_provenance(path: Path, content: dict[str, Any]) -> None:
    """Write provenance as JSON, without secrets."""
    write_json(path, masked_content(content))


NO_MODEL = f"CPU ({platform.machine()}), no model"


def software() -> dict[str, Any]:
    """Return the versions of Python and packages, and the device. Besides code and data, they decide the bits of predictions."""
    import torch

    from endoarss.devices import choose_device

    device = choose_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()}), 1 thread"
    return {**_packages(), "device": name}


def _packages() -> dict[str, Any]:
    return {"python": platform.python_version(), "packages": {package: _version(package) for package in _PACKAGES}}


def processor_name() -> str:
    """Return the model of the processor, or "unknown". The last bits of results depend on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    model_names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(model_names, "") or platform.processor() or "unknown"


def image_packages() -> dict[str, str]:
    """Return the versions of the packages that decide how images are read and corrupted, and how predictions are measured."""
    return {name: _version(name) for name in _IMAGE_PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed under this name"


def read_provenance(study: Study, cell: Cell) -> dict[str, Any]:
    """Return the provenance of a trained or merged cell.

    Raises:
        FileNotFoundError: if the file is missing.
        InputError: if its content is not valid.
    """
    path = cell_folder(study, cell) / CellOutput.PROVENANCE
    provenance = read_json(path)
    missing = sorted(set(TYPES) - set(provenance))
    if missing:
        raise InputError(
            f"{path}: lacks {', '.join(missing)}, because another version wrote it. Train the cell again, or run snakemake."
        )
    for key, kind in TYPES.items():
        if not isinstance(provenance[key], (int, float) if kind is float else kind):
            raise InputError(
                f"{path}: {key} is {str(provenance[key])[:40]!r}; expected {kind.__name__}. Train the cell again, or run snakemake."
            )
    return provenance


TYPES: dict[str, type] = {
    "settings": dict,
    "manifest_sha256": str,
    "datasets": dict,
    "weights": dict,
    "pretrained_on_synthetic": bool,
    "select_on": str,
    "seed": int,
    "parameters": dict,
    "cost": dict,
    "training_seconds": float,
    "training_images": int,
    "study_sha256": str,
    "checkpoint_sha256": str,
    "code": dict,
    "python": str,
    "packages": dict,
    "device": str,
    "processor": str,
}
"""The entries of a cell's provenance that other modules read, and their types."""
