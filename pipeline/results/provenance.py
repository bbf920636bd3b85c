"""What a result came from: study, code, data, software, device, time and command; and reading it back."""

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

from endoarss.registry import ARCHITECTURES, BACKBONES, WEIGHTINGS
from pipeline.errors import InputError
from pipeline.io.files import read_json, write_json
from pipeline.io.hashing import digest, sha256_of
from pipeline.redaction import masked_content
from pipeline.results.code_version import code_version
from pipeline.results.paths import CellOutput
from pipeline.study.cell import Cell
from pipeline.study.fingerprints import study_digest
from pipeline.study.folders import cell_folder, dataset_folder
from pipeline.study.models import Study

_LEARNING = ("torch", "torchvision", "timm")
_IMAGES = ("numpy", "opencv-python-headless", "imagecorruptions-imaug", "scipy", "numba", "pillow")
_PACKAGES = (*_LEARNING, *_IMAGES, "pandas", "pyarrow")
_PIPELINE = Path(__file__).resolve().parents[1]
_CORRUPTIONS, _ENDOARSS = (_PIPELINE.with_name(name) for name in ("corruptions", "endoarss"))
_command: list[str] = []


def note_command(words: Sequence[str]) -> None:
    """Keep what was asked of the command line, for `about_run`."""
    _command[:] = words


@dataclass(frozen=True)
class RunStart:
    """When a step began, by the clock and by a counter that nobody sets, and the code then: a checkout may change while it runs."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    counter: float = field(default_factory=time.perf_counter)
    code: dict[str, Any] = field(default_factory=code_version)

    def seconds(self) -> float:
        """Since then."""
        return round(time.perf_counter() - self.counter, 1)


def about_run(study: Study, started: RunStart, datasets: Iterable[str], with_model: bool = True) -> dict[str, Any]:
    """What the provenance of every result says: study and study_sha256, synthetic, code (commit, dirty), python, packages, device,
    processor, datasets (the SHA-256 of each one's manifest.csv), started (UTC), seconds, command.

    Args:
        study: whose step ran. started: when. datasets: names of those that the result came from; built ones. with_model: whether a
        model ran; if not, torch is not imported and no GPU is named.
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
    """The SHA-256 of each dataset's manifest.csv, which holds the digest of every picture and mask."""
    return {dataset: sha256_of(dataset_folder(study, dataset) / "manifest.csv") for dataset in datasets}


def write_provenance(path: Path, content: dict[str, Any]) -> None:
    """Write provenance as JSON, without secrets."""
    write_json(path, masked_content(content))


NO_MODEL = f"CPU ({platform.machine()}), no model"


def software() -> dict[str, Any]:
    """What decides the bits of a model's answers, besides code and data: versions of Python and of packages, and the device's name."""
    import torch

    from endoarss.devices import choose_device

    device = choose_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()}), 1 thread"
    return {**_packages(), "device": name}


def _packages() -> dict[str, Any]:
    return {"python": platform.python_version(), "packages": {package: _version(package) for package in _PACKAGES}}


def processor_name() -> str:
    """The processor's model, "unknown" where the system does not say: kernels are chosen by it, and with them the last bits."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or "unknown"


def training_code_sha256() -> str:
    """Hex SHA-256 of the source that a training runs: the model library, components of the user's own, and what reads images. A
    training goes on only from a state of the same code."""
    files = {_CORRUPTIONS / "pictures.py", *_ENDOARSS.rglob("*.py")}
    for registry in (BACKBONES, ARCHITECTURES, WEIGHTINGS):
        files.update(registry.files().values())
    files.update(_PIPELINE / name for name in ("io/images.py", "datasets/arrays.py", "datasets/load.py"))
    return digest([[path.name, sha256_of(path)] for path in sorted(files)])


def corruption_code_sha256() -> str:
    """Hex SHA-256 of the source and the package versions that decide how images are corrupted. Kept images are used only by the same
    code."""
    files = [*_CORRUPTIONS.glob("*.py"), *_CORRUPTIONS.glob("operators/*.py")]
    return _digest_of([*files, _PIPELINE / "evaluation/corrupted_batches.py"])


def measuring_code_sha256() -> str:
    """Hex SHA-256 of the source and the package versions that decide what is measured of answers. An evaluation goes on only by the
    same code."""
    own = [*_PIPELINE.glob("results/gallery*.py"), *_ENDOARSS.glob("metrics/*.py")]
    return _digest_of([*own, *(_PIPELINE / f"evaluation/{name}.py" for name in ("robustness", "measure", "scores"))])


def _digest_of(files: Sequence[Path]) -> str:
    return digest(
        [[[path.name, sha256_of(path)] for path in sorted(files)], {name: _version(name) for name in _IMAGES}]
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed under this name"


def read_provenance(study: Study, cell: Cell) -> dict[str, Any]:
    """The provenance of a trained cell.

    Raises:
        FileNotFoundError: if it is missing. InputError: if it is none.
    """
    path = cell_folder(study, cell) / CellOutput.PROVENANCE
    about = read_json(path)
    lacking = sorted(set(TYPES) - set(about))
    if lacking:
        raise InputError(
            f"{path}: lacks {', '.join(lacking)}; another version wrote it. Train the cell again, or run snakemake."
        )
    for key, kind in TYPES.items():
        if not isinstance(about[key], (int, float) if kind is float else kind):
            raise InputError(
                f"{path}: {key} is {str(about[key])[:40]!r}; expected {kind.__name__}. Train the cell again, or run snakemake."
            )
    return about


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
"""What others take from a cell's provenance, by the kind of value."""
